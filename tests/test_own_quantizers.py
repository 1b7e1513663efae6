"""Quantizers from outside of the package: what obeys the contract is carried from the plan to the file."""

from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit import IntGraph, Plan, dequantize_, export_onnx, fit, load, lower, models, quantize_
from glassbit._errors import UsageError
from glassbit.datasets import Dataset, Split
from glassbit.deploy import Deployed, distances
from glassbit.intgraph import Grid, Preprocessing
from glassbit.quant import (
    SAWB,
    ActivationQuantizer,
    LearnedScale,
    Rounding,
    WeightQuantizer,
    calibrate_,
    cost,
    quantizers,
)
from glassbit.runtime import Session
from glassbit.train import CrossEntropy
from glassbit.train._optimizer import parameter_groups


def straight_through(values: Tensor, like: Tensor) -> Tensor:
    return values + (like - like.detach())


class LogStep(WeightQuantizer):
    """Weights on a step whose logarithm is learned."""

    grid: Grid = "signed"
    decays = True

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.log_step = nn.Parameter(torch.zeros(()))

    @property
    def codes(self) -> tuple[int, int]:
        return 1 - 2 ** (self.bits - 1), 2 ** (self.bits - 1) - 1

    @torch.no_grad()
    def initialise_(self, weight: Tensor) -> None:
        self.log_step.copy_((weight.abs().amax() / self.codes[1]).log())

    def scale(self, x: Tensor) -> Tensor:
        return self.log_step.detach().exp()

    def to_int(self, x: Tensor) -> Tensor:
        return (x.detach() / self.scale(x)).round().clamp(*self.codes).int()

    def quantize(self, x: Tensor) -> Tensor:
        low, high = (code * self.log_step.exp() for code in self.codes)
        return straight_through(self.to_int(x) * self.scale(x), x.maximum(low).minimum(high))


class Symmetric(WeightQuantizer):
    """Weights without zero, between plus and minus the largest one; nothing is learned."""

    grid: Grid = "odd"

    @property
    def codes(self) -> tuple[int, int]:
        return 0, 2**self.bits - 1

    def initialise_(self, weight: Tensor) -> None: ...

    def scale(self, x: Tensor) -> Tensor:
        return 2 * x.detach().abs().amax() / self.codes[1]

    def to_int(self, x: Tensor) -> Tensor:
        return (x.detach() / self.scale(x) - self.offset).round().clamp(*self.codes).int()

    def quantize(self, x: Tensor) -> Tensor:
        return straight_through((self.to_int(x) + self.offset) * self.scale(x), x)


class LogLevel(ActivationQuantizer):
    """Activations under a level whose logarithm is learned."""

    def __init__(self, bits: int) -> None:
        super().__init__(bits)
        self.log_level = nn.Parameter(torch.zeros(()))

    @property
    def level(self) -> Tensor:
        return self.log_level.detach().exp()

    @property
    def learned(self) -> LearnedScale:
        return LearnedScale(self.log_level, self._gradient)

    @torch.no_grad()
    def set_level_(self, level: float) -> None:
        self.log_level.fill_(np.log(level))

    def calibrate_(self, x: Tensor) -> None:
        self.set_level_(float(x.quantile(0.7)))

    def scale(self, x: Tensor | None = None) -> Tensor:
        return self.level / self.codes[1]

    def to_int(self, x: Tensor) -> Tensor:
        return (x.detach() / self.scale()).clamp(*self.codes).round().int()

    def quantize(self, x: Tensor) -> Tensor:
        return straight_through(self.to_int(x) * self.scale(), x.relu().minimum(self.log_level.exp()))

    def _gradient(self, grad: Tensor, rounding: Rounding) -> Tensor:
        return torch.where(rounding.above, grad, 0.0).sum() * rounding.per_code * self.level


class Unit(ActivationQuantizer):
    """Activations in [0, 1], as DoReFa-Net has them; nothing is learned."""

    level = torch.ones(())
    learned = None

    def set_level_(self, level: float) -> None: ...

    def calibrate_(self, x: Tensor) -> None: ...

    def scale(self, x: Tensor | None = None) -> Tensor:
        return self.level / self.codes[1]

    def to_int(self, x: Tensor) -> Tensor:
        return (x.detach() / self.scale()).clamp(*self.codes).round().int()

    def quantize(self, x: Tensor) -> Tensor:
        return straight_through(self.to_int(x) * self.scale(), x.clamp(0, 1))


class Network(nn.Module):
    """One ReLU for two calls, a BatchNorm, a residual sum, and an activation with a ceiling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv2, self.conv3 = nn.Conv2d(6, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.relu, self.last, self.pool = nn.ReLU(), nn.ReLU6(), nn.MaxPool2d(2)
        self.fc = nn.Linear(6 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.norm(self.conv1(x))))
        x = self.relu(self.conv2(x) + x)
        return self.fc(self.last(self.conv3(x)).flatten(1))


ACTIVATIONS = ("relu.0", "relu.1", "last")
WEIGHTS = ("conv1", "conv2", "conv3", "fc")
PAIRS = [(LogStep, LogLevel), (Symmetric, Unit), (LogStep, "pact"), ("lsq", Unit)]
pairs = pytest.mark.parametrize(("weights", "activations"), PAIRS, ids=lambda kind: getattr(kind, "__name__", kind))
quiet = {"batch_size": 32, "lr": 0.05, "validation": 0.25, "device": "cpu", "progress": False}


def data() -> Dataset:
    """Which of three columns is bright."""
    labels = torch.arange(96) % 3
    pixels = torch.randint(128, (96, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    pixels[torch.arange(96), 0, :, labels * 2] += 100
    split = Split(pixels.to(torch.uint8), labels)
    return Dataset("columns", split, split, ("a", "b", "c"))


def quantized(
    weights: str | type[WeightQuantizer], activations: str | type[ActivationQuantizer], edges: str = "same"
) -> models.Classifier:
    torch.manual_seed(0)
    model = models.Classifier(Network(), mean=(0.4,), std=(0.25,))
    quantize_(model.network, Plan.named("w4a4", weights=weights, activations=activations, edges=edges, alpha=3.0))
    return model


@pytest.mark.parametrize("kind", [LogStep, Symmetric, LogLevel, Unit])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_ours_obey_the_contract(kind: type[WeightQuantizer | ActivationQuantizer], bits: int) -> None:
    quantizer, x = kind(bits), (torch.randn(400, generator=torch.Generator().manual_seed(bits)) * 2).requires_grad_()
    assert torch.equal(quantizer(x), quantizer.scale(x) * (quantizer.to_int(x) + quantizer.offset))
    assert quantizer.to_int(x).min() >= quantizer.codes[0]
    assert quantizer.to_int(x).max() <= quantizer.codes[1]
    quantizer(x).sum().backward()
    assert all(learned.grad is not None for learned in (x, *quantizer.parameters()))
    assert str(quantizer) == f"{kind.__name__}(bits={bits})"


def test_a_plan_places_them_and_hands_them_weights_and_levels() -> None:
    network = quantized(LogStep, LogLevel).network
    made = dict(quantizers(network))
    assert {name: type(quantizer) for name, quantizer in made.items()} == {
        **dict.fromkeys(WEIGHTS, LogStep),
        **dict.fromkeys(ACTIVATIONS, LogLevel),
    }
    for name in ACTIVATIONS:
        assert made[name].placed == name
        assert made[name].level.item() == pytest.approx(3.0)
    weight = network.conv2.layer.weight
    assert made["conv2"].log_step.item() == pytest.approx((weight.abs().max() / 7).log().item())
    assert {row.weight_bits for row in cost(network, (1, 8, 8)).rows} == {4}
    network.conv3 = nn.Sequential(network.conv3, network.last)
    with pytest.raises(UsageError, match="last: must be called once per forward pass"):
        network(torch.zeros(2, 1, 8, 8))


def test_eight_bits_without_zero_give_way() -> None:
    made = dict(quantizers(quantized(Symmetric, Unit, edges="8").network))
    assert {name: type(made[name]) for name in WEIGHTS} == {
        "conv1": SAWB, "conv2": Symmetric, "conv3": Symmetric, "fc": SAWB,
    }  # fmt: skip


def test_calibration_asks_them() -> None:
    model = quantized(LogStep, LogLevel)
    images = data().train.images.float() / 255
    seen: dict[str, Tensor] = {}

    def look(module: nn.Module, inputs: tuple[Tensor]) -> None:
        seen["last"] = inputs[0].detach().clamp(0, 6)

    twin = copy.deepcopy(model).train()
    levels = calibrate_(model, images)
    assert set(levels) == {f"network.{name}" for name in ACTIVATIONS}
    twin.load_state_dict(model.state_dict())
    twin.network.last.register_forward_pre_hook(look)
    twin(images)
    assert levels["network.last"] == pytest.approx(seen["last"].flatten().quantile(0.7).item(), rel=1e-5)
    assert levels["network.last"] == model.network.last.level.item()


def test_what_they_learn_decays_as_they_say() -> None:
    model = quantized(LogStep, LogLevel)
    groups = parameter_groups(
        CrossEntropy(model), "sgd", lr=0.1, weight_decay=0.5, quantizer_lr=0.01, quantizer_decay=0.25
    )
    found = {id(parameter): (group["lr"], group["weight_decay"]) for group in groups for parameter in group["params"]}
    assert {found[id(quantizer.log_step)] for _, quantizer in quantizers(model) if isinstance(quantizer, LogStep)} == {
        (0.01, 0.25)
    }
    assert {found[id(model.network.last.log_level)], found[id(model.network.get_submodule("relu.0").log_level)]} == {
        (0.01, 0.0)
    }
    assert found[id(model.network.fc.layer.weight)] == (0.1, 0.5)


def test_integer_arithmetic_has_their_gradient() -> None:
    """That of PACT at the same levels, as the logarithm of a level passes it on."""
    ours, pact = quantized("sawb", LogLevel), quantized("sawb", "pact")
    images = data().train.images
    calibrate_(ours, images.float() / 255)
    for name in ACTIVATIONS:
        pact.network.get_submodule(name).alpha.data.copy_(ours.network.get_submodule(name).level)
    for model in (ours, pact):
        Deployed(model, images).train()(images).square().sum().backward()
    for name in ACTIVATIONS:
        level, alpha = ours.network.get_submodule(name), pact.network.get_submodule(name).alpha
        assert alpha.grad.abs() > 0
        assert level.log_level.grad.item() == pytest.approx((alpha.grad * alpha).item(), rel=1e-5)


@pairs
def test_from_the_plan_to_the_files_and_back(
    weights: str | type[WeightQuantizer], activations: str | type[ActivationQuantizer], tmp_path: Path
) -> None:
    model, images = quantized(weights, activations), data().train.images
    calibrate_(model, images.float() / 255)
    states: list[dict[str, Tensor]] = []

    def probe(epoch: int, network: nn.Module) -> None:
        found = network.classifier if isinstance(network, Deployed) else network
        states.append({name: value.clone() for name, value in found.state_dict().items()})

    run = {"out": tmp_path / "run", "deploy_epochs": 1, "probes": probe, **quiet}
    history = fit(CrossEntropy(model), data(), epochs=2, **run)
    assert len(history.epochs) == 3
    assert set(history.epochs[-1]["alphas"]) == set(ACTIVATIONS)
    assert set(history.epochs[-1]["steps"]) == (set(WEIGHTS) if weights in (LogStep, "lsq") else set())
    learned = [name for name in states[0] if name.endswith(("log_step", "log_level"))]
    assert len(learned) == 4 * (weights is LogStep) + 3 * (activations is LogLevel)
    for before, after in pairwise(states):
        assert not [name for name in learned if torch.equal(before[name], after[name])], "in every phase"
    again = quantized(weights, activations)
    assert fit(CrossEntropy(again), data(), epochs=2, **run).epochs == history.epochs
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in again.state_dict().items())

    deployed = Deployed(model, images).eval()
    assert all(tensor.off <= tensor.limit for tensor in distances(deployed, images))
    expected = deployed(images).detach().numpy()
    assert len(np.unique(expected)) > len(expected)
    graph = lower(deployed, classes=("a", "b", "c"), preprocessing=Preprocessing(channels=1, height=8, width=8))
    graph.save(tmp_path / "network.glassbit")
    export_onnx(graph, tmp_path / "network.onnx")
    read = load(tmp_path / "network.glassbit")
    assert isinstance(read, IntGraph)
    assert np.array_equal(read.run(images.numpy()), expected)
    assert np.array_equal(Session(tmp_path / "network.onnx").run(images.numpy()), expected)

    kept = model.network.conv1.layer.weight
    dequantize_(model.network)
    assert type(model.network.relu) is nn.ReLU
    assert type(model.network.last) is nn.ReLU6
    assert type(model.network.conv1) is nn.Conv2d
    assert model.network.conv1.weight is kept
    assert next(quantizers(model), None) is None


class Half(WeightQuantizer):
    """Lacks most of the contract."""

    grid: Grid = "signed"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"weights": Half},
            "weights must be a complete subclass of glassbit.quant.WeightQuantizer; got the class Half",
        ),
        (
            {"weights": LogLevel},
            "weights must be a complete subclass of glassbit.quant.WeightQuantizer; got the class LogLevel",
        ),
        ({"activations": nn.ReLU}, "activations must be a complete subclass of glassbit.quant.ActivationQuantizer"),
        ({"activations": LogLevel(4)}, r"activations must be one of pact, .*; got a LogLevel"),
    ],
)
def test_what_is_no_quantizer_is_refused(options: dict[str, type], says: str) -> None:
    with pytest.raises(UsageError, match=f"Plan w4a4: {says}"):
        Plan.named("w4a4", **options)
