"""What a network computes while it trains, when it is evaluated, and as an integer graph, is the same to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glassbit import saliency
from glassbit.deploy import Deployed, TorchGraph, lower
from glassbit.quant import Plan

from .networks import pictures, quantized, side

PLANS = ("w2a2", "w3a3", "w4a4", "w8a8", "layers-4-2", "w4a2")
SMALL = ("cnn", "cnn_bn", "resnet8-A", "resnet8-B", "own", "mlp")
CASES = [
    *((name, plan, "sawb", "pact", "8", 1) for name in ("cnn_bn", "own", "mlp", "pools") for plan in PLANS),
    *((name, "w4a4", "sawb", "pact", "same", 3) for name in SMALL),
    *((name, "w2a2", "lsq", "lsq", "same", 1) for name in SMALL),
    *((name, "w3a3", "dorefa", "pact", "8", 3) for name in SMALL),
    *(("cnn_bn-uneven", plan, "sawb", "pact", "8", 1) for plan in ("w2a2", "w4a4", "w8a8")),
    ("pools", "w4a4", "lsq", "lsq", "same", 3),
    ("own", "w4a4", "lsq", "lsq", "8", 3),
    ("own", "w8a8", "lsq", "lsq", "same", 3),
    ("cnn", "w8a8", "sawb", "pact", "same", 3),
    ("resnet8-A", "w8a8", "sawb", "pact", "8", 3),
    ("resnet20-A", "w4a4", "sawb", "pact", "8", 3),
]


def deployed(name: str, plan: str, weights: str, activations: str, edges: str, channels: int) -> Deployed:
    chosen = Plan.named(plan, weights=weights, activations=activations, edges=edges)
    model = quantized(name, chosen, channels=channels)
    return Deployed(model, pictures(channels, side(name), 8, seed=2)).eval()


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_every_form_of_a_network_gives_the_same_bits(case: tuple[str, str, str, str, str, int]):
    model = deployed(*case)
    images = pictures(case[-1], side(case[0]), 12)
    graph = lower(model)
    expected = graph.run(images.numpy())
    with torch.no_grad():
        assert len(np.unique(expected)) > len(expected)
        assert np.array_equal(model(images).numpy(), expected)
        assert np.array_equal(model(images.float() / 255).numpy(), expected)
        assert np.array_equal(torch.cat([model(image[None]) for image in images[:3]]).numpy(), expected[:3])
        assert np.array_equal(model.train()(images).numpy(), expected)
        assert np.array_equal(TorchGraph(graph)(images).numpy(), expected)
    wanted = graph.saliency(images[2:6].numpy())
    assert wanted.max() > 0
    for form in (model, TorchGraph(graph)):
        found = saliency(form, images[2:6]).numpy()
        assert np.abs(found - wanted).max() <= 1e-5 * wanted.max()
