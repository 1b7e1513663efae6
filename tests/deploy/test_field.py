"""Networks of the field become integers: what trains, what is shipped and every back end are equal, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit import intgraph, models
from glassbit.backends import BACKENDS
from glassbit.deploy import Deployed, TorchGraph, distances, lower
from glassbit.quant import Plan, calibrate_, quantize_
from glassbit.runtime import verify
from tests.deploy import field, networks

SIDE = 13
pytestmark = pytest.mark.filterwarnings("ignore::glassbit._errors.GlassbitWarning")


def classifier(name: str, plan: str) -> tuple[models.Classifier, Tensor]:
    torch.manual_seed(0)
    network = field.FIELD[name]()
    networks.statistics_(network)
    images = networks.pictures(1, SIDE, 16, 1)
    quantize_(network, Plan.named(plan), example=images[:2] / 255)
    model = models.Classifier(network, mean=(0.3,), std=(0.35,))
    calibrate_(model, images / 255)
    return model.eval(), images


@pytest.mark.parametrize("name", field.FIELD)
def test_every_back_end_gives_the_same_bits(name: str):
    model, images = classifier(name, "w4a4")
    deployed = Deployed(model, images).eval()
    graph = lower(deployed)
    rows = verify(graph, images.numpy(), backends=BACKENDS)
    assert {row.outcome for row in rows} <= {"equal", "missing"}, rows
    assert sum(row.outcome == "equal" for row in rows) >= 9
    with torch.no_grad():
        assert torch.equal(deployed(images), torch.from_numpy(graph.run(images.numpy())))


@pytest.mark.slow
@pytest.mark.parametrize("plan", ["w2a2", "w8a8"])
@pytest.mark.parametrize("name", field.FIELD)
def test_integers_are_near_fake_quantization(name: str, plan: str):
    model, images = classifier(name, plan)
    deployed = Deployed(model, images).eval()
    assert distances(deployed, images)[-1].off < 0.06
    with torch.no_grad():
        assert torch.equal(deployed(images), TorchGraph(lower(deployed))(images))


@pytest.mark.parametrize("name", ["mobilenet-v2", "mobilenet-v3", "densenet", "squeezenet", "shufflenet", "gated"])
def test_gradients_are_near_those_of_fake_quantization(name: str):
    model, images = classifier(name, "w8a8")
    deployed = Deployed(model, images).eval()
    labels = torch.arange(len(images)) % field.CLASSES
    grads = []
    for network, x in ((model, images / 255), (deployed, images)):
        model.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        grads.append({key: value.grad.clone() for key, value in model.named_parameters()})
    for key, wanted in grads[0].items():
        got = grads[1][key]
        if wanted.norm() > 1e-3:  # no value is clipped, say
            assert F.cosine_similarity(wanted.flatten(), got.flatten(), dim=0) > 0.9, key
            assert 0.8 < got.norm() / wanted.norm() < 1.25, key


@pytest.mark.parametrize("plan", ["w4a4", "w8a8"])
def test_rounding_does_not_pile_up_where_no_activation_has_a_quantizer(plan: str, monkeypatch: pytest.MonkeyPatch):
    layers = [nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, bias=False), field.bn(8), nn.Hardswish()) for _ in range(12)]
    monkeypatch.setitem(field.FIELD, "deep", lambda: field.Blueprint(nn.Sequential(*layers), act=nn.Hardswish()))
    model, images = classifier("deep", plan)
    assert distances(Deployed(model, images), images)[-1].off < 0.03


class Edges(nn.Module):
    """Large values with a mean of about 0, which a gate reads."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]))
        self.gate = field.SqueezeExcite(8)

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.conv(x))


def test_means_of_signed_codes_have_a_step_of_their_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(field.FIELD, "edges", lambda: field.Blueprint(Edges()))
    model, images = classifier("edges", "w8a8")
    found = {each.name: each.off for each in distances(Deployed(model, images), images)}
    assert found["block.gate.down"] < 0.02


def test_curves_are_made_where_nothing_is_recorded():
    model, images = classifier("efficientnet", "w4a4")
    deployed = Deployed(model, images).eval()
    with torch.inference_mode():
        logits = deployed(images)
    assert torch.equal(logits, deployed(images).detach())


@pytest.mark.parametrize("name", ["mobilenet-v3", "densenet"])
def test_the_graph_follows_training(name: str, tmp_path):
    model, images = classifier(name, "w4a4")
    deployed = Deployed(model, images).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(deployed(images), torch.arange(len(images)) % field.CLASSES).backward()
        optimizer.step()
    lower(deployed.eval()).save(tmp_path / "model.glassbit")
    with torch.no_grad():
        logits = deployed(images).numpy()
    assert np.array_equal(intgraph.load(tmp_path / "model.glassbit").run(images.numpy()), logits)
