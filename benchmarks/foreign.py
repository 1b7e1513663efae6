"""Which networks that are not ours become exact integers: timm's small ones, untrained.

    python -m benchmarks.foreign --out results/networks/foreign.csv
    python -m benchmarks.foreign --out foreign.csv --plans w2a2 w8a8 resnet18 regnetx_002

Per network and plan: BatchNorm statistics of a few batches, `quantize_`, `export_problems`, two steps of SGD,
`calibrate_`, `Deployed`, `lower`. Then logits, bit for bit: those of ONNX Runtime, `TorchGraph` and `Deployed` against
each other, and against the definition in NumPy on a few images; and the error of ONNX Runtime's saliency maps against
the definition's. A row is written as soon as it is known, and a network that has one is left out. It needs timm.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import re
import time
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit._errors import ExportError, GlassbitError
from glassbit.deploy import Deployed, TorchGraph, export_problems, lower
from glassbit.models import Classifier
from glassbit.quant import NAMED_PLANS, Plan, calibrate_, quantize_
from glassbit.runtime import Session, onnx_model, relative_error

FAMILIES = {
    "ResNet": ("resnet10t", "resnet18", "resnet26d", "seresnet18", "resnext26ts", "resnetv2_18", "res2net50_14w_8s"),
    "ResNet, blurred, selective, without norms": ("resnetblur18", "skresnet18", "nf_resnet26"),
    "RegNet": ("regnetx_002", "regnety_002", "gernet_s"),
    "plain": ("vgg11", "vgg11_bn", "darknet53", "selecsls42", "test_byobnet", "test_resnet"),
    "merged after training": ("repvgg_a0", "mobileone_s0", "repvit_m0_9", "repghostnet_050"),
    "concatenations": ("densenet121", "dla34", "dla46_c", "cspresnet50", "ese_vovnet19b_dw", "hgnetv2_b0"),
    "Inception": ("inception_v3", "xception41"),
    "MobileNet": ("mobilenetv1_100", "mobilenetv2_035", "mobilenetv2_100", "mobilenetv3_small_050", "lcnet_050"),
    "searched": ("mnasnet_small", "semnasnet_075", "fbnetc_100", "spnasnet_100", "hardcorenas_a", "mixnet_s"),
    "EfficientNet": ("efficientnet_lite0", "efficientnet_b0", "tinynet_e", "test_efficientnet", "rexnet_100"),
    "TensorFlow's padding": ("tf_efficientnet_lite0", "tf_efficientnet_b0", "tf_mobilenetv3_small_minimal_100"),
    "newer": ("mobilenetv4_conv_small", "starnet_s1", "fasternet_t0", "convmixer_768_32", "ghostnet_050"),
    "LayerNorm, attention": (
        *("convnext_atto", "mobilevit_xxs", "efficientvit_b0", "vit_tiny_patch16_224", "mixer_s32_224"),
    ),
}
NETWORKS = [name for names in FAMILIES.values() for name in names]
SIDES = {"inception_v3": 96, "xception41": 96}
"""Of images; others take 64 x 64."""
SIZED = ("vit_", "mixer_")
"""Beginnings of the names of networks that must be told the size of their images."""
CLASSES = 10
BATCH = 16
COMPARED, DEFINED = 64, 2
"""Images whose logits are compared, and how many of them the definition computes: NumPy is slow."""


@dataclass(frozen=True)
class Row:
    """What became of one network under one plan.

    Args:
        network, plan, side: what was measured, on square images of that side.
        outcome: "works", "refused" with an error of Glassbit's, or "failed" with another one.
        stage: what was done last.
        reason: why it was refused; the first two reasons.
        parameters, nodes: of the network, and of its integer graph.
        onnx_equal, deployed_equal: images of 64 on which every logit equals that of `TorchGraph`.
        numpy_equal: images of two on which every logit of ONNX Runtime equals that of the definition.
        map_error: of ONNX Runtime, relative to the largest value of the definition's maps.
        seconds: for all of it.
    """

    network: str
    plan: str
    side: int
    outcome: str = "works"
    stage: str = ""
    reason: str = ""
    parameters: int = 0
    nodes: int = 0
    onnx_equal: int = 0
    deployed_equal: int = 0
    numpy_equal: int = 0
    map_error: str = ""
    seconds: int = 0


def pictures(n: int, side: int, seed: int) -> Tensor:
    """Smooth pictures with noise, uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.rand(n, 3, 6, 6, generator=generator), (side, side), mode="bilinear")
    noise = torch.randn(n, 3, side, side, generator=generator)
    return (255 * coarse + 20 * noise).clamp(0, 255).round().to(torch.uint8)


def prepared(name: str, side: int) -> nn.Module:
    """A network of timm with statistics and factors as after training, where no BatchNorm multiplies with zeros."""
    timm: Any = importlib.import_module("timm")
    size = {"img_size": side} if name.startswith(SIZED) else {}
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=CLASSES, **size).eval()
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        if norm.affine and not norm.weight.any():
            nn.init.ones_(norm.weight)
        norm.train()
        norm.momentum = None  # the mean over all batches
    with torch.no_grad():
        for seed in range(3):
            network((pictures(BATCH, side, seed) / 255 - 0.5) / 0.25)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return network.eval()


def measure(name: str, plan: str, side: int) -> Row:
    """One network under one plan."""
    torch.manual_seed(0)
    started, stage = time.perf_counter(), "create"
    outcome, reason, found = "failed", "logits differ", dict[str, Any]()
    images = pictures(COMPARED, side, 100)
    try:
        network = prepared(name, side)
        found["parameters"] = sum(parameter.numel() for parameter in network.parameters())
        stage = "quantize"
        quantize_(network, Plan.named(plan), example=images[:2] / 255)
        model = Classifier(network, mean=(0.5,) * 3, std=(0.25,) * 3)
        stage = "before training"
        if problems := export_problems(model, images[:2]):
            raise ExportError(problems)
        stage = "train"
        two_steps(model, side)
        stage = "calibrate"
        calibrate_(model, images[:BATCH] / 255)
        stage = "deploy"
        deployed = Deployed(model.eval(), images[:BATCH]).eval()
        stage = "lower"
        graph = lower(deployed, images=images[:BATCH])
        found["nodes"] = len(graph.nodes)
        stage = "export"
        session = Session(onnx_model(graph, explain=True))
        stage = "compare"
        pixels = images.numpy()
        twin = TorchGraph(graph)
        with torch.inference_mode():
            torchs = torch.cat([twin(part) for part in images.split(BATCH)]).numpy()
            ours = torch.cat([deployed(part) for part in images.split(BATCH)]).numpy()
        onnxs = np.concatenate([session.run(pixels[at : at + BATCH]) for at in range(0, COMPARED, BATCH)])
        found["onnx_equal"] = equal(onnxs, torchs)
        found["deployed_equal"] = equal(ours, torchs)
        few = pixels[:DEFINED]
        found["numpy_equal"] = equal(onnxs[:DEFINED], graph.run(few))
        target = onnxs[:DEFINED].argmax(1)
        error = relative_error(session.explain(few, target)[1], graph.saliency(few, target))
        found["map_error"] = f"{error:.1e}"
        if found["onnx_equal"] == found["deployed_equal"] == COMPARED and found["numpy_equal"] == DEFINED:
            outcome, reason = "works", ""
    except Exception as error:  # noqa: BLE001 (whatever a network that is not ours raises is a result)
        outcome = "refused" if isinstance(error, GlassbitError) else "failed"
        reason = reasons(error)
    seconds = round(time.perf_counter() - started)
    return Row(name, plan, side, outcome, stage, reason, seconds=seconds, **found)


def two_steps(model: Classifier, side: int) -> None:
    """Train on noise, so that nothing is as it was made."""
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    model.train()
    for step in range(2):
        optimizer.zero_grad()
        logits = model(pictures(BATCH, side, 10 + step) / 255)
        F.cross_entropy(logits, torch.arange(BATCH) % CLASSES).backward()
        optimizer.step()
    model.eval()


def equal(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> int:
    """Count the images with equal logits."""
    return int((one == other).all(axis=1).sum())


def reasons(error: Exception) -> str:
    """The first two reasons of a refusal, or the first line of another error. The same reason counts once."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    listed = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    first: dict[str, str] = {}
    for line in listed:
        first.setdefault(re.sub(r"\d", "", line.partition(": ")[2]), line)
    if not isinstance(error, GlassbitError):
        return f"{type(error).__name__}: {lines[0] if lines else ''}"
    return " | ".join([*first.values()][:2] or lines[:1])


def kept(path: Path, again: Iterable[str]) -> list[dict[str, str]]:
    """The rows that a former run has written, but those with an outcome that is to be measured again."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["outcome"] not in set(again)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NETWORKS, help="networks of timm (default: the list above)")
    parser.add_argument("--plans", nargs="+", default=["w4a4"], choices=list(NAMED_PLANS))
    parser.add_argument("--again", nargs="*", default=[], help="outcomes to measure again, as refused failed")
    parser.add_argument("--out", type=Path, required=True, help="the table, one row per network and plan")
    options = parser.parse_args()
    try:
        importlib.import_module("timm")
    except ImportError as error:
        parser.error(f"timm must be installed; got {error}; pip install timm")
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = kept(options.out, options.again)
    known = {(row["network"], row["plan"]) for row in rows}
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        for name in options.names:
            for plan in options.plans:
                if (name, plan) in known:
                    continue
                row = measure(name, plan, SIDES.get(name, 64))
                writer.writerow(asdict(row))
                file.flush()
                print(f"{name} {plan}: {row.outcome} ({row.stage}, {row.seconds} s) {row.reason}", flush=True)


if __name__ == "__main__":
    main()
