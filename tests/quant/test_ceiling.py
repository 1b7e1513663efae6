"""Activations with a ceiling of their own: clipping levels start at or below it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit.quant import PACT, LSQActivation, Plan, Rule, calibrate_, dequantize_, quantize_

CEILINGS: dict[str, tuple[Callable[[], nn.Module], float]] = {
    "relu6": (nn.ReLU6, 6.0),
    "hardtanh": (lambda: nn.Hardtanh(0.0, 1.0), 1.0),
    "wide": (lambda: nn.Hardtanh(0.0, 20.0), 20.0),
}
IMAGES = torch.rand(256, 1, 4, 4, generator=torch.Generator().manual_seed(1))
each = pytest.mark.parametrize(("make", "ceiling"), CEILINGS.values(), ids=CEILINGS)
starts = pytest.mark.parametrize("alpha", [10.0, 0.5, "data"])
kinds = pytest.mark.parametrize("activations", ["pact", "lsq"])


def network(make: Callable[[], nn.Module]) -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 64), make(), nn.Linear(64, 3))
    net[1].weight.data.mul_(40)
    return net


def plan(alpha: float | Literal["data"], activations: Literal["pact", "lsq"]) -> Plan:
    """Eight-bit activations between float weights: what is off is theirs."""
    rules = (Rule("*", 32, 8), Rule("1", 32, 8), Rule("3", 32, 8))
    return Plan("mine", rules, activations=activations, alpha=alpha)


def level(net: nn.Module) -> float:
    for module in net.modules():
        if isinstance(module, PACT):
            return module.alpha.item()
        if isinstance(module, LSQActivation):
            return module.step.item() * module.codes[1]
    raise AssertionError("nothing was quantized")


def off(got: Tensor, wanted: Tensor) -> float:
    return ((got - wanted).abs().max() / (wanted.max() - wanted.min())).item()


@each
@starts
@kinds
def test_levels_start_at_or_below_the_ceiling(
    make: Callable[[], nn.Module], ceiling: float, alpha: float | Literal["data"], activations: Literal["pact", "lsq"]
) -> None:
    net = network(make)
    assert net[:2](IMAGES).max() > ceiling, "nothing reaches the ceiling"
    quantize_(net, plan(alpha, activations))
    assert level(net) == pytest.approx(min(10.0 if alpha == "data" else alpha, ceiling), rel=1e-6)
    levels = calibrate_(net, IMAGES)
    assert 0.9 * ceiling < level(net) <= ceiling * (1 + 1e-6)
    assert levels == {"2": pytest.approx(level(net))}


@each
@kinds
def test_eight_bits_keep_the_logits(
    make: Callable[[], nn.Module], ceiling: float, activations: Literal["pact", "lsq"]
) -> None:
    net = network(make)
    wanted = net(IMAGES)
    quantize_(net, plan("data", activations))
    calibrate_(net, IMAGES)
    assert off(net(IMAGES), wanted) < 0.02
    net[2].replaced = ()  # as a quantizer that knows no ceiling
    calibrate_(net, IMAGES)
    assert off(net(IMAGES), wanted) > 0.02


@each
def test_pretrained_weights_and_copies(make: Callable[[], nn.Module], ceiling: float) -> None:
    pretrained, net = network(make), network(make)
    pretrained[1].weight.data.mul_(2)
    quantize_(net, plan("data", "pact"))
    net.load_state_dict(pretrained.state_dict(), strict=False)
    twin = copy.deepcopy(net)
    calibrate_(twin, IMAGES)
    assert level(twin) <= ceiling
    assert level(net) == min(10.0, ceiling)


def test_the_original_comes_back() -> None:
    net = network(nn.ReLU6)
    before = net[2], net(IMAGES)
    quantize_(net, Plan.named("w8a8"))
    calibrate_(net, IMAGES)
    dequantize_(net)
    assert net[2] is before[0]
    assert torch.equal(net(IMAGES), before[1])


def test_training_may_raise_the_level() -> None:
    net = network(nn.ReLU6)
    quantize_(net, plan(6.0, "pact"))
    (-net[2](torch.full((4, 64), 9.0)).sum()).backward()
    torch.optim.SGD(net.parameters(), 0.01).step()
    assert level(net) > 6.0
    assert net[2](torch.full((1,), 9.0)).item() == pytest.approx(level(net))


def test_a_ceiling_below_the_smallest_level_is_refused() -> None:
    net = network(lambda: nn.Hardtanh(0.0, 1e-4))
    with pytest.raises(UsageError, match=r"2: its ceiling of 0.0001 is below 0.001, the smallest clipping level"):
        quantize_(net, Plan.named("w8a8"))
