"""What a prediction and its explanation cost in ONNX Runtime: ratios to float32, and to each other.

    python benchmarks/onnx_latency.py --bits 4 --json result.json

Networks of the shape of ResNet-20 with random weights (time depends on shapes alone) take turns in one process, one
thread each: float32 (same layers, weights dequantized), the integer file, and the integer file with the saliency map.
Time is CPU time of the one thread, so that other processes disturb it less.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from glassbit.intgraph import (
    About,
    AveragePool,
    Conv,
    Flatten,
    Grid,
    Input,
    IntGraph,
    Linear,
    Logits,
    Node,
    Preprocessing,
    Requantize,
    Subsample,
    Sum,
    Weights,
)
from glassbit.runtime import Session, float_twin, kernels, onnx_model

Array = np.ndarray[Any, Any]


def resnet20(bits: int = 4, *, grid: Grid = "odd", size: int = 32, classes: int = 10, seed: int = 0) -> IntGraph:
    """A ResNet-20 of random weights: 8 bits in the first and the last layer, `bits` between, option A shortcuts."""
    random = np.random.default_rng(seed)
    high = 2**bits - 1
    nodes: list[Node] = [Input("image", 3, size, size, zero=118)]

    def weights(*shape: int, bits: int = bits) -> Weights:
        codes = random.integers(0, 2**bits, shape).astype(np.uint8)
        return Weights(codes, bits, grid if bits < 8 else "signed")

    def block(name: str, read: str, made: str, w: Weights, window: tuple[int, int], rms: float, stride: int = 1) -> str:
        """A convolution whose requantizer spreads its sums over half the window."""
        out = len(w.codes)
        spread = math.sqrt(float((w.values**2).sum()) / out) * rms
        wanted = 0.4 * window[1] / spread * random.uniform(0.7, 1.4, out)
        multiplier, exponent = np.array([dyadic(ratio, window[1]) for ratio in wanted], np.int32).T
        bias = random.integers(-int(spread), int(spread) + 1, out).astype(np.int32)
        nodes.append(Conv(name, read, w, (stride, stride), (1, 1)))
        nodes.append(Requantize(made, name, bias, multiplier.copy(), exponent.copy(), *window))
        return made

    one, none = np.ones(1, np.int32), np.zeros(1, np.int32)
    x = block("conv", "image", "act", weights(16, 3, 3, 3, bits=8), (0, high), 74)
    before = 16
    for stage, width in enumerate((16, 32, 64), 1):
        for number in range(3):
            name, stride = f"stage{stage}.{number}", 2 if width != before else 1
            inner = block(f"{name}.conv1", x, f"{name}.act1", weights(width, before, 3, 3), (0, high), high / 2, stride)
            main = block(f"{name}.conv2", inner, f"{name}.main", weights(width, width, 3, 3), (-128, 127), high / 2)
            if stride == 2:
                nodes.append(Subsample(f"{name}.shortcut", x, (2, 2), width - before))
                x = f"{name}.shortcut"
            shift = max(0, 7 - bits)
            nodes.append(Sum(f"{name}.sum", (main, x), (0, shift)))
            nodes.append(Requantize(f"{name}.act2", f"{name}.sum", none, one, one * shift, 0, high))
            x, before = f"{name}.act2", width
    whole = (size // 4, size // 4)
    m, e = dyadic(255 / (high * whole[0] * whole[1]), 255)
    nodes += [
        AveragePool("mean", x, whole, whole),
        Requantize("pooled", "mean", none, np.array([m], np.int32), np.array([e], np.int32), 0, 255),
        Flatten("flat", "pooled"),
        Linear("fc", "flat", weights(classes, before, bits=8)),
        Logits(
            "logits",
            "fc",
            random.integers(-999, 1000, classes).astype(np.int32),
            random.uniform(1e-3, 2e-3, classes).astype(np.float32),
        ),
    ]
    return IntGraph(
        nodes=tuple(nodes),
        classes=tuple(f"class {number}" for number in range(classes)),
        preprocessing=Preprocessing(3, size, size),
        about=About(plan=f"w{bits}a{bits}", network="resnet20"),
    )


def dyadic(ratio: float, high: int) -> tuple[int, int]:
    """The odd m of at most 255, and e, whose `m 2^-e` is near the ratio."""
    largest = int(math.log2(2**24 / (high + 2)))  # of a window -128..127, high is 127
    exponent = min(largest, math.floor(math.log2(255 / ratio)))
    return min(255, round(ratio * 2**exponent) | 1), exponent


def medians(runs: dict[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """CPU seconds of every turn; each turn runs all of them, in a rotating order."""
    for run in runs.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for turn in range(turns):
        for name in (*names[turn % len(names) :], *names[: turn % len(names)]):
            start = time.thread_time()
            runs[name]()
            seconds[name].append(time.thread_time() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], over: str, under: str) -> dict[str, float]:
    """Median and quartiles of the ratio of the same turn."""
    ratios = [a / b for a, b in zip(seconds[over], seconds[under], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {"median": round(middle, 3), "lower quartile": round(low, 3), "upper quartile": round(high, 3)}


def measure(bits: int, turns: dict[int, int]) -> dict[str, Any]:
    """Sizes, kernels and ratios of one network."""
    graph = resnet20(bits)
    models = {
        "float32": float_twin(graph).SerializeToString(),
        "prediction": onnx_model(graph).SerializeToString(),
        "explanation": onnx_model(graph, explain=True).SerializeToString(),
    }
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    twin = onnxruntime.InferenceSession(models["float32"], options, providers=["CPUExecutionProvider"])
    prediction, explanation = Session(models["prediction"]), Session(models["explanation"])
    result: dict[str, Any] = {
        "bits": bits,
        "bytes": {name: len(data) for name, data in models.items()},
        "convolution kernels": {
            name: {kind: number for kind, number in kernels(data).items() if "Conv" in kind}
            for name, data in models.items()
        },
        "batches": {},
    }
    for batch, count in turns.items():
        images = np.random.default_rng(1).integers(0, 256, (batch, 3, 32, 32)).astype(np.uint8)

        def run_twin(images: Array = images) -> object:
            return twin.run(None, {"image": images})

        def run_prediction(images: Array = images) -> object:
            return prediction.run(images)

        def run_explanation(images: Array = images) -> object:
            return explanation.explain(images)

        seconds = medians({"float32": run_twin, "prediction": run_prediction, "explanation": run_explanation}, count)
        result["batches"][str(batch)] = {
            "turns": count,
            "median CPU ms": {name: round(1e3 * statistics.median(times), 3) for name, times in seconds.items()},
            "float32 / prediction": ratio(seconds, "float32", "prediction"),
            "explanation / prediction": ratio(seconds, "explanation", "prediction"),
            "explanation / float32": ratio(seconds, "explanation", "float32"),
        }
    return result


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 2], help="of the inner layers (default 4 2)")
    parser.add_argument("--turns", type=int, default=200, help="timed runs at batch 1 (default 200)")
    parser.add_argument("--turns-64", type=int, default=20, help="timed runs at batch 64 (default 20)")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    options = parser.parse_args()
    result = {
        "command": f"python benchmarks/onnx_latency.py --bits {' '.join(map(str, options.bits))} "
        f"--turns {options.turns} --turns-64 {options.turns_64}",
        "network": "ResNet-20, 32 x 32, random weights, 1 thread",
        "cpu": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "networks": [measure(bits, {1: options.turns, 64: options.turns_64}) for bits in options.bits],
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n", encoding="utf-8")


def processor() -> str:
    """The name of the CPU and its vector instructions, as far as the system tells."""
    path = Path("/proc/cpuinfo")
    listing = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = dict(line.partition(":")[::2] for line in reversed(listing) if ":" in line)
    fields = {key.strip(): value.strip() for key, value in found.items()}
    kinds = [
        kind
        for kind in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")
        if kind in fields.get("flags", "").split()
    ]
    return " ".join([fields.get("model name", platform.machine()), *kinds])


if __name__ == "__main__":
    main()
