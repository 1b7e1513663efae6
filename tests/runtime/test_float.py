"""The float32 twin: the same layers, and the same numbers where nothing is rounded or clipped."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from graphs import images_for

from benchmarks.onnx_latency import resnet20
from glassbit.intgraph import (
    AveragePool,
    Conv,
    Flatten,
    Input,
    IntGraph,
    Linear,
    Logits,
    MaxPool,
    Preprocessing,
    Requantize,
    Subsample,
    Sum,
    Weights,
)
from glassbit.runtime import float_twin

from .cases import CASES


def run(model, images):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images})[0]


@pytest.mark.parametrize("name", CASES)
def test_every_network_has_one(name):
    graph = CASES[name]()
    images = images_for(graph, 3)
    model = float_twin(graph)
    logits = run(model, images)
    assert logits.shape == (3, len(graph.classes))
    counts = [node.op_type for node in model.graph.node]
    assert counts.count("Conv") == sum(isinstance(node, Conv) for node in graph.nodes)
    assert counts.count("Gemm") == sum(isinstance(node, Linear) for node in graph.nodes)
    assert {value.data_type for value in model.graph.initializer} <= {onnx.TensorProto.FLOAT, onnx.TensorProto.INT64}


def test_steps_cost_a_resnet_no_operator():
    counts = {node.op_type for node in float_twin(resnet20(4)).graph.node}
    wanted = {"Conv", "Relu", "Add", "GlobalAveragePool", "Gemm", "Flatten", "Slice", "Pad", "Cast", "Sub", "Identity"}
    assert counts == wanted


def test_equal_where_nothing_is_rounded_or_clipped():
    random = np.random.default_rng(0)

    def weights(*shape):
        return Weights(random.integers(0, 4, shape).astype(np.uint8), 2, "signed")

    def requantize(name, read, exponent, window, bias=0, channels=1):
        numbers = (np.full(channels, value, np.int32) for value in (bias, 1, exponent))
        return Requantize(name, read, *numbers, *window)

    signed, unsigned = (-128, 127), (0, 255)
    graph = IntGraph(
        (
            Input("image", 1, 6, 6, 1),
            Conv("conv1", "image", weights(4, 1, 1, 1)),
            requantize("act1", "conv1", 0, unsigned, bias=12, channels=4),
            Conv("conv2", "act1", weights(6, 4, 1, 1), stride=(2, 2)),
            requantize("main", "conv2", 0, signed, bias=2),
            Subsample("short", "act1", (2, 2), 2),
            Sum("sum", ("main", "short"), (0, 1)),
            requantize("act2", "sum", 0, unsigned, bias=1),
            AveragePool("mean", "act2", (2, 1), (1, 1)),
            requantize("pooled", "mean", 0, unsigned),
            MaxPool("max", "pooled", (2, 2), (1, 1)),
            Flatten("flat", "max"),
            Linear("fc", "flat", weights(5, 12)),
            requantize("hidden", "fc", 0, unsigned, bias=100),
            Linear("last", "hidden", weights(3, 5)),
            Logits("logits", "last", np.array([5, 0, -7], np.int32), np.array([0.5, 1, 2], np.float32)),
        ),
        ("a", "b", "c"),
        Preprocessing(1, 6, 6),
    )
    images = random.integers(0, 4, (20, 1, 6, 6)).astype(np.uint8)
    values = graph.trace(images)
    for node in graph.nodes:
        if isinstance(node, Requantize):
            assert values[node.name].max() < node.high
            assert node.low == 0 or values[node.name].min() > node.low
    np.testing.assert_allclose(run(float_twin(graph), images), graph.run(images), rtol=1e-6, atol=1e-4)
