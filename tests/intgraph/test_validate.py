# ruff: noqa: E501 (a rule and its text, side by side)
from __future__ import annotations

from dataclasses import replace

import graphs
import numpy as np
import pytest

from glassbit import intgraph as ig
from glassbit._errors import GlassbitError, GraphError

pytestmark = pytest.mark.usefixtures("unchecked")


def ints(*values):
    return np.array(values, np.int32)


def problems(graph, **changes):
    """What is said of the graph with other nodes, classes, ..."""
    with pytest.raises(GraphError) as caught:
        replace(graph, **changes)
    return list(caught.value.problems)


def changed(graph, name, /, **settings):
    """The nodes, one with other settings."""
    return tuple(replace(node, **settings) if node.name == name else node for node in graph.nodes)


def weights(graph, name, /, **settings):
    (found,) = [node.weights for node in graph.nodes if node.name == name]
    return replace(found, **settings)


def test_a_valid_network_says_nothing(whole):
    whole.validate()


def test_tensors(whole):
    info = ig.TensorInfo
    assert whole.tensors() == {
        "image": info((1, 4, 4), 0, 255, "codes"),
        "conv": info(
            (2, 4, 4), 255 * (-15 - 13 - 11 - 9 - 7 - 5 - 3 - 1), 255 * (3 + 5 + 7 + 9 + 11 + 13 + 15), "accumulators"
        ),
        "relu": info((2, 4, 4), 0, 15, "codes"),
        "branch": info((2, 4, 4), 15 * (-4 - 3), 0, "accumulators"),
        "signed": info((2, 4, 4), -128, 127, "codes"),
        "same": info((2, 4, 4), 0, 15, "codes"),
        "sum": info((2, 4, 4), -128, 127 + 4 * 15, "accumulators"),
        "after": info((2, 4, 4), 0, 15, "codes"),
        "max": info((2, 3, 3), 0, 15, "codes"),
        "mean": info((2, 1, 1), 0, 9 * 15, "accumulators"),
        "even": info((2, 1, 1), 0, 255, "codes"),
        "flat": info((2,), 0, 255, "codes"),
        "fc": info((3,), 255 * (-15 - 13), 0, "accumulators"),
        "logits": info((3,), 255 * -28 + 1, 3, "logits"),
    }


def test_the_zero_of_the_image_moves_the_bounds(whole):
    graph = replace(whole, nodes=changed(whole, "image", zero=100))
    w = graph.nodes[1].weights.values.reshape(2, -1)
    corners = [(np.where(w > 0, high, low) * w).sum(1) for low, high in ((-100, 155), (155, -100))]
    assert graph.tensors()["image"] == ig.TensorInfo((1, 4, 4), -100, 155, "codes")
    assert (graph.tensors()["conv"].low, graph.tensors()["conv"].high) == (corners[1].min(), corners[0].max())


def test_all_problems_are_reported_at_once_and_only_those(whole):
    nodes = changed(whole, "conv", weights=weights(whole, "conv", bits=9))
    nodes = changed(replace_nodes(whole, nodes), "relu", multiplier=ints(2, 3), low=1)
    nodes = changed(replace_nodes(whole, nodes), "max", kernel=(9, 2))
    found = problems(whole, nodes=nodes, classes=("a",))
    assert found == [
        "conv: bits must be an int of 2..8; got 9",
        "relu: every multiplier must be odd and -255..255; got 2",
        "relu: the window must be low..high with low <= 0 <= high and high - low of 2..255; got 1..15",
        "max: the kernel (9, 2) must fit into the map with its padding; after has the shape (2, 4, 4), padding is (0, 0)",
        "classes: there must be 2 or more; got 1",
        "classes: as many as logits, 3; got 1",
    ]


def replace_nodes(graph, nodes):
    """Something with these nodes, valid or not."""
    return type("Nodes", (), {"nodes": nodes})


def test_the_error_lists_them(whole):
    with pytest.raises(GlassbitError) as caught:
        replace(whole, nodes=changed(whole, "relu", multiplier=ints(2, 3)), classes=("a", "b", "c", "d"))
    assert str(caught.value) == (
        "the integer network: 2 problems\n"
        "  - relu: every multiplier must be odd and -255..255; got 2\n"
        "  - classes: as many as logits, 3; got 4"
    )


LARGE = "must be an int of 1..65535"


@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        ("image", {"channels": 0}, f"image: channels {LARGE}; got 0"),
        ("image", {"height": 2**16}, f"image: height {LARGE}; got 65536"),
        ("image", {"width": 4.0}, f"image: width {LARGE}; got 4.0"),
        ("image", {"zero": 256}, "image: zero must be an int of 0..255; got 256"),
        ("image", {"zero": np.int64(3)}, "image: zero must be an int of 0..255; got np.int64(3)"),
        ("conv", {"stride": (0, 1)}, "conv: stride must be two ints of 1..65535; got (0, 1)"),
        ("conv", {"stride": 1}, "conv: stride must be two ints of 1..65535; got 1"),
        ("conv", {"padding": (-1, 0)}, "conv: padding must be two ints of 0..65535; got (-1, 0)"),
        ("conv", {"padding": (1, 0, -1, 0)}, "conv: padding must be (top, left, bottom, right), ints of 0..65535; got (1, 0, -1, 0)"),
        ("conv", {"padding": (1, 0, 3, 0)}, "conv: padding must be below the kernel (3, 3); got (1, 0, 3, 0)"),
        ("conv", {"dilation": (1, 0)}, "conv: dilation must be two ints of 1..65535; got (1, 0)"),
        ("conv", {"dilation": (4, 1)}, "conv: the kernel (9, 3) must fit into the map with its padding; image has the shape (1, 4, 4), padding is (1, 1)"),
        ("max", {"padding": (0, 0, 2, 0)}, "max: padding must be below the kernel (2, 2); got (0, 0, 2, 0)"),
        ("conv", {"padding": (3, 1)}, "conv: padding must be below the kernel (3, 3); got (3, 1)"),
        ("conv", {"groups": 0}, f"conv: groups {LARGE}; got 0"),
        ("conv", {"groups": 2}, "conv: weights for 2 channels (2 groups of 1); image has 1"),
        ("conv", {"input": "nowhere"}, "conv: reads 'nowhere', which no earlier node makes"),
        ("conv", {"input": "relu"}, "conv: reads 'relu', which no earlier node makes"),
        ("branch", {"input": "conv"}, "branch: must read codes; conv holds accumulators; put a Requantize between"),
        ("after", {"bias": ints(0, 0)}, "after: bias, multiplier and exponent must be equally many; got 2 of bias, 1 of multiplier, 1 of exponent"),
        ("relu", {"bias": ints(0, 2**30 + 1)}, "relu: every bias must be within ±2^30; got 1073741825"),
        ("relu", {"bias": ints(0, -(2**31))}, "relu: every bias must be within ±2^30; got -2147483648"),
        ("relu", {"bias": [0, 0]}, "relu: bias must be a filled int32 array of 1 axes; got [0, 0]"),
        ("relu", {"bias": np.full(2, np.nan)}, "relu: bias must be a filled int32 array of 1 axes; got float64 of shape (2,)"),
        ("relu", {"bias": np.zeros(2)}, "relu: bias must be a filled int32 array of 1 axes; got float64 of shape (2,)"),
        ("relu", {"multiplier": ints(5, 4)}, "relu: every multiplier must be odd and -255..255; got 4"),
        ("relu", {"multiplier": ints(257, 5)}, "relu: every multiplier must be odd and -255..255; got 257"),
        ("relu", {"multiplier": ints(-257, 5)}, "relu: every multiplier must be odd and -255..255; got -257"),
        ("relu", {"multiplier": ints(-2, 5)}, "relu: every multiplier must be odd and -255..255; got -2"),
        ("relu", {"multiplier": ints(-(2**31), 5)}, "relu: every multiplier must be odd and -255..255; got -2147483648"),
        ("relu", {"exponent": ints(5, 31)}, "relu: every exponent must be 0..30; got 31"),
        ("relu", {"exponent": ints(-1, 3)}, "relu: every exponent must be 0..30; got -1"),
        ("relu", {"low": 1, "high": 16}, "relu: the window must be low..high with low <= 0 <= high and high - low of 2..255; got 1..16"),
        ("relu", {"low": -9, "high": -1}, "relu: the window must be low..high with low <= 0 <= high and high - low of 2..255; got -9..-1"),
        ("relu", {"high": 256}, "relu: the window must be low..high with low <= 0 <= high and high - low of 2..255; got 0..256"),
        ("relu", {"high": 4.0}, "relu: the window must be low..high with low <= 0 <= high and high - low of 2..255; got 0..4.0"),
        ("relu", {"high": 1}, "relu: the window must be low..high with low <= 0 <= high and high - low of 2..255; got 0..1"),
        ("signed", {"low": -129}, "signed: the window must be low..high with low <= 0 <= high and high - low of 2..255; got -129..127"),
        ("relu", {"exponent": ints(20, 21)}, "relu: 2^e (max(|low|, |high|) + 1) must be at most 2^24, so that float32 rounds as integers do; with the window 0..15 e is at most 20; got 21; halve m until it fits"),
        ("signed", {"exponent": ints(16, 17)}, "signed: 2^e (max(|low|, |high|) + 1) must be at most 2^24, so that float32 rounds as integers do; with the window -128..127 e is at most 16; got 17; halve m until it fits"),
        ("sum", {"shifts": (17, 0)}, "sum: shifts must be a tuple of ints of 0..16; got (17, 0)"),
        ("sum", {"shifts": (0, -1)}, "sum: shifts must be a tuple of ints of 0..16; got (0, -1)"),
        ("sum", {"shifts": (0, 1, 0)}, "sum: shifts must be 2, one per input; got 3"),
        ("sum", {"shifts": (1, 2)}, "sum: one of shifts must be 0; got (1, 2), whose common part belongs into the steps"),
        ("same", {"channels": 1}, "sum: all operands must have one shape; signed has (2, 4, 4), same has (3, 4, 4)"),
        ("same", {"channels": -1}, "same: channels must be an int of 0..65535; got -1"),
        ("same", {"stride": (1, 0)}, "same: stride must be two ints of 1..65535; got (1, 0)"),
        ("max", {"kernel": (0, 1)}, "max: kernel must be two ints of 1..65535; got (0, 1)"),
        ("max", {"padding": (1, 2)}, "max: padding must be at most half the kernel (2, 2); got (1, 2)"),
        ("mean", {"kernel": (4, 3)}, "mean: the kernel (4, 3) must fit into the map with its padding; max has the shape (2, 3, 3), padding is (0, 0)"),
        ("flat", {"input": "mean"}, "flat: must read codes; mean holds accumulators; put a Requantize between"),
        ("fc", {"input": "even"}, "fc: weights for 2 flat inputs; even has the shape (2, 1, 1)"),
        ("logits", {"input": "flat"}, "logits: must read accumulators, as a Linear makes; flat is a Flatten"),
        ("logits", {"input": "mean"}, "logits: bias and scale must be 2, one per class of mean; got 3 and 3"),
        ("logits", {"input": "sum"}, "logits: bias and scale must be 2, one per class of sum; got 3 and 3"),
        ("logits", {"bias": ints(1, 2)}, "logits: bias and scale must be 3, one per class of fc; got 2 and 3"),
        ("logits", {"bias": ints(0, 0, 2**30 + 1)}, "logits: every bias must be within ±2^30; got 1073741825"),
        ("logits", {"scale": np.array([1, 0, 1], np.float32)}, "logits: every scale must be finite and above 0, between 2^-100 and 2^90, so that no logit overflows or vanishes; got 0.0"),
        ("logits", {"scale": np.array([1, np.nan, 1], np.float32)}, "logits: every scale must be finite and above 0, between 2^-100 and 2^90, so that no logit overflows or vanishes; got nan"),
        ("logits", {"scale": np.array([1, 1, 2.0**91], np.float32)}, "logits: every scale must be finite and above 0, between 2^-100 and 2^90, so that no logit overflows or vanishes; got 2.4758800785707605e+27"),
        ("logits", {"scale": np.array([np.inf, 1, 1], np.float32)}, "logits: every scale must be finite and above 0, between 2^-100 and 2^90, so that no logit overflows or vanishes; got inf"),
        ("logits", {"scale": np.ones(3)}, "logits: scale must be a filled float32 array of 1 axes; got float64 of shape (3,)"),
        ("even", {"name": "after"}, "after: a name belongs to one node; 2 nodes have it"),
        ("even", {"name": ""}, "node 10: the name must be printable text of at most 256 characters; got ''"),
        ("even", {"name": "a\nb"}, "node 10: the name must be printable text of at most 256 characters; got 'a\\nb'"),
        ("even", {"name": 3}, "node 10: the name must be printable text of at most 256 characters; got 3"),
        ("even", {"name": "odd"}, "odd: nothing reads it; leave it out, or name it as an input"),
    ],
)  # fmt: skip
def test_one_rule(whole, name, settings, text):
    assert text in problems(whole, nodes=changed(whole, name, **settings))


SPANS = "must be windows (first, stop, weight) with 0 <= first < stop <= 65535 and a weight of 1..65535"


@pytest.mark.parametrize(
    ("settings", "texts"),
    [
        ({"rows": ()}, ["mean: rows must be a tuple of 1..65535 windows; got 0 of them"]),
        ({"rows": [(0, 1, 1)]}, ["mean: rows must be a tuple of 1..65535 windows; got [(0, 1, 1)]"]),
        ({"columns": ((0, 1, 1),) * 2**16}, ["mean: columns must be a tuple of 1..65535 windows; got 65536 of them"]),
        ({"columns": ((0, 1, 1), (2, 2, 1))}, [f"mean: columns {SPANS}; got (2, 2, 1)"]),
        ({"rows": ((-1, 1, 1),)}, [f"mean: rows {SPANS}; got (-1, 1, 1)"]),
        ({"rows": ((0, 2**16, 1),)}, [f"mean: rows {SPANS}; got (0, 65536, 1)"]),
        ({"rows": ((0, 1, 0),)}, [f"mean: rows {SPANS}; got (0, 1, 0)"]),
        ({"rows": ((0, 1, 2**16),)}, [f"mean: rows {SPANS}; got (0, 1, 65536)"]),
        ({"rows": ((0, 1, 1.0),), "columns": ((0, 1),)}, [f"mean: rows {SPANS}; got (0, 1, 1.0)", f"mean: columns {SPANS}; got (0, 1)"]),
        ({"rows": ((0, 7, 1), (1, 8, 1))}, ["mean: rows must lie inside the map, 0..7; got (1, 8)"]),
        ({"columns": ((5, 6, 1),)}, ["mean: columns must lie inside the map, 0..5; got (5, 6)"]),
        ({"rows": ((0, 7, 2**16 - 1),)}, [f"mean: its sums must be at most 2^24, so that float32 holds them; got up to {7 * (2**16 - 1) * 6} x 15"]),
    ],
)  # fmt: skip
def test_the_rules_of_windows(settings, texts):
    graph = graphs.uneven_graph(4)
    assert problems(graph, nodes=changed(graph, "mean", **settings))[: len(texts)] == texts


def test_windows_and_their_pixels_are_bounded():
    graph = graphs.uneven_graph(4, pixels=(2**15, 1), windows=(2**7, 1))
    (pool,) = (node for node in graph.nodes if isinstance(node, ig.SumPool))
    more = changed(graph, "mean", rows=(*pool.rows, pool.rows[0]))
    assert problems(graph, nodes=more)[0] == (
        "mean: rows times the pixels that they are of must be at most 4194304; got 129 x 32768"
    )


def test_sums_of_windows_reach_their_bound():
    graph = graphs.uneven_graph(4)
    assert graph.tensors()["mean"] == ig.TensorInfo((3, 4, 3), 0, 6 * 6 * 15, "accumulators")
    (pool,) = (node for node in graph.nodes if isinstance(node, ig.SumPool))
    rows, columns = pool.matrices(7, 5)
    assert (rows.sum(1).max() * columns.sum(1).max(), pool.reach) == (36, 36)


@pytest.mark.parametrize(
    ("name", "settings", "text"),
    [
        ("conv", {"bits": 1}, "conv: bits must be an int of 2..8; got 1"),
        ("conv", {"bits": "4"}, "conv: bits must be an int of 2..8; got '4'"),
        ("conv", {"bits": 3}, "conv: codes of 3 bits must be 0..7; got 15"),
        ("conv", {"grid": "even"}, "conv: grid must be one of odd, signed; got 'even'"),
        ("conv", {"bits": 8}, "conv: the odd grid has 2..7 bits, whose weights fit int8; at 8 bits use the signed grid"),
        ("conv", {"codes": np.zeros((2, 3, 3), np.uint8)}, "conv: codes must be a filled uint8 array of 4 axes; got uint8 of shape (2, 3, 3)"),
        ("conv", {"codes": np.zeros((0, 1, 3, 3), np.uint8)}, "conv: codes must be a filled uint8 array of 4 axes; got uint8 of shape (0, 1, 3, 3)"),
        ("conv", {"codes": np.zeros((2, 1, 3, 3), np.int64)}, "conv: codes must be a filled uint8 array of 4 axes; got int64 of shape (2, 1, 3, 3)"),
        ("conv", {"codes": np.zeros((2, 1, 7, 3), np.uint8)}, "conv: the kernel (7, 3) must fit into the map with its padding; image has the shape (1, 4, 4), padding is (1, 1)"),
        ("branch", {"codes": np.zeros((2, 3, 1, 1), np.uint8)}, "branch: weights for 3 channels (1 groups of 3); relu has 2"),
        ("conv", {"codes": np.zeros((3, 1, 3, 3), np.uint8)}, "relu: bias, multiplier and exponent must be 3, one per channel of conv, or 1; got 2"),
        ("fc", {"codes": np.zeros((3, 4), np.uint8)}, "fc: weights for 4 flat inputs; flat has the shape (2,)"),
        ("fc", {"codes": np.zeros((4, 2), np.uint8)}, "logits: bias and scale must be 4, one per class of fc; got 3 and 3"),
    ],
)  # fmt: skip
def test_one_rule_of_weights(whole, name, settings, text):
    assert problems(whole, nodes=changed(whole, name, weights=weights(whole, name, **settings))) == [text]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"nodes": ()}, "nodes: there must be an Input and Logits at least; there are none"),
        ({"classes": ("a", "b", "b")}, "classes: each must have a name of its own"),
        ({"classes": ("a", "b", "\ud800")}, "classes: names must be printable text of at most 256 characters; got '\\ud800'"),
        ({"preprocessing": ig.Preprocessing(3, 4, 4)}, "preprocessing: must make images of the shape (1, 4, 4) that image has; got (3, 4, 4)"),
        ({"preprocessing": ig.Preprocessing(1, 4, 4, "zoom")}, "preprocessing: resize must be one of stretch, crop, pad; got 'zoom'"),
    ],
)  # fmt: skip
def test_one_rule_of_the_whole(whole, changes, text):
    assert problems(whole, **changes) == [text]


def test_the_order(whole):
    assert problems(whole, nodes=whole.nodes[1:])[0] == (
        "conv: the first node, and no other, must be an Input; node 0 is a Conv"
    )
    assert problems(whole, nodes=whole.nodes[:-1])[0] == (
        "fc: the last node, and no other, must be Logits; node 12 is a Linear"
    )
    twice = (*whole.nodes[:-1], replace(whole.nodes[0], name="other"), whole.nodes[-1])
    assert problems(whole, nodes=twice) == [
        "other: the first node, and no other, must be an Input; node 13 is an Input",
        "other: nothing reads it; leave it out, or name it as an input",
    ]
    early = (*whole.nodes[:-1], replace(whole.nodes[-1], name="early"), whole.nodes[-1])
    assert problems(whole, nodes=early) == [
        "early: the last node, and no other, must be Logits; node 13 is a Logits",
        "early: nothing reads it; leave it out, or name it as an input",
    ]


def test_groups_divide_the_outputs():
    grouped = ig.Conv("conv", "image", ig.Weights(np.zeros((3, 1, 1, 1), np.uint8), 2, "odd"), groups=2)
    with pytest.raises(GraphError) as caught:
        ig.IntGraph((ig.Input("image", 2, 1, 1, 0), grouped, *head("conv", 3)), ("a", "b"), ig.Preprocessing(2, 1, 1))
    assert caught.value.problems == ("conv: 2 groups must divide the 3 output channels",)


def head(read, features):
    """A requantizer, a linear layer for flat codes and two classes."""
    return (
        ig.Requantize("codes", read, ints(0), ints(1), ints(0), 0, 255),
        ig.Flatten("flat", "codes"),
        ig.Linear("fc", "flat", ig.Weights(np.zeros((2, features), np.uint8), 2, "odd")),
        ig.Logits("logits", "fc", ints(0, 0), np.ones(2, np.float32)),
    )


@pytest.mark.parametrize(
    ("node", "features", "kind"),
    [
        (ig.MaxPool("x", "image", (2, 2), (2, 2), (1, 1)), 9, "codes"),
        (ig.AveragePool("x", "image", (2, 2), (2, 2)), 4, "accumulators"),
        (ig.SumPool("x", "image", ((0, 2, 1), (1, 4, 2)), ((0, 4, 1), (3, 4, 9))), 4, "accumulators"),
        (ig.Subsample("x", "image", (2, 2), 0), 4, "codes"),
        (ig.Sum("x", ("image", "image"), (0, 0)), 16, "accumulators"),
        (ig.Requantize("x", "image", ints(0), ints(1), ints(0), 0, 255), 16, "codes"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_image_is_read_as_values_in_its_window(node, features, kind):
    def graph(zero):
        nodes = (ig.Input("image", 1, 4, 4, zero), node, *head("x", features))
        return ig.IntGraph(nodes, ("a", "b"), ig.Preprocessing(1, 4, 4))

    assert graph(0).tensors()["x"].kind == graph(7).tensors()["x"].kind == kind
    pixels = np.random.default_rng(0).integers(7, 256, (3, 1, 4, 4)).astype(np.uint8)
    assert graph(7).trace(pixels)["image"].tolist() == (pixels.astype(int) - 7).tolist()
    assert graph(7).trace(pixels)["x"].tolist() == graph(0).trace(pixels - 7)["x"].tolist()


def test_a_pool_keeps_the_window_for_the_next_layer():
    nodes = (
        ig.Input("image", 1, 4, 4, 9),
        ig.MaxPool("x", "image", (2, 2), (2, 2)),
        *head("x", 4)[1:],
    )
    nodes = (*nodes[:2], replace(nodes[2], input="x"), *nodes[3:])
    graph = ig.IntGraph(nodes, ("a", "b"), ig.Preprocessing(1, 4, 4))
    tensors = graph.tensors()
    assert {(tensors[name].low, tensors[name].high) for name in ("image", "x", "flat")} == {(-9, 246)}
    assert graph.run(np.full((1, 1, 4, 4), 11, np.uint8)).tolist() == [[-3 * 2 * 4] * 2]


def test_accumulators_and_biases_fit_int32():
    """128 * 255 * 32768 is 2^30 - 2^22; 33000 inputs are too many beside a bias of 2^30."""

    def graph(features, bias):
        nodes = (
            ig.Input("image", 1, 1, features, 0),
            ig.Flatten("flat", "image"),
            ig.Linear("fc", "flat", ig.Weights(np.zeros((2, features), np.uint8), 8, "signed")),
            ig.Logits("logits", "fc", ints(0, bias), np.ones(2, np.float32)),
        )
        return ig.IntGraph(nodes, ("a", "b"), ig.Preprocessing(1, 1, features))

    image = np.full((1, 1, 1, 32768), 255, np.uint8)
    assert graph(32768, -(2**30)).run(image)[0, 1] == np.float32(-(2**30) - 128 * 255 * 32768)
    with pytest.raises(GraphError) as caught:
        graph(33000, -(2**30))
    assert caught.value.problems == (
        "logits: |accumulator| + |bias| must stay below 2^31; got up to 1077120000 of fc and 1073741824",
    )
