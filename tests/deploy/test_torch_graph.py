"""Integer graphs in torch against their definition."""

from __future__ import annotations

import graphs
import numpy as np
import pytest
import torch

from glassbit import saliency
from glassbit._errors import UsageError
from glassbit.deploy import TorchGraph
from glassbit.intgraph import (
    AveragePool,
    Flatten,
    Input,
    IntGraph,
    Linear,
    Logits,
    Preprocessing,
    Requantize,
    Weights,
)

EXTREMES = [
    graphs.extreme_graph(grid, bits, lowest=lowest, multiplier=multiplier, exponent=exponent, bias=bias)
    for grid, bits in (("signed", 8), ("odd", 2))
    for lowest in (True, False)
    for multiplier, exponent, bias in ((255, 0, 2**30), (1, 16, 2**23), (1, 16, 2**24 + 1))
]


def assert_equal(graph: IntGraph, images: np.ndarray) -> None:
    model, pixels = TorchGraph(graph), torch.from_numpy(images)
    expected = graph.run(images)
    assert np.array_equal(model(pixels).numpy(), expected)
    assert np.array_equal(model(pixels.float() / 255).numpy(), expected)
    wanted = graph.saliency(images, 1)
    found = saliency(model, pixels, 1).double().numpy()
    assert np.abs(found - wanted).max() <= 1e-5 * max(wanted.max(), 1e-30)


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed: int):
    graph = graphs.random_graph(seed)
    assert_equal(graph, graphs.images_for(graph, 10, seed))


@pytest.mark.parametrize("seed", range(3))
def test_ties(seed: int):
    graph = graphs.tie_graph(seed)
    assert_equal(graph, graphs.images_for(graph, 40, seed))


@pytest.mark.parametrize("graph", EXTREMES)
def test_extremes(graph: IntGraph):
    images = graphs.images_for(graph, 8)
    assert np.array_equal(TorchGraph(graph)(torch.from_numpy(images)).numpy(), graph.run(images))


def test_the_sum_of_a_large_window_is_exact():
    """Up to 22,950,000: above 2^24, where float32 holds every second integer."""
    one = np.ones(1, np.int32)
    nodes = (
        Input("image", 1, 300, 300, 0),
        AveragePool("sum", "image", (300, 300), (300, 300)),
        Requantize("codes", "sum", one * (100 - 255 * 300 * 300), one, 0 * one, 0, 255),
        Flatten("flat", "codes"),
        Linear("fc", "flat", Weights(np.full((2, 1), 3, np.uint8), 2, "signed")),
        Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
    )
    graph = IntGraph(nodes, ("a", "b"), Preprocessing(1, 300, 300))
    images = np.full((9, 1, 300, 300), 255, np.uint8)
    images[:, 0, 0, 0] -= np.arange(9, dtype=np.uint8)
    assert graph.run(images)[:, 0].tolist() == [*range(100, 91, -1)]
    assert np.array_equal(TorchGraph(graph)(torch.from_numpy(images)).numpy(), graph.run(images))


@pytest.mark.parametrize("pixels", [(59, 63), (23, 7)])
def test_weighted_sums_are_exact_in_reduced_precision(pixels: tuple[int, int]):
    graph = graphs.uneven_graph(8, pixels=pixels, windows=(4, 4))
    images = graphs.images_for(graph, 8)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert_equal(graph, images)
    finally:
        torch.set_float32_matmul_precision(before)


def test_it_refuses_other_images_and_keeps_no_state():
    graph = graphs.random_graph(0)
    model = TorchGraph(graph)
    assert not model.state_dict()
    with pytest.raises(UsageError, match=r"TorchGraph: images must be \(n, .*; got uint8 of the shape \(2, 3, 99, 1\)"):
        model(torch.zeros(2, 3, 99, 1, dtype=torch.uint8))


def test_autocast_does_not_reach_the_integers():
    graph = graphs.resnet_graph(4, size=8, blocks=1)
    images = graphs.images_for(graph, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert np.array_equal(TorchGraph(graph)(torch.from_numpy(images)).numpy(), graph.run(images))
