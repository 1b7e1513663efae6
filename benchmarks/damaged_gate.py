"""Does the gate open for a sound low-bit network and stay shut for damaged ones?

    python -m benchmarks.damaged_gate REFERENCE CANDIDATE --data-dir DATA --json result.json

REFERENCE and CANDIDATE are runs, the candidate quantized. Two networks are made of it and held against the reference
with the default policy, as the candidate itself is:

    clipped   every clipping level at a share of what was learned: a fault of calibration, which costs accuracy
    misled    some more training, with a term that gathers the saliency map in the top-left corner of every image:
              the network answers as before, and its explanation is a lie (location fooling of Heo et al. 2019, arXiv
              1902.02041)
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
from dataclasses import asdict
from importlib import metadata
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit.build import build_data
from glassbit.datasets import Batches, Dataset
from glassbit.evidence import Comparison, Policy, judge
from glassbit.measure import TorchSubject, compare, draw, measure
from glassbit.models import to_unit
from glassbit.quant import PACT
from glassbit.study import saved_run, trained_model

_TOWARDS_CORNER = 1.0
_CORNER = 4  # the corner is 1 / 4 of each side


def clipped(model: nn.Module, share: float) -> nn.Module:
    """A copy whose clipping levels are `share` of what they were."""
    damaged = copy.deepcopy(model)
    for module in damaged.modules():
        if isinstance(module, PACT):
            module.alpha.data.mul_(share)
    return damaged


def misled(model: nn.Module, data: Dataset, *, steps: int) -> nn.Module:
    """A copy that was trained on to answer alike and to explain every answer by the top-left corner."""
    damaged = copy.deepcopy(model).train()
    optimizer = torch.optim.AdamW(damaged.parameters(), lr=5e-4)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    batches = Batches(data.train, batch_size=128, seed=0)
    passes = (batch for epoch in count(1) for batch in batches.epoch(epoch))
    for images, labels in islice(passes, steps):
        x = to_unit(images).requires_grad_()
        logits = damaged(x)
        chosen = logits.gather(1, labels[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, x, create_graph=True)
        loss = F.cross_entropy(logits, labels) + _TOWARDS_CORNER * (1 - _in_corner(gradient))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return damaged.eval()


def _in_corner(gradient: Tensor) -> Tensor:
    """The share of the maps that lies in the corner, a mean over the images."""
    size = gradient.abs().sum(1)
    height, width = (side // _CORNER for side in size.shape[1:])
    return (size[:, :height, :width].sum((1, 2)) / size.sum((1, 2)).clamp(min=1e-12)).mean()


def main() -> None:
    """Damage, measure, judge and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reference", type=Path)
    parser.add_argument("candidate", type=Path, help="a run with quantized activations")
    parser.add_argument("--data-dir", help="folder with the files of the data set (default: as in training)")
    parser.add_argument("--images", type=int, default=1000, help="test images to measure on (default 1000)")
    parser.add_argument("--share", type=float, default=0.3, help="of the clipping levels that is left (default 0.3)")
    parser.add_argument("--steps", type=int, default=600, help="training steps that mislead (default 600)")
    parser.add_argument("--json", type=Path, help="write the result to this file")
    options = parser.parse_args()
    saved = saved_run(options.candidate)
    data = build_data(saved.run.data.model_copy(update={"dir": options.data_dir}), download=False)
    sound = trained_model(options.candidate)
    networks = {
        "reference": trained_model(options.reference),
        "sound": sound,
        "clipped": clipped(sound, options.share),
        "misled": misled(sound, data, steps=options.steps),
    }
    pixels = draw(data, options.images)
    shape = (data.channels, *data.size)
    measured = {
        name: measure(TorchSubject(network, name=name, image_shape=shape), data, images=options.images)
        for name, network in networks.items()
    }
    result: dict[str, Any] = {
        "command": "python -m benchmarks.damaged_gate REFERENCE CANDIDATE --data-dir DATA",
        "reference": saved_run(options.reference).run.id,
        "candidate": saved.run.id,
        "images": len(pixels.labels),
        "share": options.share,
        "steps": options.steps,
        "versions": {"python": platform.python_version(), "torch": metadata.version("torch")},
        "policy": asdict(Policy()),
        "verdicts": {},
    }
    for name in ("sound", "clipped", "misled"):
        comparison: Comparison = compare(measured["reference"], measured[name])
        verdict = judge(comparison, Policy())
        print("\n".join(verdict.lines()), flush=True)
        result["verdicts"][name] = {
            "accuracy": measured[name].accuracy,
            "passed": verdict.passed,
            "checks": [asdict(check) for check in verdict.checks],
        }
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
