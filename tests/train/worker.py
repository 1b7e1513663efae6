"""Trains a small network on made-up images: `python worker.py OUT EPOCHS SETTINGS_JSON`. Run alone, killed, or under
torchrun.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from glassbit.datasets import Dataset, Split
from glassbit.quant import Plan, quantize_
from glassbit.train import CrossEntropy, History, SaliencyGuided, fit


def made_up(images: int = 96) -> Dataset:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(images) % 3
    pixels = torch.randint(128, (images, 1, 8, 8), generator=generator)
    pixels[torch.arange(images), 0, labels * 2] += 100
    split = Split(pixels.to(torch.uint8), labels)
    return Dataset("made-up", split, split, ("a", "b", "c"))


def network() -> nn.Module:
    torch.manual_seed(5)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(4, 4, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(64, 3),
    )  # fmt: skip
    quantize_(model, Plan.named("w4a4", alpha=2.0))
    return model


def unmixed() -> nn.Module:
    """Nothing that an image does in it depends on another one, or on chance."""
    torch.manual_seed(5)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))


def train(
    out: Path,
    epochs: int,
    stop_after: int | None = None,
    masking: dict[str, Any] | None = None,
    plain: bool = False,
    **settings: object,
) -> History:
    """`stop_after`: raise KeyboardInterrupt when that epoch's probe is called, as Ctrl-C would; `masking`: options of
    the objective; `plain`: cross-entropy of the plain network instead.
    """

    def probes(epoch: int, model: nn.Module) -> None:
        torch.rand(3)  # a probe that draws random numbers must not change the training
        if epoch == stop_after:
            raise KeyboardInterrupt

    options = {"batch_size": 16, "lr": 0.05, "flip": True, "crop": 1, "validation": 0.25, "progress": False, **settings}
    guided = {"k": 0.5, **(masking or {})}
    objective = CrossEntropy(unmixed()) if plain else SaliencyGuided(network(), **guided)
    return fit(objective, made_up(), epochs=epochs, out=out, probes=probes, **options)  # type: ignore[arg-type]


if __name__ == "__main__":
    torch.set_num_threads(1)
    train(Path(sys.argv[1]), int(sys.argv[2]), **json.loads(sys.argv[3]))
    if torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
