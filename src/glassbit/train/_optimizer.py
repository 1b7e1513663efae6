"""Parameter groups, optimizers and learning-rate schedules."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import nn

from glassbit.quant import Quantizer

from ._muon import Muon

Optimizer = Literal["sgd", "adamw", "muon"]
Schedule = Literal["onecycle", "cosine", "step"]

_WARM = 0.25
_START = 0.04


def parameter_groups(
    objective: nn.Module,
    kind: Optimizer,
    *,
    lr: float,
    weight_decay: float,
    quantizer_lr: float | None,
    quantizer_decay: float | None,
) -> list[dict[str, Any]]:
    """Three groups: the network and what its objective learns beside it, scales of quantizers that decay (the clipping
    levels of PACT), scales that do not (the steps of LSQ).

    For Muon there is one more, `matrices`: the weights of all layers but the last, whose rows are classes and which
    Jordan et al. 2024 leave out, too.

    Clipping levels get the L2 penalty of 1805.06085, equal to the weight decay unless `quantizer_decay` says otherwise,
    counted once; steps get none.
    """
    quantizers = [module for module in objective.modules() if isinstance(module, Quantizer)]
    decaying = [parameter for module in quantizers if module.decays for parameter in module.parameters()]
    steady = [parameter for module in quantizers if not module.decays for parameter in module.parameters()]
    apart = {id(parameter) for parameter in decaying + steady}
    network = [
        parameter for parameter in objective.parameters() if parameter.requires_grad and id(parameter) not in apart
    ]
    rate = lr if quantizer_lr is None else quantizer_lr
    decay = weight_decay if quantizer_decay is None else quantizer_decay
    matrices = [parameter for parameter in network if parameter.ndim > 1][:-1] if kind == "muon" else []
    inside = {id(parameter) for parameter in matrices}
    groups: list[dict[str, Any]] = [
        {
            "params": [parameter for parameter in network if id(parameter) not in inside],
            "lr": lr,
            "weight_decay": weight_decay,
        },
        {"params": decaying, "lr": rate, "weight_decay": decay},
        {"params": steady, "lr": rate, "weight_decay": 0.0},
        {"params": matrices, "lr": lr, "weight_decay": weight_decay, "matrices": True},
    ]
    groups = [group for group in groups if group["params"]]
    return [{**group, "full_lr": group["lr"]} for group in groups]


def make_optimizer(groups: list[dict[str, Any]], kind: Optimizer, momentum: float) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, AdamW with momentum as its first beta, or Muon."""
    if kind == "sgd":
        return torch.optim.SGD(groups, lr=0.1, momentum=momentum, nesterov=momentum > 0)
    if kind == "muon":
        return Muon(groups, momentum=momentum)
    return torch.optim.AdamW(groups, betas=(momentum, 0.999))


def rate(schedule: Schedule, progress: float, *, milestones: tuple[float, ...], gamma: float) -> float:
    """Return the factor on the learning rate when `progress` (0..1) of all steps is done.

    onecycle   linear from 0.04 to 1 over the first quarter, then linear to 0
    cosine     (1 + cos(pi progress)) / 2
    step       gamma^(number of milestones passed)
    """
    if schedule == "onecycle":
        return _START + (1 - _START) * progress / _WARM if progress < _WARM else (1 - progress) / (1 - _WARM)
    if schedule == "cosine":
        return (1 + math.cos(math.pi * progress)) / 2
    return float(gamma ** sum(progress >= milestone for milestone in milestones))
