"""An optimizer that was made before `quantize_` is noticed after its first step, and no other one is."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import nn

from glassbit._errors import GlassbitWarning
from glassbit.quant import Plan, quantize_
from glassbit.train import CrossEntropy, Muon, Objective, RandomMasking, SaliencyGuided, fit

from .worker import made_up

IMAGES = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8) % 3
OBJECTIVES = [CrossEntropy, SaliencyGuided, RandomMasking]
OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
    "plain": lambda p: torch.optim.SGD(p, lr=0.01, foreach=False),
    "fused": lambda p: torch.optim.SGD(p, lr=0.01, fused=True),
    "adamw": torch.optim.AdamW,
    "adamw one by one": lambda p: torch.optim.AdamW(p, foreach=False),
    "adamw fused": lambda p: torch.optim.AdamW(p, fused=True),
    "muon": lambda p: Muon([{"params": list(p), "lr": 0.01, "weight_decay": 0.0}]),
}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def steps(objective: Objective, optimizer: torch.optim.Optimizer, count: int, *, accumulate: int = 1) -> list[str]:
    """What was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(count):
            (objective(IMAGES, LABELS).total / accumulate).backward()
            if (number + 1) % accumulate == 0:
                optimizer.step()
                optimizer.zero_grad()
    assert all(issubclass(warning.category, GlassbitWarning) for warning in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("make", OBJECTIVES)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_made_too_early(make: Callable[[nn.Module], Objective], kind: str, accumulate: int) -> None:
    net = network()
    optimizer = OPTIMIZERS[kind](net.parameters())
    quantize_(net, Plan.named("w4a4", weights="lsq", alpha=0.1))
    said = steps(make(net), optimizer, 4 * accumulate, accumulate=accumulate)
    if "fused" in kind:
        assert not said, "fused optimizers leave a trace now: say so"
        return
    assert len(said) == 1, "once is enough"
    assert all(name in said[0] for name in ("1.alpha", "0.quantizer.step", "3.quantizer.step"))
    assert "make it from objective.parameters() afterwards" in said[0]


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("make", OBJECTIVES)
@pytest.mark.parametrize("accumulate", [1, 3])
def test_made_in_time(make: Callable[[nn.Module], Objective], kind: str, accumulate: int) -> None:
    net = network()
    quantize_(net, Plan.named("w4a4", weights="lsq", alpha=0.1))
    objective = make(net)
    assert not steps(objective, OPTIMIZERS[kind](objective.parameters()), 4 * accumulate, accumulate=accumulate)
    twin = copy.deepcopy(objective)
    assert not steps(twin, OPTIMIZERS[kind](twin.parameters()), 3)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda net: net[1].alpha.requires_grad_(False), id="frozen"),
        pytest.param(lambda net: net[1].alpha.data.fill_(1e6), id="no gradient yet is no news"),
    ],
)
def test_what_is_meant_to_stay(change: Callable[[nn.Module], Any]) -> None:
    net = network()
    quantize_(net, Plan.named("w4a4"))
    change(net)
    rest = [parameter for parameter in net.parameters() if parameter is not net[1].alpha]
    if net[1].alpha.requires_grad:
        rest.append(net[1].alpha)
    assert not steps(CrossEntropy(net), torch.optim.SGD(rest, lr=0.01), 3)


def test_weights_that_something_else_changes() -> None:
    """As with clipped weights and a fused optimizer, which raises no version: the levels do move."""
    net = network()
    quantize_(net, Plan.named("w4a4", alpha=0.1))
    objective = CrossEntropy(net)
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.01, fused=True)
    for _ in range(3):
        assert not steps(objective, optimizer, 1)
        with torch.no_grad():
            for parameter in net.parameters():
                if parameter.dim() > 1:
                    parameter.clamp_(-1, 1)


def test_a_network_in_full_precision() -> None:
    net = network()
    assert not steps(CrossEntropy(net), torch.optim.SGD(net[0].parameters(), lr=0.01), 3)


def test_evaluation_between_steps() -> None:
    net = network()
    quantize_(net, Plan.named("w4a4"))
    objective = CrossEntropy(net)
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.01)
    for _ in range(3):
        assert not steps(objective, optimizer, 1)
        with torch.no_grad():
            objective(IMAGES, LABELS)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_fit_knows_its_own(optimizer: Any) -> None:
    net = network()
    quantize_(net, Plan.named("w4a4", weights="lsq"))
    fit(
        CrossEntropy(net), made_up(), epochs=1, deploy_epochs=1, batch_size=32, lr=0.01, optimizer=optimizer,
        progress=False, device="cpu",
    )  # fmt: skip
