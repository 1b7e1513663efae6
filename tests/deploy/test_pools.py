"""Average pools of every kind: their codes are the means that torch computes, and so are their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit import models
from glassbit.deploy import Deployed, _ops, lower
from glassbit.intgraph import AveragePool, SumPool
from glassbit.models._resnet import ResNet
from glassbit.quant import Plan, calibrate_, quantize_
from glassbit.runtime import Session, onnx_model

from .networks import pictures

Pool = Callable[[Tensor], Tensor]
POOLS: dict[str, tuple[Pool, type]] = {
    "adaptive": (nn.AdaptiveAvgPool2d(4), SumPool),
    "adaptive, larger than the map": (nn.AdaptiveAvgPool2d((9, 13)), SumPool),
    "adaptive, a side as it is": (nn.AdaptiveAvgPool2d((None, 3)), SumPool),
    "adaptive, a function": (lambda x: F.adaptive_avg_pool2d(x, (2, 5)), SumPool),
    "adaptive, even": (nn.AdaptiveAvgPool2d((7, 5)), AveragePool),
    "adaptive, one": (nn.AdaptiveAvgPool2d(1), AveragePool),
    "even": (nn.AvgPool2d(2), AveragePool),
    "padded": (nn.AvgPool2d(3, 2, padding=1), SumPool),
    "padding not counted": (nn.AvgPool2d((2, 5), (1, 2), padding=(1, 2), count_include_pad=False), SumPool),
    "over the edge": (nn.AvgPool2d(3, 2, ceil_mode=True), SumPool),
    "over the edge of the padding": (nn.AvgPool2d(4, 3, padding=1, ceil_mode=True), SumPool),
    "another divisor": (nn.AvgPool2d(2, divisor_override=5), AveragePool),
    "padded, another divisor": (lambda x: F.avg_pool2d(x, 3, padding=1, divisor_override=4), SumPool),
}
SIDES = (7, 10)


class Net(nn.Module):
    """A convolution, an activation, a pool and a linear layer."""

    def __init__(self, pool: Pool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.pool = pool
        self.fc = nn.Linear(pool(torch.zeros(1, 4, *SIDES)).numel(), 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.pool(self.relu(self.conv(x))).flatten(1))


def images(n: int = 8) -> Tensor:
    return F.interpolate(pictures(1, 14, n).float(), SIDES).to(torch.uint8)


def deployed(pool: Pool, bits: int) -> Deployed:
    torch.manual_seed(0)
    network = Net(pool)
    quantize_(network, Plan.named(f"w{bits}a{bits}", edges="same"), example=images().float() / 255)
    model = models.Classifier(network, mean=(0.4,), std=(0.3,))
    calibrate_(model, images().float() / 255)
    return Deployed(model, images()).eval()


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("name", POOLS)
def test_codes_are_the_means_of_torch(name: str, bits: int):
    """Within half a code: the step is exact, whatever the dyadic factor; and the largest mean is at most code 256."""
    pool, kind = POOLS[name]
    model = deployed(pool, bits)
    graph = lower(model)
    (node,) = (node for node in graph.nodes if isinstance(node, AveragePool | SumPool))
    assert type(node) is kind
    traced = graph.trace(images().numpy())
    folding = model.folding()
    folding.run()
    (made,) = (other.name for other in graph.nodes if getattr(other, "input", "") == node.name)
    unit = float(folding.scales[made].step / folding.scales["relu"].step)
    wanted = pool(torch.from_numpy(traced["relu"]).double()).numpy()
    assert np.abs(traced[made] - (wanted / unit).clip(max=255)).max() <= 0.5 + 1e-9
    assert len(np.unique(traced[made])) > bits
    highest = float(pool(torch.full((1, 1, *SIDES), 2.0**bits - 1, dtype=torch.float64)).max())
    assert 120 < highest / unit < 256


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", POOLS)
def test_gradients_are_those_of_torch(name: str, training: bool, monkeypatch: pytest.MonkeyPatch):
    pool, _ = POOLS[name]
    model = deployed(pool, 4).train(training)
    divisors = {step.input: step.divisor for step in model.program.steps if hasattr(step, "divisor")}
    x = (images().float() / 255).requires_grad_()
    factors = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))

    def outcome() -> list[Tensor]:
        logits = model(x)
        return [logits, *torch.autograd.grad((logits * factors).sum(), [x, *model.parameters()])]

    ours, plain = outcome(), _ops.pool

    def twin(node: Any, values: Tensor) -> Tensor:
        if node.name not in divisors:
            return plain(node, values)
        sums = pool(values.double()) * divisors[node.name]
        return (sums + (sums.round() - sums).detach()).float()

    monkeypatch.setattr(_ops, "pool", twin)
    for one, other in zip(ours, outcome(), strict=True):
        assert one.abs().max() > 0
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


def shipped(name: str, size: tuple[int, int]) -> nn.Module:
    if name == "cnn":
        return models.cnn(3, 1, size)
    if name == "resnet8":
        return ResNet("resnet8", 1, 3, 1, "A")
    return models.cnn_bn(3, 1, width=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "plan"),
    [
        ("cnn-bn", (8, 8), "w4a4"),
        ("cnn-bn", (9, 9), "w2a2"),
        ("cnn-bn", (12, 20), "w8a8"),
        ("cnn-bn", (41, 41), "w8a8"),
        ("cnn-bn", (49, 49), "w4a4"),
        ("cnn-bn", (57, 100), "w4a4"),
        ("cnn-bn", (96, 97), "w2a2"),
        ("cnn-bn", (127, 8), "w4a4"),
        ("cnn-bn", (248, 120), "w8a8"),
        ("cnn-bn", (256, 255), "w4a4"),
        ("cnn", (6, 6), "w4a4"),
        ("cnn", (7, 33), "w8a8"),
        ("resnet8", (4, 4), "w4a4"),
        ("resnet8", (5, 31), "w8a8"),
        ("resnet8", (253, 120), "w8a8"),
    ],
)
def test_shipped_networks_are_exact_at_any_size(name: str, size: tuple[int, int], plan: str):
    torch.manual_seed(0)
    network = shipped(name, size)
    quantize_(network, Plan.named(plan, alpha=2.0), example=torch.zeros(2, 1, *size))
    x = F.interpolate(pictures(1, 14, 4).float(), size).to(torch.uint8)
    model = Deployed(models.Classifier(network, mean=(0.4,), std=(0.3,)), x).eval()
    graph = lower(model)
    expected = graph.run(x.numpy())
    assert len(np.unique(expected)) > 4
    with torch.no_grad():
        assert np.array_equal(model(x).numpy(), expected)
    for optimize in (True, False):
        assert np.array_equal(Session(onnx_model(graph), optimize=optimize).run(x.numpy()), expected)
