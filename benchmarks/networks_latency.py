"""How long the integers of every shipped network take beside float32, in ONNX Runtime on one thread.

    python -m benchmarks.networks_latency --plans w4a4 w8a8 --json result.json

Networks of the table in docs/networks.md at their native sizes, with random weights, BatchNorm statistics and clipping
levels from random images: time depends on shapes. float32 is the network itself as torch.onnx exports it, which takes
normalised float32 images; ONNX Runtime folds its BatchNorm. The integer file takes bytes. Both answer one image in
turn, in one process, and their CPU time is compared turn by turn.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import platform
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnxruntime
import torch
from torch import nn

from benchmarks.onnx_latency import medians, processor, ratio
from glassbit import Plan, lower, models, quantize_
from glassbit.deploy import _deployed, reestimate_
from glassbit.quant import calibrate_
from glassbit.runtime import kernels, onnx_model
from glassbit.runtime._session import open_session

NETWORKS: dict[str, tuple[Callable[..., nn.Module], int, tuple[int, int, int]]] = {
    "cnn-bn": (models.cnn_bn, 10, (1, 28, 28)),
    "resnet8": (models.resnet8, 10, (3, 32, 32)),
    "resnet20": (models.resnet20, 10, (3, 32, 32)),
    "ds-cnn": (models.ds_cnn, 12, (1, 49, 10)),
    "mobilenet-v1-025": (models.mobilenet_v1_025, 2, (3, 96, 96)),
    "mobilenet-v2-035-96": (models.mobilenet_v2_035, 1000, (3, 96, 96)),
    "mobilenet-v2-035": (models.mobilenet_v2_035, 1000, (3, 224, 224)),
    "mobilenet-v3-small": (models.mobilenet_v3_small, 1000, (3, 224, 224)),
    "squeezenet": (models.squeezenet, 1000, (3, 224, 224)),
}


def files(name: str, plans: list[str]) -> dict[str, bytes]:
    """Return the network as float32, and as integers by each plan."""
    make, classes, shape = NETWORKS[name]
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand((24, shape[0], 7, 7), generator=generator)
    images = nn.functional.interpolate(coarse, shape[1:], mode="bilinear")
    images = (images + 0.2 * torch.rand(images.shape, generator=generator)).div(1.2)
    pixels = images.mul(255).round().to(torch.uint8)

    def network() -> nn.Module:
        torch.manual_seed(0)
        model = models.Classifier(make(classes, shape[0]), mean=[0.5] * shape[0], std=[0.25] * shape[0])
        reestimate_(model, [pixels])
        return model.eval()

    written = {"float32": exported(network().network, shape)}
    for plan in plans:
        model = network()
        with (
            warnings.catch_warnings(),
            mock.patch.object(_deployed, "check"),
        ):  # how near untrained weights are is no matter
            warnings.simplefilter("ignore")
            quantize_(model.network, Plan.named(plan), example=images[:1])
            calibrate_(model, pixels)
            reestimate_(model, [pixels])
            written[plan] = onnx_model(lower(model.eval(), images=pixels)).SerializeToString()
    return written


def exported(network: nn.Module, shape: tuple[int, int, int]) -> bytes:
    """Return what torch.onnx writes of a network, for any number of images."""
    file = io.BytesIO()
    axes = {"image": {0: "n"}, "logits": {0: "n"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.zeros(1, *shape),), file, dynamo=False, opset_version=17,
            input_names=["image"], output_names=["logits"], dynamic_axes=axes,
        )  # fmt: skip
    return file.getvalue()


def measure(name: str, plans: list[str], turns: int, folder: Path | None) -> list[dict[str, Any]]:
    """Return a row for each plan."""
    shape = NETWORKS[name][2]
    kept = {plan: folder / f"{name}.{plan}.onnx" for plan in ("float32", *plans)} if folder else {}
    if kept and all(file.exists() for file in kept.values()):
        made = {plan: file.read_bytes() for plan, file in kept.items()}
    else:
        made = files(name, plans)
        for plan, file in kept.items():
            file.write_bytes(made[plan])
    pixels = np.random.default_rng(1).integers(0, 256, (1, *shape)).astype(np.uint8)
    real = (pixels.astype(np.float32) / 255 - 0.5) / 0.25
    sessions = {plan: open_session(data, name, threads=1, optimize=True) for plan, data in made.items()}

    def runner(plan: str) -> Callable[[], object]:
        feeds = {"image": real if plan == "float32" else pixels}
        return lambda: sessions[plan].run(None, feeds)

    seconds = medians({plan: runner(plan) for plan in made}, turns)
    rows = []
    for plan in plans:
        compared = ratio(seconds, "float32", plan)
        rows.append(
            {
                "network": name.removesuffix("-96"),
                "images": " x ".join(map(str, shape)),
                "plan": plan,
                "float32 ms": round(1e3 * float(np.median(seconds["float32"])), 3),
                "integers ms": round(1e3 * float(np.median(seconds[plan])), 3),
                **{f"float32 / integers, {key}": value for key, value in compared.items()},
                "kernels": dict(kernels(made[plan]).most_common()),
            }
        )
    return rows


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS), metavar="NAME")
    parser.add_argument("--plans", nargs="+", default=["w4a4", "w8a8"], metavar="PLAN")
    parser.add_argument("--turns", type=int, default=100, help="timed runs of each (default 100)")
    parser.add_argument("--folder", type=Path, help="where the ONNX files are, or are to be kept")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--csv", type=Path, help="write its rows, without the kernels, to this file")
    options = parser.parse_args()
    if options.folder:
        options.folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in options.networks:
        for row in measure(name, options.plans, options.turns, options.folder):
            rows.append(row)
            print(*(value for key, value in row.items() if key != "kernels"), sep=", ", flush=True)
    result = {
        "command": f"python -m benchmarks.networks_latency --plans {' '.join(options.plans)} --turns {options.turns}",
        "cpu": processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "rows": rows,
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, [key for key in rows[0] if key != "kernels"], extrasaction="ignore")
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    main()
