# ruff: noqa: E501
"""Nodes that join codes, pick some of them, multiply them or look them up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from graphs import images_for, joined_graph, product_graph

import glassbit
from glassbit import intgraph as ig
from glassbit._errors import GraphError


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int32)


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def small(**changes: dict) -> ig.IntGraph:
    """Images of 1 x 1 x 2; `low = pixel / 64`, `high = -low`, and one of each node."""
    nodes = (
        ig.Input("image", 1, 1, 2, zero=0),
        ig.Requantize("low", "image", ints(0), ints(1), ints(6), 0, 3),
        ig.Lookup("minus", "low", ints(0, -1, -2, -5), floats(-1, -1, -1, -3), -5, 0),
        ig.Lookup("plus", "minus", ints(5, 4, 3, 2, 1, 0), floats(-1, -1, -1, -1, -1, -1), 0, 5),
        ig.Concat("both", ("low", "plus")),
        ig.Select("swapped", "both", (1, 0)),
        ig.Multiply("product", "both", "swapped"),
        ig.Requantize("codes", "product", ints(0), ints(1), ints(0), 0, 255),
        ig.Flatten("flat", "codes"),
        ig.Linear("fc", "flat", ig.Weights(np.full((2, 4), 1, np.uint8), 2, "odd")),
        ig.Logits("logits", "fc", ints(0, 1), floats(1, 1)),
    )
    changed = tuple(replace(node, **changes.get(node.name, {})) for node in nodes)
    return ig.IntGraph(changed, ("a", "b"), ig.Preprocessing(1, 1, 2))


def test_values_by_hand():
    traced = small().trace(np.array([[[[128, 255]]]], np.uint8))
    assert traced["low"].ravel().tolist() == [2, 3]
    assert traced["minus"].ravel().tolist() == [-2, -5]
    assert traced["both"].reshape(2, 2).tolist() == [[2, 3], [2, 5]]
    assert traced["swapped"].reshape(2, 2).tolist() == [[2, 5], [2, 3]]
    assert traced["product"].reshape(2, 2).tolist() == [[4, 15], [4, 15]]


def test_bounds_by_hand():
    tensors = small().tensors()
    told = {name: (info.low, info.high, info.kind) for name, info in tensors.items()}
    assert told["minus"] == (-5, 0, "codes")
    assert told["both"] == told["swapped"] == (0, 5, "codes")
    assert told["product"] == (0, 25, "accumulators")


def test_its_text():
    text = str(small())
    assert "both: Concat(low, plus) -> 2 x 1 x 2" in text
    assert "swapped: Select(both, channels 1, 0) -> 2 x 1 x 2" in text
    assert "minus: Lookup(low, low -5, high 0) -> 1 x 1 x 2" in text


@pytest.mark.parametrize("make", [small, lambda: joined_graph(3), lambda: product_graph(1, low=-1)])
def test_a_file_holds_them(make, tmp_path):
    graph = make()
    graph.save(tmp_path / "a.glassbit")
    read = glassbit.load(tmp_path / "a.glassbit")
    read.save(tmp_path / "b.glassbit")
    assert (tmp_path / "a.glassbit").read_bytes() == (tmp_path / "b.glassbit").read_bytes()
    assert b'"version":"3"' in (tmp_path / "a.glassbit").read_bytes()
    images = images_for(graph, 9)
    assert read.run(images).tolist() == graph.run(images).tolist()
    assert read.saliency(images).tolist() == graph.saliency(images).tolist()


@pytest.mark.parametrize(
    ("name", "change", "text"),
    [
        ("both", {"inputs": ("low",)}, "both: inputs must be a tuple of 2..1024 names; got 1"),
        ("both", {"inputs": "low"}, "both: inputs must be a tuple of 2..1024 names; got 'low'"),
        ("both", {"inputs": ("low", "none")}, "both: reads 'none', which no earlier node makes"),
        ("both", {"inputs": ("low", 3)}, "node 4: what it reads must be printable text of at most 256 characters; got 3"),
        ("both", {"inputs": ("low", "minus")}, "both: the windows of all inputs must begin at one low; low begins at 0, minus at -5; requantize one of them"),
        ("product", {"right": "plus"}, "product: both operands must have one shape, or the right one (c,) or (c, 1, 1); both has (2, 1, 2), plus has (1, 1, 2)"),
        ("swapped", {"channels": (0, 2)}, "swapped: channels must be 0..1 of both; got 2"),
        ("swapped", {"channels": (0, 0)}, "swapped: channels must each be picked once; got 0 twice"),
        ("swapped", {"channels": ()}, "swapped: channels must be a tuple of 1..65535 ints; got 0 of them"),
        ("swapped", {"channels": [0, 1]}, "swapped: channels must be a tuple of 1..65535 ints; got [0, 1]"),
        ("swapped", {"channels": (True, 0)}, "swapped: channels must be a tuple of 1..65535 ints; got (True, 0)"),
        ("minus", {"table": ints(0, -1, -2), "slopes": floats(1, 1, 1)}, "minus: the table must have 4 codes, one for each of 0..3 of low; got 3"),
        ("minus", {"table": ints(0, -1, -2)}, "minus: table and slopes must be equally many; got 3 and 4"),
        ("minus", {"table": ints(0, -1, -2, -6)}, "minus: every code of the table must be in its window -5..0; got -6"),
        ("minus", {"table": np.zeros(4)}, "minus: table must be a filled int32 array of 1 axes; got float64 of shape (4,)"),
        ("minus", {"slopes": floats(1, 1, np.nan, 1)}, "minus: every slope must be finite; got nan"),
        ("minus", {"low": 1}, "minus: the window must be low..high with low <= 0 <= high and high - low of 1..255; got 1..0"),
        ("minus", {"high": 251}, "minus: the window must be low..high with low <= 0 <= high and high - low of 1..255; got -5..251"),
    ],
)  # fmt: skip
def test_what_breaks_a_rule_is_refused(name, change, text, unchecked):
    with pytest.raises(GraphError) as caught:
        small(**{name: change})
    assert text in str(caught.value)


def head(pixels: int, classes: int = 2) -> ig.IntGraph:
    nodes = (
        ig.Input("image", 1, pixels, pixels, zero=0),
        ig.Conv("head", "image", ig.Weights(np.full((classes, 1, 1, 1), 255, np.uint8), 8, "signed")),
        ig.Logits("logits", "head", ints(*[5] * classes), floats(*[0.5] * classes)),
    )
    return ig.IntGraph(nodes, ("a", "b"), ig.Preprocessing(1, pixels, pixels))


def test_logits_of_a_map_are_those_of_the_sum_of_its_pixels():
    graph = head(3)
    images = images_for(graph, 9)
    sums = 127 * images.astype(np.int64).sum((1, 2, 3)) + 5
    assert graph.run(images).tolist() == [[value * 0.5] * 2 for value in sums]
    assert graph.saliency(images).tolist() == np.full((9, 3, 3), 255 * 127 * 0.5).tolist()
    info = graph.tensors()["logits"]
    assert (info.shape, info.low, info.high) == ((2,), 5, 9 * 255 * 127 + 5)


def test_the_sum_of_a_map_fits_into_int32():
    head(257)
    with pytest.raises(GraphError) as caught:
        head(258)
    text = f"logits: |accumulator| + |bias| must stay below 2^31; got up to {258**2 * 255 * 127} of head and 5"
    assert text in str(caught.value)


def test_a_head_without_a_linear_layer_needs_version_3(tmp_path):
    head(3).save(tmp_path / "a.glassbit")
    assert b'"version":"3"' in (tmp_path / "a.glassbit").read_bytes()
