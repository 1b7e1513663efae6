"""Signed codes that no quantizer makes: how many bits they have, and what the cost table says of them."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from glassbit import models
from glassbit.backends import BACKENDS
from glassbit.deploy import Deployed, distances, lower
from glassbit.quant import Plan, calibrate_, cost, dequantize_, quantize_, signed_bits
from glassbit.runtime import verify
from tests.deploy import field, networks

SIDE = 13
pytestmark = pytest.mark.filterwarnings("ignore::glassbit._errors.GlassbitWarning")


def quantized(network: nn.Module, signed: int, channels: int = 1) -> tuple[models.Classifier, Tensor]:
    torch.manual_seed(0)
    networks.statistics_(network)
    images = networks.pictures(channels, SIDE, 16, 1)
    quantize_(network, Plan.named("w4a4", signed=signed), example=images[:2] / 255)
    model = models.Classifier(network, mean=(0.3,) * channels, std=(0.35,) * channels)
    calibrate_(model, images / 255)
    return model.eval(), images


@pytest.mark.parametrize(("name", "signed"), [("mobilenet-v2", 2), ("mobilenet-v2", 5), ("densenet", 5)])
def test_every_back_end_gives_the_same_bits(name: str, signed: int) -> None:
    model, images = quantized(field.FIELD[name](), signed)
    deployed = Deployed(model, images).eval()
    graph = lower(deployed)
    rows = verify(graph, images.numpy(), backends=BACKENDS)
    assert {row.outcome for row in rows} <= {"equal", "missing"}, rows
    with torch.no_grad():
        assert torch.equal(deployed(images), torch.from_numpy(graph.run(images.numpy())))


def test_coarse_codes_are_told_from_a_wrong_network() -> None:
    model, images = quantized(field.FIELD["mobilenet-v2"](), 3)
    deployed = Deployed(model, images).eval()
    assert max(each.off for each in distances(deployed, images) if each.what == "values") < 0.1


@pytest.mark.parametrize("name", field.FIELD)
def test_the_cost_table_has_the_bits_of_the_export(name: str) -> None:
    model, images = quantized(field.FIELD[name](), 5)
    rows = {row.name: row.input_bits for row in cost(model.network, (1, SIDE, SIDE)).rows}
    graph = lower(Deployed(model, images))
    assert rows == {layer.name: layer.input_bits for layer in graph.certificate.layers}


def test_the_bits_are_kept_in_copies() -> None:
    model, _ = quantized(field.FIELD["mobilenet-v2"](), 4)
    for network in (model.network, copy.deepcopy(model.network), pickle.loads(pickle.dumps(model.network)), model):
        assert signed_bits(network) == 4
    dequantize_(model.network)
    assert signed_bits(model.network) == 8
