"""The saliency output of the ONNX file, against the definition in float64."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from graphs import first_version, graphs, images_for
from hypothesis import HealthCheck, given, settings

from benchmarks.onnx_latency import resnet20
from glassbit.intgraph import Flatten, Input, IntGraph, Linear, Logits, MaxPool, Preprocessing, Weights
from glassbit.runtime import Session, onnx_model, relative_error

from .cases import CASES

LARGEST = 1e-5


@pytest.mark.parametrize("optimize", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_maps_are_those_of_the_definition(name, optimize):
    graph = CASES[name]()
    images = images_for(graph, 15)
    session = Session(onnx_model(graph, explain=True), optimize=optimize)
    logits, maps = session.explain(images)
    assert maps.dtype == np.float32
    assert maps.shape == (15, *images.shape[2:])
    np.testing.assert_array_equal(logits, graph.run(images))
    assert relative_error(maps, graph.saliency(images)) <= LARGEST
    one_by_one = np.concatenate([session.explain(images[i : i + 1])[1] for i in range(15)])
    assert relative_error(one_by_one, graph.saliency(images)) <= LARGEST


@pytest.mark.parametrize("name", list(CASES)[::4])
def test_any_class_can_be_explained(name):
    graph = CASES[name]()
    images = images_for(graph, 9)
    session = Session(onnx_model(graph, explain=True))
    targets = np.arange(9) % len(graph.classes)
    assert relative_error(session.explain(images, targets)[1], graph.saliency(images, targets)) <= LARGEST
    last = len(graph.classes) - 1
    assert relative_error(session.explain(images, last)[1], graph.saliency(images, last)) <= LARGEST


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_maps_of_any_network(graph):
    images = images_for(graph, 8)
    maps = Session(onnx_model(graph, explain=True)).explain(images)[1]
    assert relative_error(maps, graph.saliency(images)) <= LARGEST


@pytest.mark.parametrize("bits", [2, 4])
def test_maps_of_a_resnet(bits):
    graph = resnet20(bits)
    images = images_for(graph, 2)
    maps = Session(onnx_model(graph, explain=True)).explain(images)[1]
    expected = graph.saliency(images)
    assert (expected.max((1, 2)) > 0).all()
    assert relative_error(maps, expected) <= LARGEST


@pytest.mark.parametrize("padding", [(0, 0), (1, 1)])
@pytest.mark.parametrize(("kernel", "stride"), [((2, 2), (2, 2)), ((3, 3), (1, 1)), ((3, 2), (2, 1))])
def test_of_equal_maxima_the_first_counts_also_where_windows_overlap(kernel, stride, padding):
    pool = MaxPool("pool", "image", kernel, stride, padding)
    channels, height, width = 2, 6, 5
    rows, columns = ((size + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i, size in enumerate((height, width)))
    random = np.random.default_rng(0)
    weights = Weights(random.integers(0, 16, (3, channels * rows * columns)).astype(np.uint8), 4, "odd")
    graph = IntGraph(
        (
            Input("image", channels, height, width, 0),
            pool,
            Flatten("flat", "pool"),
            Linear("fc", "flat", weights),
            Logits("logits", "fc", np.zeros(3, np.int32), np.array([0.5, 1, 0.1], np.float32)),
        ),
        ("a", "b", "c"),
        Preprocessing(channels, height, width),
    )
    images = np.concatenate(
        [
            random.integers(0, 2, (20, channels, height, width)),
            np.zeros((1, channels, height, width)),
            np.full((1, channels, height, width), 255),
        ]
    ).astype(np.uint8)
    for optimize in (True, False):
        maps = Session(onnx_model(graph, explain=True), optimize=optimize).explain(images)[1]
        assert relative_error(maps, graph.saliency(images)) <= 1e-6


def test_the_target_is_an_input_without_a_default():
    graph = CASES["4-bits"]()
    images = images_for(graph, 5)
    data = onnx_model(graph, explain=True).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    assert [(value.name, value.type) for value in session.get_inputs()] == [
        ("image", "tensor(uint8)"),
        ("target", "tensor(int64)"),
    ]
    assert session.get_overridable_initializers() == []
    predicted = graph.run(images).argmax(1)
    named, minus_one = (
        session.run(["saliency"], {"image": images, "target": target})[0] for target in (predicted, np.array([-1]))
    )
    np.testing.assert_array_equal(named, minus_one)


def test_files_of_version_1_give_the_same():
    """There `target` has a default."""
    graph = CASES["4-bits"]()
    images = images_for(graph, 5)
    new = onnx_model(graph, explain=True)
    now, before = Session(new), Session(first_version(new))
    assert before.metadata["format_version"] == "1"
    np.testing.assert_array_equal(before.run(images), now.run(images))
    for target in (None, 1, np.arange(5) % len(graph.classes)):
        for one, other in zip(before.explain(images, target), now.explain(images, target), strict=True):
            np.testing.assert_array_equal(one, other)
