"""What trained networks are worth once they are integers, on their whole test set.

    python -m benchmarks.deployed runs/fashion-mnist/runs/*pact* --data-dir DATA --json result.json

For every run with epochs in deployed arithmetic: accuracy fake-quantized and deployed; in how many of the test images
each back end's logits equal those of the definition, bit for bit; file sizes beside the sum of bits; kernels of ONNX
Runtime; errors of the saliency maps, and whether they agree with covering pixels of the integer network; speed, one
thread, as a ratio to ONNX Runtime and PyTorch in float32.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.onnx_latency import medians, processor, ratio
from glassbit._files import read_json
from glassbit.build import build_data
from glassbit.intgraph import IntGraph, load
from glassbit.quant import dequantize_
from glassbit.runtime import BACKENDS, Session, float_twin, from_logits, kernels, onnx_model, verify
from glassbit.runtime._session import open_session
from glassbit.study import deployed_model, saved_run, trained_model

Array = np.ndarray[Any, Any]

_WINDOW = 5


def measure(folder: Path, data_dir: str | None, mapped: int, turns: dict[int, int]) -> dict[str, Any]:
    """One run."""
    saved, result = saved_run(folder), read_json(folder / "result.json")
    graph = load(folder / "model.glassbit")
    data = build_data(saved.run.data.model_copy(update={"dir": data_dir}), download=False)
    images, labels = data.test.images.numpy(), data.test.labels.numpy()
    model = deployed_model(folder)
    assert model is not None, f"{folder} has no epochs in deployed arithmetic"

    def network(pixels: Array) -> Array:
        with torch.inference_mode():
            parts = torch.from_numpy(pixels).split(500)
            return torch.cat([model(part) for part in parts]).numpy()

    trained = from_logits("PyTorch, the trained network", lambda _, pixels: network(pixels))
    rows = verify(graph, images, explain=False, backends=(trained, *BACKENDS))
    maps = verify(graph, images[:mapped], explain=True)
    files = {
        "prediction": onnx_model(graph).SerializeToString(),
        "explanation": onnx_model(graph, explain=True).SerializeToString(),
        "float32": float_twin(graph).SerializeToString(),
    }
    return {
        "run": saved.run.id,
        "test accuracy": {
            "fake-quantized": result["test"]["accuracy"],
            "deployed": result["deployed"]["test"]["accuracy"],
            "of the definition": float((graph.run(images).argmax(1) == labels).mean()),
        },
        "equal logits": {row.backend: f"{row.images - row.differing} of {row.images}" for row in rows if row.images},
        "not run": {row.backend: row.note for row in rows if not row.images},
        "saliency error": {row.backend: row.saliency for row in maps if row.saliency is not None},
        "bytes": {
            "sum of bits": graph.certificate.stored_bits // 8,
            "artifact": (folder / "model.glassbit").stat().st_size,
            **{f"onnx, {name}": len(file) for name, file in files.items()},
        },
        "kernels": {name: dict(sorted(kernels(file).items())) for name, file in files.items()},
        "saliency against covering": covering(graph, images[:100]),
        "speed": {str(batch): speed(folder, files, images[:batch], count) for batch, count in turns.items()},
    }


def covering(graph: IntGraph, images: Array) -> dict[str, float]:
    """Rank correlation between the map, times the pixels and summed over squares of 5 x 5, and how far the predicted
    logit moves when that square is covered; beside it, the same with the maps of other images.
    """
    target = graph.run(images).argmax(1)
    maps = np.abs(images - float(graph.nodes[0].zero)).sum(1) * graph.saliency(images, target)  # type: ignore[union-attr]
    n, _, height, width = images.shape
    places = [(y, x) for y in range(0, height - _WINDOW + 1, 2) for x in range(0, width - _WINDOW + 1, 2)]
    clean = graph.run(images)[np.arange(n), target]
    changes, sums = np.zeros((n, len(places))), np.zeros((n, len(places)))
    for index, (y, x) in enumerate(places):
        covered = images.copy()
        covered[:, :, y : y + _WINDOW, x : x + _WINDOW] = graph.nodes[0].zero  # type: ignore[union-attr]
        changes[:, index] = np.abs(graph.run(covered)[np.arange(n), target] - clean)
        sums[:, index] = maps[:, y : y + _WINDOW, x : x + _WINDOW].sum((1, 2))
    return {
        "own map": round(correlation(sums, changes), 3),
        "map of another image": round(correlation(np.roll(sums, 1, axis=0), changes), 3),
        "images": n,
    }


def correlation(a: Array, b: Array) -> float:
    """The mean over rows of Spearman's rank correlation."""
    ranks = [values.argsort(1).argsort(1).astype(np.float64) for values in (a, b)]
    centred = [rank - rank.mean(1, keepdims=True) for rank in ranks]
    both = (centred[0] * centred[1]).sum(1) / np.sqrt((centred[0] ** 2).sum(1) * (centred[1] ** 2).sum(1))
    return float(both.mean())


def speed(folder: Path, files: dict[str, bytes], images: Array, turns: int) -> dict[str, Any]:
    """Ratios of the time of one batch; all take turns in this process, one thread each."""
    twin = open_session(files["float32"], "the float twin", threads=1, optimize=True)
    prediction, explanation = Session(files["prediction"]), Session(files["explanation"])
    eager = trained_model(folder)
    dequantize_(eager.network)
    pixels = torch.from_numpy(images)

    def in_torch() -> object:
        with torch.inference_mode():
            return eager(pixels)

    runs: dict[str, Callable[[], object]] = {
        "ONNX Runtime float32": lambda: twin.run(None, {"image": images}),
        "PyTorch float32": in_torch,
        "prediction": lambda: prediction.run(images),
        "explanation": lambda: explanation.explain(images),
    }
    seconds = medians(runs, turns)
    return {
        "turns": turns,
        "median ms": {name: round(1e3 * statistics.median(times), 3) for name, times in seconds.items()},
        "ONNX Runtime float32 / prediction": ratio(seconds, "ONNX Runtime float32", "prediction"),
        "PyTorch float32 / prediction": ratio(seconds, "PyTorch float32", "prediction"),
        "explanation / prediction": ratio(seconds, "explanation", "prediction"),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs with deploy_epochs")
    parser.add_argument("--data-dir", help="folder with the files of the data set (default: as in training)")
    parser.add_argument("--mapped", type=int, default=1000, help="images whose maps are compared (default 1000)")
    parser.add_argument("--turns", type=int, default=200, help="timed runs at batch 1 (default 200)")
    parser.add_argument("--turns-64", type=int, default=20, help="timed runs at batch 64 (default 20)")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.perf_counter()
    result: dict[str, Any] = {
        "command": "python -m benchmarks.deployed RUNS --data-dir DATA",
        "cpu": processor(),
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in ("torch", "numpy", "onnx", "onnxruntime")},
        "runs": [],
    }
    for folder in options.runs:
        found = measure(folder, options.data_dir, options.mapped, {1: options.turns, 64: options.turns_64})
        result["runs"].append(found)
        print(json.dumps(found, indent=2), flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
