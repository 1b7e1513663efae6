"""Whether other processors compute the same logits: Haswell (no dot-product instructions) and ARM64, emulated.

    python scripts/processors.py haswell
    python scripts/processors.py arm64 --python "qemu-aarch64 -L ROOT ROOT/usr/bin/python3.11"

Networks, images and the logits of the definition are written to a folder on this machine. The emulated one runs them in
ONNX Runtime: optimiser on and off, one thread and two, all images at once and one by one. It needs NumPy and ONNX
Runtime alone, for ARM64 of that machine.

A positive control comes first: a convolution beyond the pair bound whose weights are int8 all the same. It must be
wrong on Haswell, or the emulated processor is not the one that is meant.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

Array = np.ndarray[Any, Any]

HOME = Path(__file__).resolve().parent.parent
CONTROL = "control"


def main() -> int:
    """Return 0 if all logits are equal and the control behaves as it must."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "processor", choices=["haswell", "arm64", "run"], help="'run' is what the emulated one is given"
    )
    parser.add_argument("folder", nargs="?", type=Path, help="of 'run'")
    parser.add_argument("--graphs", type=int, default=500, help="random networks beside the fixed ones (default 500)")
    parser.add_argument("--images", type=int, default=64, help="for each network (default 64)")
    parser.add_argument("--python", help="the command that starts Python on the emulated processor")
    options = parser.parse_args()
    if options.processor == "run":
        return run(options.folder)
    emulator = {"haswell": "qemu-x86_64", "arm64": "qemu-aarch64"}[options.processor]
    if options.python is None and shutil.which(emulator) is None:
        print(f"{emulator} is not installed; on Debian and Ubuntu: apt install qemu-user", file=sys.stderr)
        return 2
    if options.processor == "arm64" and options.python is None:
        print("arm64 needs --python: a Python of ARM64 with NumPy and ONNX Runtime up to 1.27", file=sys.stderr)
        return 2
    interpreter = Path(sys.executable).resolve()
    command = options.python or f"{emulator} -cpu Haswell {interpreter}"
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), options.graphs, options.images)
        started = time.perf_counter()
        script = [*shlex.split(command), __file__, "run", name]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        if options.processor == "haswell":
            environment["PYTHONPATH"] = str(Path(np.__file__).parents[1])
        done = subprocess.run(script, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        lines = done.stdout.splitlines()
        print(*(line for line in lines if not line.startswith(CONTROL)), sep="\n")
        print(f"{time.perf_counter() - started:.0f} s on the emulated processor")
    wrong = [int(line.split()[1]) for line in lines if line.startswith(CONTROL)]
    if not wrong:
        return 1
    control = next(line.split() for line in lines if line.startswith(CONTROL))
    print(f"positive control: {control[1]} of {int(control[1]) + int(control[2])} logits differ")
    if options.processor == "haswell" and not wrong[0]:
        print("the control must differ on Haswell; got equal logits; nothing above shows anything", file=sys.stderr)
        return 1
    return done.returncode


def write(folder: Path, graphs: int, images: int) -> None:
    """Write models, images and logits: fixed networks, random ones, the control."""
    sys.path[:0] = [str(HOME / "tests"), str(HOME / "tests" / "support")]
    from graphs import images_for, random_graph
    from runtime.cases import CASES

    from glassbit.runtime import _onnx_weights, onnx_model

    made = {name: make() for name, make in CASES.items()}
    made |= {f"random-{seed}": random_graph(seed) for seed in range(1000, 1000 + graphs)}
    for name, graph in made.items():
        pixels = images_for(graph, images)
        (folder / f"{name}.onnx").write_bytes(onnx_model(graph).SerializeToString())
        np.savez(folder / f"{name}.npz", images=pixels, logits=graph.run(pixels))
    graph = control()
    pixels = images_for(graph, 256)
    with mock.patch.object(_onnx_weights, "SATURATION", 2**31):
        (folder / f"{CONTROL}.onnx").write_bytes(onnx_model(graph).SerializeToString())
    np.savez(folder / f"{CONTROL}.npz", images=pixels, logits=graph.run(pixels))


def control() -> Any:
    """Signed codes of 8 bits and weights up to 127: safe by the largest |code|, 128, and not by what is stored, 255."""
    from glassbit.intgraph import Conv, Flatten, Input, IntGraph, Linear, Logits, Preprocessing, Requantize, Weights

    generator, one = np.random.default_rng(0), np.ones(1, np.int32)
    nodes = (
        Input("image", 16, 3, 3, 128),
        Conv("conv", "image", Weights(generator.choice([1, 255], (8, 16, 3, 3)).astype(np.uint8), 8, "signed")),
        Requantize("codes", "conv", 0 * one, one, 11 * one, -128, 127),
        Flatten("flat", "codes"),
        Linear("fc", "flat", Weights((2 + np.eye(8)).astype(np.uint8), 2, "signed")),
        Logits("logits", "fc", np.zeros(8, np.int32), np.ones(8, np.float32)),
    )
    return IntGraph(nodes, tuple("abcdefgh"), Preprocessing(16, 3, 3))


def run(folder: Path) -> int:
    """Compare all networks of a folder; needs NumPy and ONNX Runtime alone."""
    import onnxruntime

    wrong = differing(folder / f"{CONTROL}.onnx", [(True, 1, 256)])
    size = np.load(folder / f"{CONTROL}.npz")["logits"].size
    print(CONTROL, wrong, size - wrong, flush=True)
    bad, pairs = [], 0
    names = sorted(path.stem for path in folder.glob("*.onnx") if path.stem != CONTROL)
    for name in names:
        settings = [*itertools.product((True, False), (1, 2), (10**6,)), (True, 1, 1)]
        if differing(folder / f"{name}.onnx", settings):
            bad.append(name)
        pairs += len(np.load(folder / f"{name}.npz")["images"])
    machine = f"ONNX Runtime {onnxruntime.__version__}, {os.uname().machine}"
    print(f"{machine}: {len(names) - len(bad)} of {len(names)} networks equal in 5 settings, {pairs} images")
    if bad:
        print("differ:", *bad)
    return int(bool(bad))


def differing(model: Path, settings: list[tuple[bool, int, int]]) -> int:
    """Return how many logits differ from the definition's, in all settings together."""
    import onnxruntime

    data, level = np.load(model.with_suffix(".npz")), onnxruntime.GraphOptimizationLevel
    images, logits, count = data["images"], data["logits"], 0
    for optimize, threads, batch in settings:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = threads, 3
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimize else level.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        parts = range(0, len(images) if batch > 1 else min(7, len(images)), batch)
        for first in parts:
            (got,) = session.run(["logits"], {"image": images[first : first + batch]})
            count += int((got != logits[first : first + batch]).sum())
    return count


if __name__ == "__main__":
    sys.exit(main())
