"""What training needs before its first step: checked settings, a Fabric, the split of the images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch

from glassbit._arguments import require
from glassbit._errors import UsageError
from glassbit._takes import is_path
from glassbit.datasets import Dataset, Split, split_validation

from ._machine import cores
from ._objective import Objective
from ._options import Precision

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_ANYWHERE = 2
"""Processes that any machine can run, however slowly."""
_NEWER = {"ramp": 0.0}
"""Options of objectives that older checkpoints do not name, with what stands for them there."""


def check_subjects(objective: Any, data: Any, out: Any) -> None:
    """Refuse what cannot be trained, trained on, or written to.

    Raises:
        UsageError: with what was expected, what was found, and the repair.
    """
    must, repair = "a glassbit.train.Objective", "wrap the network, CrossEntropy(network)"
    require("fit", "objective", isinstance(objective, Objective), must, objective, repair)
    must, repair = "a glassbit.datasets.Dataset", "load one, glassbit.datasets.load(name)"
    require("fit", "data", isinstance(data, Dataset), must, data, repair)
    must, repair = "the path of a folder, or None", "leave it out to keep nothing"
    require("fit", "out", out is None or is_path(out, longest=None), must, out, repair)


def make_fabric(device: str, devices: int, precision: Precision) -> Fabric:
    """Fabric for this process: alone, one of `devices`, or one of torchrun's.

    Raises:
        UsageError: this machine has no such device, or fewer of them.
    """
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    nodes = 1
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    elif device == "cpu" or (device == "auto" and not _has_accelerator()):
        most = max(cores(), _ANYWHERE)
        must = f"at most {most} on this machine's CPU, one for each core, or {_ANYWHERE}"
        require("fit", "devices", devices <= most, must, devices, "use fewer devices")
    # running statistics are the first process's; `fit` hands them on once an epoch, DDP would before every step
    strategy = DDPStrategy(broadcast_buffers=False) if devices * nodes > 1 else "auto"
    try:
        fabric = Fabric(accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)
    except (ValueError, RuntimeError) as error:  # Fabric's own words for what the machine lacks
        text = " ".join(str(error).split())
        raise UsageError(
            f"fit: device must be one that this machine has {devices} of; got {device!r} ({text}); use device='auto' "
            "and fewer devices"
        ) from error
    fabric.launch()
    return fabric


def _has_accelerator() -> bool:
    return torch.cuda.is_available() or torch.backends.mps.is_available()


def splits(train: Split, validation: float, seed: int) -> tuple[Split, Split | None]:
    """Return the images to train on, and those to validate on; None where `validation` is 0."""
    if validation == 0:
        return train, None
    return split_validation(train, fraction=validation, seed=seed)


def describe(objective: Objective) -> str:
    """Return the objective and its options, e.g. `SaliencyGuided(batchnorm='clean', k=0.5)`."""
    options = {
        name: value
        for name, value in sorted(vars(objective).items())
        if isinstance(value, int | float | str)
        and name not in ("training", "progress")
        and not name.startswith("_")
        and (name, value) not in _NEWER.items()
    }
    return f"{type(objective).__name__}({', '.join(f'{name}={value!r}' for name, value in options.items())})"
