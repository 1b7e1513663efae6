"""What training needs before its first step: checked settings, a Fabric, the split of the images."""

from __future__ import annotations

import math
import os
from typing import Any, Literal, get_args

from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from glassbit._errors import UsageError
from glassbit.datasets import Split, split_validation

from ._objective import Objective
from ._optimizer import Optimizer

Precision = Literal["32-true", "bf16-mixed"]
DeployBatchNorm = Literal["frozen", "reestimated"]

SETTINGS = (
    "epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay", "schedule", "milestones", "gamma",
    "quantizer_lr", "quantizer_decay", "flip", "crop", "validation", "seed", "precision", "deploy_epochs", "deploy_lr",
    "deploy_batchnorm", "accumulate",
)  # fmt: skip
_NEWER = {"ramp": 0.0}
"""Options of objectives that older checkpoints do not name, with what stands for them there."""


def check(settings: dict[str, Any]) -> None:
    """Refuse settings out of range, all of them at once.

    Raises:
        UsageError: a number is out of range, or a word is none of its choices.
    """
    problems = [
        f"{name} must be {must}; got {settings[name]!r}"
        for name, must, holds in (
            ("epochs", "at least 1", settings["epochs"] >= 1),
            ("batch_size", "at least 1", settings["batch_size"] >= 1),
            (
                "accumulate",
                f"1..{settings['batch_size']}, the batch size",
                settings["accumulate"] == 1 or 1 < settings["accumulate"] <= settings["batch_size"],
            ),
            ("lr", "a positive number", 0 < settings["lr"] < math.inf),
            ("momentum", "in [0, 1)", 0 <= settings["momentum"] < 1),
            ("weight_decay", "at least 0", settings["weight_decay"] >= 0),
            ("validation", "in [0, 0.5]", 0 <= settings["validation"] <= 0.5),
            ("crop", "at least 0", settings["crop"] >= 0),
            ("optimizer", "sgd, adamw or muon", settings["optimizer"] in get_args(Optimizer)),
            ("schedule", "onecycle, cosine or step", settings["schedule"] in ("onecycle", "cosine", "step")),
            ("precision", "32-true or bf16-mixed", settings["precision"] in get_args(Precision)),
            ("deploy_epochs", "at least 0", settings["deploy_epochs"] >= 0),
            ("deploy_lr", "a positive number", settings["deploy_lr"] is None or 0 < settings["deploy_lr"] < math.inf),
            ("deploy_batchnorm", "frozen or reestimated", settings["deploy_batchnorm"] in get_args(DeployBatchNorm)),
        )
        if not holds
    ]
    if problems:
        raise UsageError("fit: " + "; ".join(problems))


def make_fabric(device: str, devices: int, precision: Precision) -> Fabric:
    """Fabric for this process: alone, one of `devices`, or one of torchrun's."""
    nodes = 1
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    # running statistics are the first process's; `fit` hands them on once an epoch, DDP would before every step
    strategy = DDPStrategy(broadcast_buffers=False) if devices * nodes > 1 else "auto"
    fabric = Fabric(accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)
    fabric.launch()
    return fabric


def splits(train: Split, validation: float, seed: int) -> tuple[Split, Split | None]:
    """The images to train on, and those to validate on; None where `validation` is 0."""
    if validation == 0:
        return train, None
    return split_validation(train, fraction=validation, seed=seed)


def describe(objective: Objective) -> str:
    """The objective and its options, e.g. `SaliencyGuided(batchnorm='clean', k=0.5)`."""
    options = {
        name: value
        for name, value in sorted(vars(objective).items())
        if isinstance(value, int | float | str)
        and name not in ("training", "progress")
        and not name.startswith("_")
        and (name, value) not in _NEWER.items()
    }
    return f"{type(objective).__name__}({', '.join(f'{name}={value!r}' for name, value in options.items())})"
