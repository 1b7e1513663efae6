from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from graphs import (
    GRIDS,
    extreme_graph,
    graphs,
    images_for,
    joined_graph,
    product_graph,
    random_graph,
    tie_graph,
    uneven_graph,
    whole_graph,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glassbit import intgraph as ig
from glassbit._errors import UsageError
from glassbit.intgraph._run import exact_matmul, round_half_even

from . import slow

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_equals_the_slow_twin(graph, images):
    ours = graph.trace(images)
    for number, image in enumerate(images):
        theirs = slow.evaluate(graph, image)
        for name, tensor in theirs.items():
            if name == graph.nodes[-1].name:
                assert ours[name][number].astype(float).tolist() == tensor
            else:
                assert {index: int(ours[name][number][index]) for index in tensor} == tensor, name
                assert ours[name][number].size == len(tensor)


def inside_ties(graph, images):
    """Of the roundings whose result lies inside the window: how many there are, and how many are halves."""
    traced, inside, ties = graph.trace(images), 0, 0
    for node in graph.nodes:
        if isinstance(node, ig.Requantize):
            columns = (-1, *[1] * (traced[node.name].ndim - 2))
            bias, m, e = (v.astype(np.int64).reshape(columns) for v in (node.bias, node.multiplier, node.exponent))
            halves = (2 * (traced[node.input] + bias) * m) % 2 ** (e + 1) == 2**e
            within = (traced[node.name] > node.low) & (traced[node.name] < node.high)
            inside, ties = inside + within.sum(), ties + (within & halves).sum()
    return inside, ties


@given(graphs())
@QUICK
def test_equals_loops_and_fractions(graph):
    assert_equals_the_slow_twin(graph, images_for(graph, 5)[[0, 4]])


@pytest.mark.parametrize(("multipliers", "low"), [((1,), 0), ((-1,), -128), ((1, -1, 3, -3), -7)])
@pytest.mark.parametrize("seed", range(3))
def test_ties_go_to_the_even_code(seed, multipliers, low):
    graph = tie_graph(seed, multipliers=multipliers, low=low)
    images = images_for(graph, 4)
    inside, ties = inside_ties(graph, images)
    assert ties > 0.3 * inside > 100
    assert_equals_the_slow_twin(graph, images[:2])


@pytest.mark.parametrize("lowest", [False, True])
@pytest.mark.parametrize("grid", GRIDS)
def test_extremes(grid, lowest):
    graph = extreme_graph(grid, 7, lowest=lowest)
    images = images_for(graph, 3)[1:]
    assert_equals_the_slow_twin(graph, images[1:])
    assert abs(graph.trace(images)["conv"]).max() == graph.certificate.layers[0].accumulator_bound


def test_every_kind_of_node(whole):
    uneven = uneven_graph(4)
    every = (whole, uneven, joined_graph(0), product_graph(0, low=-3))
    assert {type(node) for graph in every for node in graph.nodes} == set(ig.Node.__args__), "add it to whole_graph"
    for graph in every:
        assert_equals_the_slow_twin(graph, images_for(graph, 7))


@given(st.integers(-(2**39), 2**39), st.integers(0, 30))
def test_rounding(product, exponent):
    ours = round_half_even(np.array([product]), np.array([exponent]))
    assert int(ours[0]) == round(Fraction(product, 2**exponent))


def test_integer_products_are_exact():
    random = np.random.default_rng(0)
    a, b = random.integers(-255, 256, (3, 4000)), random.integers(-255, 256, (4000, 5))
    assert exact_matmul(a, b).tolist() == (a @ b).tolist()
    big = np.full((1, 2**14), 2**19)
    big[0, 0] += 1
    assert exact_matmul(big, big.T).item() == sum(int(value) ** 2 for value in big[0])


def test_values_stay_within_what_tensors_say():
    for seed in range(30):
        graph = random_graph(seed)
        traced = graph.trace(images_for(graph, 9))
        for name, tensor in graph.tensors().items():
            assert traced[name].shape[1:] == tensor.shape
            if tensor.kind != "logits":
                assert traced[name].dtype == np.int64
                assert tensor.low <= traced[name].min()
                assert traced[name].max() <= tensor.high
        assert traced[graph.nodes[-1].name].dtype == np.float32


def reads_of(seeds):
    """Nodes with the least code of a requantizer that they read."""
    for graph in map(random_graph, seeds):
        lows = {node.name: node.low for node in graph.nodes if isinstance(node, ig.Requantize)}
        yield from ((node, lows[name]) for node in graph.nodes for name in ig.inputs(node) if name in lows)


def test_the_random_graphs_have_everything():
    nodes = [node for seed in range(80) for node in random_graph(seed).nodes]
    assert {type(node) for node in nodes} == set(ig.Node.__args__), "add a maker to _build of graphs.py"
    convs = [node for node in nodes if isinstance(node, ig.Conv)]
    layers = [node for node in nodes if isinstance(node, ig.Conv | ig.Linear)]
    pools = [node for node in nodes if isinstance(node, ig.MaxPool)]
    requantizers = [node for node in nodes if isinstance(node, ig.Requantize)]
    assert {(node.weights.bits, node.weights.grid) for node in layers} == {
        *((bits, grid) for bits in range(2, 8) for grid in GRIDS),
        (8, "signed"),
    }
    windows = {(node.low, node.high) for node in requantizers}
    assert windows >= {*((0, 2**bits - 1) for bits in range(2, 9)), (-128, 127), (-8, 7), (-7, 248), (-255, 0)}
    assert any((node.multiplier < 0).any() and (node.multiplier > 0).any() for node in requantizers)
    assert {type(node) for node, low in reads_of(range(80)) if low < 0} >= {
        ig.Conv,
        ig.Linear,
        ig.Requantize,
        ig.Sum,
        ig.Multiply,
        ig.Concat,
        ig.Select,
        ig.Lookup,
        ig.MaxPool,
        ig.AveragePool,
        ig.SumPool,
        ig.Subsample,
        ig.Flatten,
    }
    assert {node.stride for node in convs} == {(1, 1), (2, 2), (1, 2), (3, 1), (2, 1)}
    assert any(node.groups > 1 for node in convs)
    assert any(node.padding != (0, 0) for node in convs)
    assert any(node.stride < node.kernel for node in pools)
    assert any(node.padding != (0, 0) for node in pools)
    assert any(node.zero for node in nodes if isinstance(node, ig.Input))
    assert {node.channels for node in nodes if isinstance(node, ig.Input)} == {1, 2, 3}


def test_random_graphs_use_their_windows():
    shares = []
    for seed in range(60):
        graph = random_graph(seed)
        traced = graph.trace(images_for(graph, 3))
        shares += [
            ((traced[node.name] > node.low) & (traced[node.name] < node.high)).mean()
            for node in graph.nodes
            if isinstance(node, ig.Requantize)
        ]
    assert np.median(shares) > 0.3


def test_batches_do_not_matter(whole, monkeypatch):
    images = images_for(whole, 23)
    logits, maps = whole.run(images), whole.saliency(images, np.arange(23) % 3)
    monkeypatch.setattr("glassbit.intgraph._run._BATCH_BYTES", 20_000)
    assert whole.run(images).tolist() == logits.tolist()
    assert whole.saliency(images, np.arange(23) % 3).tolist() == maps.tolist()
    assert np.concatenate([whole.run(image[None]) for image in images]).tolist() == logits.tolist()


def test_no_images(whole):
    none = np.zeros((0, 1, 4, 4), np.uint8)
    assert whole.run(none).shape == (0, 3)
    assert whole.saliency(none).shape == (0, 4, 4)
    assert whole.trace(none)["conv"].shape == (0, 2, 4, 4)


@pytest.mark.parametrize(
    ("images", "got"),
    [
        (
            np.zeros((2, 1, 4, 4), np.float32),
            "float32 of shape (2, 1, 4, 4) from 0 to 0; use (images * 255).round().astype(numpy.uint8)",
        ),
        (np.full((2, 1, 4, 4), 7), "int64 of shape (2, 1, 4, 4) from 7 to 7; use images.astype(numpy.uint8)"),
        (
            np.full((2, 1, 4, 4), -1.5),
            "float64 of shape (2, 1, 4, 4) from -1.5 to -1.5; scale them to 0..255 first; a standardisation is undone",
        ),
        (np.full((2, 1, 4, 4), np.nan), "float64 of shape (2, 1, 4, 4) from nan to nan; pass pixels 0..255 as uint8"),
        (np.zeros((1, 4, 4), np.uint8), "uint8 of shape (1, 4, 4); add an axis to a single image, images[None]"),
        (
            np.zeros((2, 4, 4, 1), np.uint8),
            "uint8 of shape (2, 4, 4, 1); put the channels first, images.transpose(0, 3, 1, 2)",
        ),
        (
            np.zeros((2, 3, 4, 4), np.uint8),
            "uint8 of shape (2, 3, 4, 4); resize the images, or export the network for this shape",
        ),
    ],
)
def test_other_images_are_refused(whole, images, got, unchecked):
    for function in (whole.run, whole.trace, whole.saliency):
        with pytest.raises(UsageError) as caught:
            function(images)
        assert str(caught.value).startswith(f"images must be uint8 of shape (n, 1, 4, 4); got {got}")


def test_tensors_are_no_arrays(whole, unchecked):
    with pytest.raises(UsageError, match=r"a NumPy array; got a list; a tensor's is images.cpu\(\).numpy\(\)"):
        whole.run([[0]])


def test_parts_are_the_whole(monkeypatch):
    """Large layers are computed some rows, or some weights, at a time."""
    wholes = []
    for graph in (random_graph(3), random_graph(5), whole_graph()):
        images = images_for(graph, 3)
        wholes.append((graph, images, graph.run(images), graph.saliency(images), graph.certificate))
    monkeypatch.setattr("glassbit.intgraph._run._WINDOWS_AT_ONCE", 1)
    monkeypatch.setattr("glassbit.intgraph._run._WEIGHTS_AT_ONCE", 1)
    monkeypatch.setattr("glassbit.intgraph._infer._AT_ONCE", 1)
    for graph, images, logits, maps, certificate in wholes:
        assert np.array_equal(graph.run(images), logits)
        assert np.allclose(graph.saliency(images), maps, rtol=1e-12, atol=0)
        assert graph.certificate == certificate
