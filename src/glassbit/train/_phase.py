"""The two phases of a training: in floating point, then in the arithmetic of the exported network."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from glassbit.datasets import Split, calibration_images
from glassbit.deploy import Deployed

from ._masked_pass import MaskedPass
from ._objective import Objective
from ._optimizer import Optimizer, make_optimizer, parameter_groups, rate
from ._options import FitOptions

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_DEPLOYED: dict[Optimizer, float] = {"sgd": 100, "adamw": 10, "muon": 100}
"""By what the learning rate is divided in deployed arithmetic."""


@dataclass(frozen=True)
class Phase:
    """What changes between the phases.

    Args:
        arithmetic: what the log calls it.
        best: the checkpoint of its best epoch.
        objective, optimizer: as Fabric set them up.
        factor: of the learning rate, of the number of steps done since the first epoch.
    """

    arithmetic: Literal["float", "deployed"]
    best: Literal["best.pt", "deployed.pt"]
    objective: Any
    optimizer: Any
    factor: Callable[[int], float]


def float_phase(fabric: Fabric, objective: Objective, options: FitOptions, *, steps: int) -> Phase:
    """Return the first phase.

    Args:
        fabric: of the run.
        objective: owns the network.
        options: of the run.
        steps: per epoch.
    """
    total = options.epochs * steps
    return Phase(
        "float",
        "best.pt",
        *_set_up(fabric, objective, options, options.lr),
        lambda done: rate(options.schedule, done / total, milestones=options.milestones, gamma=options.gamma),
    )


def deployed_phase(fabric: Fabric, objective: Objective, options: FitOptions, *, steps: int, images: Split) -> Phase:
    """Return the second phase; `objective.model` becomes a `Deployed`.

    Args:
        fabric, objective, options, steps: as in `float_phase`.
        images: training images, to calibrate with.
    """
    objective.model = Deployed(objective.model, calibration_images(images, seed=options.seed))
    for part in objective.children():
        if isinstance(part, MaskedPass):
            part.requires_grad_(False)  # folded BatchNorm has no second set, and DDP waits for what has no gradient
    lr = options.lr / _DEPLOYED[options.optimizer] if options.deploy_lr is None else options.deploy_lr
    return Phase(
        "deployed",
        "deployed.pt",
        *_set_up(fabric, objective, options, lr),
        lambda done: 1 - (done / steps - options.epochs) / options.deploy_epochs,
    )


def _set_up(fabric: Fabric, objective: Objective, options: FitOptions, lr: float) -> tuple[Any, Any]:
    """Objective and optimizer, on the device."""
    groups = parameter_groups(
        objective,
        options.optimizer,
        lr=lr,
        weight_decay=options.weight_decay,
        quantizer_lr=None if options.quantizer_lr is None else options.quantizer_lr * lr / options.lr,
        quantizer_decay=options.quantizer_decay,
    )
    objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with warnings.catch_warnings():  # torch 2.13 has a new name for it, torch 2.11 only this one
        warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")
        ready: tuple[Any, Any] = fabric.setup(objective, make_optimizer(groups, options.optimizer, options.momentum))
    return ready
