"""Training in deployed arithmetic."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit import CrossEntropy, RandomMasking, SaliencyGuided, models
from glassbit._errors import UsageError
from glassbit.deploy import Deployed, lower, reestimate_
from glassbit.intgraph import About, IntGraph, Preprocessing
from glassbit.models._resnet import ResNet
from glassbit.quant import Plan, calibrate_, quantize_
from glassbit.train import Objective

from .networks import pictures, quantized

OBJECTIVES = {
    "plain": CrossEntropy,
    "random": RandomMasking,
    "shared": lambda model: SaliencyGuided(model, gradient="shared", batchnorm="eval", fill="mean"),
    "separate": lambda model: SaliencyGuided(model, gradient="separate", batchnorm="both"),
}


def labels(images: Tensor) -> Tensor:
    """Which quarter of a picture is brightest."""
    return F.adaptive_avg_pool2d(images.float(), 2).mean(1).flatten(1).argmax(1)


def deployed(name: str) -> Deployed:
    return Deployed(quantized(name, Plan.named("w4a4")), pictures(1, 8, 16)).train()


def ready() -> Deployed:
    """As a training run hands it over: fresh clipping levels and statistics."""
    torch.manual_seed(0)
    model = models.Classifier(ResNet("resnet8", 1, 4, 1, "B"), mean=(0.5,), std=(0.25,))
    quantize_(model.network, Plan.named("w4a4"))
    images = pictures(1, 8, 32, seed=1).float() / 255
    reestimate_(model, [images])
    calibrate_(model, images)
    return Deployed(model, images).train()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_loss_falls_and_the_graph_follows(objective: str):
    model, images = ready(), pictures(1, 8, 32, seed=5)
    trained: Objective = OBJECTIVES[objective](model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    losses = []
    torch.manual_seed(0)
    for _ in range(7):
        loss = trained(images, labels(images))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        losses.append(float(loss.classification.detach()))
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
    after = model.state_dict()
    for name, value in before.items():
        frozen = "running" in name or name.endswith(("num_batches_tracked", "mean", "std")) or name == "shifts"
        assert torch.equal(value, after[name]) == frozen, name
    assert np.array_equal(model.eval()(images).detach().numpy(), lower(model).run(images.numpy()))


def test_one_step_is_the_same_under_autocast():
    model = deployed("resnet8-A")
    images = pictures(1, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(images)
    assert torch.equal(mixed, model(images))


def test_state_comes_back():
    model, other = deployed("resnet8-B"), quantized("resnet8-B", Plan.named("w4a4"), seed=1)
    other = Deployed(other, torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    assert not torch.equal(model.shifts, other.shifts)
    other.load_state_dict(model.state_dict())
    images = pictures(1, 8, 8)
    assert torch.equal(model(images), other(images))
    assert torch.equal(copy.deepcopy(model)(images), model(images))


def test_it_is_near_the_network_that_it_deploys():
    for name, side in (("cnn_bn", 28), ("own", 14), ("mlp", 14)):
        model = quantized(name, Plan.named("w8a8"))
        images = pictures(1, side, 16, seed=9)
        with torch.no_grad():
            wanted, found = model(images), Deployed(model, images).eval()(images)
        assert np.corrcoef(wanted.flatten(), found.flatten())[0, 1] > 0.99, name


def test_statistics_are_plain_averages_of_batches():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=0.3), nn.Dropout(0.5), nn.BatchNorm2d(3))
    batches = [torch.rand(4, 1, 6, 6) for _ in range(3)]
    network[2].eval()
    reestimate_(network, iter(batches))
    maps = [network[0](batch) for batch in batches]
    mean = torch.stack([x.mean((0, 2, 3)) for x in maps]).mean(0)
    variance = torch.stack([x.var((0, 2, 3)) for x in maps]).mean(0)
    assert torch.allclose(network[1].running_mean, mean, atol=1e-6)
    assert torch.allclose(network[1].running_var, variance, atol=1e-6)
    assert torch.allclose(network[3].running_mean, torch.zeros(3), atol=1e-6)
    assert [norm.momentum for norm in (network[1], network[3])] == [0.3, 0.1]
    assert [module.training for module in network] == [True, True, False, True]
    with pytest.raises(UsageError, match="reestimate_: batches must be one or more; got none"):
        reestimate_(network, [])
    reestimate_(nn.Conv2d(1, 3, 3), [])


def test_lowering_converts_what_is_not_deployed():
    model = quantized("cnn_bn", Plan.named("w4a4"))
    images = pictures(1, 28, 8)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    preprocessing = Preprocessing(1, 28, 28, resize="pad")
    graph = lower(model, classes=("a", "b", "c", "d"), preprocessing=preprocessing, about=About(plan="w4a4"))
    assert isinstance(graph, IntGraph)
    assert graph.classes == ("a", "b", "c", "d")
    assert graph.preprocessing == preprocessing
    assert graph.about.plan == "w4a4"
    other = lower(Deployed(model, images))
    assert other.classes == ("0", "1", "2", "3")
    assert other.preprocessing == Preprocessing(1, 28, 28)
    assert np.array_equal(graph.run(images.numpy()), other.run(images.numpy()))
    assert np.array_equal(graph.run(images.numpy()), lower(model, images=images).run(images.numpy()))
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())
    assert not model.training


def test_lowering_a_bare_network_reads_pixels_as_they_are():
    model = quantized("mlp", Plan.named("w4a4"))
    images = pictures(1, n=8)
    graph = lower(model.network, images=images)
    assert graph.nodes[0].zero == 0
    assert np.array_equal(Deployed(model.network, images).eval()(images).detach().numpy(), graph.run(images.numpy()))


def test_lowering_says_what_is_missing():
    model = quantized("resnet8-A", Plan.named("w4a4"))
    with pytest.raises(
        UsageError, match="lower: images or preprocessing must be given, to know the size of images; got neither"
    ):
        lower(model)
    with pytest.raises(
        UsageError, match=r"lower: images must be given, to find the range of signed values \(layer1.0.bn2, "
    ):
        lower(model, preprocessing=Preprocessing(1, 12, 12))
    ready = Deployed(model, pictures(1, 12, 8))
    with pytest.raises(UsageError, match="lower: classes must be 4 names, one per logit; got 2"):
        lower(ready, classes=("a", "b"))
    with pytest.raises(UsageError, match=r"preprocessing must make images of \(1, 12, 12\), .*; got \(1, 8, 12\)"):
        lower(ready, preprocessing=Preprocessing(1, 8, 12))
    with torch.no_grad():
        model.network.conv1.layer.weight[0, 0, 0, 0] = torch.nan
    with pytest.raises(UsageError, match=r"conv1.layer.weight: "):
        lower(ready)


def test_a_layer_may_be_called_twice():
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.conv, self.relu, self.fc = (
                nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Linear(16, 3),
            )  # fmt: skip

        def forward(self, x: Tensor) -> Tensor:
            x = self.relu(self.stem(x))
            x = self.relu(self.conv(self.relu(self.conv(x))))
            return self.fc(x.flatten(1))

    network = Twice()
    quantize_(network, Plan.named("w4a4"))
    images = pictures(1, 4, 8)
    model = Deployed(models.Classifier(network, mean=(0.5,), std=(0.5,)), images).eval()
    graph = lower(model)
    assert [node.name for node in graph.nodes] == [
        "image", "stem", "relu.0", "conv", "relu.1", "conv#2", "relu.2", "flatten", "fc", "logits",
    ]  # fmt: skip
    assert np.array_equal(model(images).detach().numpy(), graph.run(images.numpy()))
