"""The logits of ONNX Runtime are those of the definition, bit for bit."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import corner_graph, graphs, images_for
from hypothesis import HealthCheck, given, settings

from glassbit.intgraph import (
    Conv,
    Flatten,
    Input,
    IntGraph,
    Linear,
    Logits,
    Lookup,
    Multiply,
    Preprocessing,
    Requantize,
    Select,
    Subsample,
    Sum,
    SumPool,
    Weights,
)
from glassbit.runtime import Session, kernels, onnx_model
from glassbit.runtime._session import open_session

from .cases import CASES


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_logits_are_equal_to_the_bit_for_any_network(graph):
    images = images_for(graph, 8)
    np.testing.assert_array_equal(Session(onnx_model(graph)).run(images), graph.run(images), strict=True)


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize(("right_shift", "bias"), [(0, 0), (1, 0), (3, 0), (0, 77), (16, 0)])
@pytest.mark.parametrize(("m", "e"), [(1, 1), (1, 2), (3, 4), (1, 7), (255, 9), (255, 16)])
def test_sums_round_halves_to_even_for_every_pair_of_operands(m, e, right_shift, bias, optimize):
    one = np.ones(1, np.int32)
    graph = IntGraph(
        (
            Input("image", 2, 1, 256, 0),
            Conv("a", "image", pick(0)),
            Requantize("left", "a", one * -128, one, one * 0, -128, 127),
            Conv("b", "image", pick(1)),
            Requantize("right", "b", one * 0, one, one * 0, 0, 255),
            Sum("sum", ("left", "right"), (0, right_shift)),
            Requantize("out", "sum", one * bias, one * m, one * e, 0, 255),
            Flatten("flat", "out"),
            Linear("fc", "flat", Weights(np.ones((2, 256), np.uint8), 2, "signed")),
            Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
        ),
        ("a", "b"),
        Preprocessing(2, 1, 256),
    )
    every = np.arange(256, dtype=np.uint8)
    images = np.stack([np.stack([every, np.roll(every, shift)])[:, None] for shift in range(256)])
    codes = codes_of(graph, "out", images, optimize=optimize)
    np.testing.assert_array_equal(codes, graph.trace(images)["out"])


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("lows", [(0, 0), (-128, -128), (-7, -1), (0, -3), (-127, 0)])
@pytest.mark.parametrize(
    ("m", "e", "bias"),
    [(1, 1, 0), (1, 8, 0), (3, 10, 0), (255, 16, 0), (1, 7, 64), (255, 16, 999), (-3, 10, 0), (-1, 1, 1)],
)
def test_products_round_halves_to_even_for_every_pair_of_operands(m, e, bias, lows, optimize):
    """In windows that begin at odd numbers too, where the fused kernel of ONNX Runtime is wrong."""
    one, slopes, every = np.ones(1, np.int32), np.ones(256, np.float32), np.arange(256, dtype=np.int32)
    tables = [every + low for low in lows]
    graph = IntGraph(
        (
            Input("image", 2, 1, 256, 0),
            Select("a", "image", (0,)),
            Lookup("left", "a", tables[0], slopes, lows[0], lows[0] + 255),
            Select("b", "image", (1,)),
            Lookup("right", "b", tables[1], slopes, lows[1], lows[1] + 255),
            Multiply("product", "left", "right"),
            Requantize("out", "product", one * bias, one * m, one * e, 0, 255),
            Flatten("flat", "out"),
            Linear("fc", "flat", Weights(np.ones((2, 256), np.uint8), 2, "signed")),
            Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
        ),
        ("a", "b"),
        Preprocessing(2, 1, 256),
    )
    pixels = every.astype(np.uint8)
    images = np.stack([np.stack([pixels, np.roll(pixels, shift)])[:, None] for shift in range(256)])
    codes = codes_of(graph, "out", images, optimize=optimize)
    np.testing.assert_array_equal(codes, graph.trace(images)["out"])


def pick(channel: int) -> Weights:
    """One of two channels, as it is."""
    codes = np.full((1, 2, 1, 1), 2, np.uint8)
    codes[0, channel] = 3
    return Weights(codes, 2, "signed")


def codes_of(graph: IntGraph, name: str, images: np.ndarray, *, optimize: bool = True) -> np.ndarray:
    """A tensor of codes, as one more output of the ONNX file."""
    model = onnx_model(graph)
    shape = graph.tensors()[name].shape
    model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, ["n", *shape]))
    session = open_session(model.SerializeToString(), "codes", threads=1, optimize=optimize)
    return session.run([name], {"image": images})[0]


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("random", "ties", "uneven"))][::3])
def test_every_code_is_equal(name):
    graph = CASES[name]()
    images = images_for(graph, 6)
    model = onnx_model(graph)
    made = {output for node in model.graph.node for output in node.output}
    expected = graph.trace(images)
    compared = 0
    for node in graph.nodes:
        if isinstance(node, Requantize | Subsample) and node.name in made:
            codes = codes_of(graph, node.name, images)
            low = graph.tensors()[node.name].low
            np.testing.assert_array_equal(codes.astype(np.int64) + low, expected[node.name])
            compared += 1
    assert compared or not any(isinstance(node, Requantize) for node in graph.nodes)


@pytest.mark.parametrize("name", CASES)
def test_every_convolution_is_an_integer_kernel(name):
    graph = CASES[name]()
    counts = kernels(onnx_model(graph))
    convolutions = sum(isinstance(node, Conv) for node in graph.nodes)
    assert counts["QLinearConv"] + counts["ConvInteger"] >= convolutions
    assert not counts.keys() & {
        "Conv",
        "FusedConv",
        "ConvTranspose",
        "Gemm",
        "FusedGemm",
        "FusedMatMul",
        "QLinearAdd",
        "QLinearMul",
    }
    pools = [node for node in graph.nodes if isinstance(node, SumPool)]
    few = sum(
        len(node.rows) * len(node.columns) <= 64
        and max(row[2] for row in node.rows) * max(column[2] for column in node.columns) <= 255
        for node in pools
    )
    assert counts["MatMulInteger"] == few + sum(isinstance(node, Linear) for node in graph.nodes)
    assert counts["MatMul"] == 2 * (len(pools) - few)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("saturating", {onnx.TensorProto.UINT8}),
        ("extreme-odd-2-highest", {onnx.TensorProto.INT8}),
        ("above-the-pair-bound", {onnx.TensorProto.UINT8}),
        ("above-the-pair-bound-depthwise", {onnx.TensorProto.INT8}),
        ("lowest-depthwise", {onnx.TensorProto.UINT8}),
    ],
)
def test_weights_whose_products_could_saturate_are_uint8(name, kinds):
    """Above the bound weights are uint8 with zero point 128, below it int8; depthwise ones only at -128."""
    assert weight_types(CASES[name]()) == kinds


def test_the_pair_bound_counts_what_is_stored_of_a_code():
    """-128..127 is stored as 0..255: 2 * 255 * 64 fits 16 bits, 2 * 255 * 65 does not."""
    assert weight_types(corner_graph((-64, 64), deep=False)) == {onnx.TensorProto.INT8}
    assert weight_types(corner_graph((-65, 65), deep=False)) == {onnx.TensorProto.UINT8}


@pytest.mark.parametrize("name", ["lowest-turned", "lowest-turned-depthwise"])
def test_a_weight_that_cannot_be_negated_is_no_qlinearconv(name):
    counts = kernels(onnx_model(CASES[name]()))
    assert (counts["ConvInteger"], counts["QLinearConv"]) == (1, 0)


def weight_types(graph: IntGraph) -> set[int]:
    """Return the types of the weights that convolutions are given."""
    model = onnx_model(graph)
    casts = {node.output[0]: node.attribute[0].i for node in model.graph.node if node.op_type == "Cast"}
    weights = [node.input[3] for node in model.graph.node if node.op_type == "QLinearConv"]
    return {casts[weight] for weight in weights if weight in casts}
