"""Networks that call one activation several times, as integers: each call has its own codes, in every form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit import models, saliency
from glassbit._errors import UsageError
from glassbit.deploy import Deployed, TorchGraph, lower
from glassbit.intgraph import IntGraph, Requantize
from glassbit.quant import Plan, Rule, calibrate_, quantize_
from tests.quant.shared import NETWORKS, Shared

from .networks import pictures, statistics_

WINDOWS = {
    "shared": (3, 3, 255),
    "functional": (3, 3, 255),
    "recurrent": (3, 3, 3, 255, 255),
    "functional recurrent": (3, 3, 3, 255, 255),
}  # the last one of it is of the mean


def quantized(name: str, plan: Plan) -> models.Classifier:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    statistics_(network)
    quantize_(network, plan, example=torch.zeros(2, 1, 16, 16))
    model = models.Classifier(network, mean=(0.29,), std=(0.35,))
    calibrate_(model, pictures(1, 16, 8, 1).float() / 255)
    return model.eval()


def windows(graph: IntGraph) -> list[int]:
    return [node.high for node in graph.nodes if isinstance(node, Requantize)]


@pytest.mark.parametrize("name", WINDOWS)
def test_each_call_has_the_window_of_its_bits(name: str) -> None:
    model = quantized(name, Plan.named("w2a2"))
    assert tuple(windows(lower(model, images=pictures(1, 16)))) == WINDOWS[name]


def test_windows_of_torchvisions_residual_network() -> None:
    graph = lower(quantized("resnet", Plan.named("w2a2")), images=pictures(1, 16))
    codes = [node.high for node in graph.nodes if isinstance(node, Requantize) and node.low == 0]
    assert codes == [3, 3, 3, 3, 3, 3, 255, 255]  # of the stem, two per block, and of the mean


@pytest.mark.parametrize("activations", ["pact", "lsq"])
@pytest.mark.parametrize(
    ("name", "plan"),
    [
        *(("shared", "w2a2"), ("shared", "w4a4"), ("recurrent", "w4a4"), ("resnet", "w4a4")),
        *(("functional", "w2a2"), ("functional resnet", "w4a4"), ("functional recurrent", "w4a4")),
    ],
)
def test_every_form_gives_the_same_bits(name: str, plan: str, activations: str) -> None:
    model = Deployed(quantized(name, Plan.named(plan, activations=activations)), pictures(1, 16, 8, 2)).eval()
    images = pictures(1, 16, 12)
    graph = lower(model)
    expected = graph.run(images.numpy())
    with torch.no_grad():
        assert len(np.unique(expected)) > len(expected)
        assert np.array_equal(model(images).numpy(), expected)
        assert np.array_equal(model.train()(images).numpy(), expected)
        assert np.array_equal(TorchGraph(graph)(images).numpy(), expected)
    wanted = graph.saliency(images[2:6].numpy())
    assert wanted.max() > 0
    for form in (model, TorchGraph(graph)):
        assert np.abs(saliency(form, images[2:6]).numpy() - wanted).max() <= 1e-5 * wanted.max()


def test_integers_are_fake_quantization_up_to_rounding() -> None:
    model = quantized("shared", Plan.named("w8a8"))
    images = pictures(1, 16, 12)
    with torch.no_grad():
        expected = model(images).numpy()
        difference = np.abs(lower(model, images=images).run(images.numpy()) - expected).max()
        assert difference <= 0.01 * expected.std()
        sites = model.network.relu
        sites._modules["0"], sites._modules["1"] = sites._modules["1"], sites._modules["0"]
        assert np.abs(model(images).numpy() - expected).max() > 0.02 * expected.std(), "levels do not matter here"


def test_saliency_of_the_integers_is_the_reverse_pass_of_fake_quantization() -> None:
    model = quantized("shared", Plan.named("w8a8"))
    images = pictures(1, 16, 12)[2:]
    exact, fake = lower(model, images=images).saliency(images.numpy()), saliency(model, images).numpy()
    assert np.corrcoef(exact.ravel(), fake.ravel())[0, 1] > 0.95


def test_a_call_in_full_precision_is_named() -> None:
    model = quantized("shared", Plan("mine", (Rule("*", 4, 4), Rule("relu.1", 4, 32))))
    with pytest.raises(UsageError, match=r"relu\.1: this ReLU stays in full precision"):
        Deployed(model, pictures(1, 16))


def test_gradients_reach_every_level() -> None:
    model = Deployed(quantized("resnet", Plan.named("w4a4", alpha=1.0)), pictures(1, 16, 8, 2)).train()
    model(pictures(1, 16)).logsumexp(1).sum().backward()
    levels = [value for name, value in model.named_parameters() if name.endswith("alpha")]
    assert len(levels) == 7
    assert all(level.grad is not None for level in levels)


class Apart(Shared):
    """`Shared`, written with an activation for each call."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ModuleList([nn.ReLU(), nn.ReLU(), nn.ReLU()])

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu[0](self.c1(x)))
        x = self.pool(self.relu[1](self.c2(x)))
        return self.fc(self.relu[2](self.c3(x)).flatten(1))


@pytest.mark.parametrize("name", ["shared", "functional"])
@pytest.mark.parametrize("plan", ["w2a2", "layers-4-2"])
def test_it_is_the_network_with_an_activation_for_each_call(
    monkeypatch: pytest.MonkeyPatch, plan: str, name: str
) -> None:
    shared = quantized(name, Plan.named(plan))
    monkeypatch.setitem(NETWORKS, "shared", Apart)
    apart, images = quantized("shared", Plan.named(plan)), pictures(1, 16)
    states = [model.state_dict() for model in (shared, apart)]
    assert sorted(states[0]) == sorted(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert torch.equal(shared(images), apart(images))
    graphs = [lower(model, images=images) for model in (shared, apart)]
    assert np.array_equal(*(graph.run(images.numpy()) for graph in graphs))
    assert windows(graphs[0]) == windows(graphs[1])
