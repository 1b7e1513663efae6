"""What the ONNX file holds."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import onnx
import onnxruntime
import pytest
from graphs import first_version, images_for, random_graph

from benchmarks.onnx_latency import resnet20
from glassbit import runtime
from glassbit._errors import UsageError
from glassbit.intgraph import Conv, Linear
from glassbit.runtime import Session, export_onnx, onnx_model

from .cases import CASES

BYTES_A_LAYER = {False: 1200, True: 2200}
"""Operators, names and attributes of a layer, its requantizer and its share of sums; with those of its reverse."""


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_file_is_as_small_as_its_bits(bits, explain):
    """At most 3 % and a constant for each layer above the stored bits."""
    graph = resnet20(bits)
    certificate = graph.certificate
    size = len(onnx_model(graph, explain=explain).SerializeToString())
    assert size <= 1.03 * certificate.stored_bits / 8 + BYTES_A_LAYER[explain] * len(certificate.layers)


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_are_packed_once(bits):
    stored = {2: (onnx.TensorProto.UINT2, 2), 3: (onnx.TensorProto.UINT4, 4), 4: (onnx.TensorProto.UINT4, 4)}
    kind, packed = stored.get(bits, (onnx.TensorProto.UINT8, 8))
    graph = random_graph(1, bits=(bits,), blocks=(2,))
    layers = [node for node in graph.nodes if isinstance(node, Conv | Linear)]
    for explain in (False, True):
        model = onnx_model(graph, explain=explain)
        codes = [value for value in model.graph.initializer if value.name.endswith(".codes")]
        assert [value.data_type for value in codes] == [kind] * len(layers)
        for value, layer in zip(codes, layers, strict=True):
            assert len(value.raw_data) == -(-layer.weights.codes.size * packed // 8)
            np.testing.assert_array_equal(onnx.numpy_helper.to_array(value).astype(np.uint8), layer.weights.codes)


@pytest.mark.parametrize("name", CASES)
def test_only_standard_operators_of_a_pinned_version(name):
    graph = CASES[name]()
    two = any(node.weights.bits == 2 for node in graph.nodes if isinstance(node, Conv | Linear))
    for explain in (False, True):
        model = onnx_model(graph, explain=explain)
        onnx.checker.check_model(model, full_check=True)
        assert {node.domain for node in model.graph.node} == {""}
        assert not model.functions
        assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 25 if two else 21)]
        assert model.ir_version == (13 if two else 10)


def test_inputs_and_outputs():
    graph = random_graph(1)
    channels, height, width = graph.tensors()["image"].shape
    model = onnx_model(graph, explain=True)

    def described(values):
        return [
            (
                value.name,
                onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type),
                [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim],
            )
            for value in values
        ]

    assert described(model.graph.input) == [
        ("image", "UINT8", ["n", channels, height, width]),
        ("target", "INT64", ["targets"]),
    ]
    assert described(model.graph.output) == [
        ("logits", "FLOAT", ["n", len(graph.classes)]),
        ("saliency", "FLOAT", ["n", height, width]),
    ]
    plain = onnx_model(graph)
    assert [value.name for value in [*plain.graph.input, *plain.graph.output]] == ["image", "logits"]


def test_metadata():
    graph = random_graph(1)
    metadata = {entry.key: entry.value for entry in onnx_model(graph).metadata_props}
    assert metadata["format"] == "glassbit-onnx"
    assert metadata["format_version"] == "2"
    assert json.loads(metadata["classes"]) == list(graph.classes)
    assert json.loads(metadata["preprocessing"]) == asdict(graph.preprocessing)
    assert json.loads(metadata["certificate"]) == json.loads(json.dumps(asdict(graph.certificate)))
    assert (metadata["plan"], metadata["network"]) == (graph.about.plan, graph.about.network)


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    paths = [tmp_path / "a.onnx", tmp_path / "new" / "b.onnx"]
    for path in paths:
        export_onnx(random_graph(3), path, explain=True)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert Session(paths[0]).explains
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "new"]


@pytest.mark.parametrize(
    ("bits", "plain", "explaining"),
    [
        (2, "1.24.1", "1.24.1"),
        (3, "1.23.0", "1.23.0"),
        (4, "1.23.0", "1.23.0"),
        (5, "1.19.2", "1.21.0"),
        (8, "1.19.2", "1.21.0"),
    ],
)
def test_the_file_says_which_onnxruntime_loads_it(bits, plain, explaining):
    graph = random_graph(1, bits=(bits,), blocks=(2,))
    assert Session(onnx_model(graph)).metadata["onnxruntime"] == f">={plain}"
    assert Session(onnx_model(graph, explain=True)).metadata["onnxruntime"] == f">={explaining}"


def test_the_fewest_bits_of_a_layer_decide():
    graph = resnet20(2)
    assert {node.weights.bits for node in graph.nodes if isinstance(node, Conv | Linear)} == {2, 8}
    assert Session(onnx_model(graph)).metadata["onnxruntime"] == ">=1.24.1"


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_onnxruntime_loads_the_file_without_a_word(bits, explain, tmp_path, capfd):
    """With its own defaults, as a user would; the C++ side writes straight to the file descriptor."""
    path = tmp_path / "model.onnx"
    graph = random_graph(1, bits=(bits,))
    export_onnx(graph, path, explain=explain)
    session = onnxruntime.InferenceSession(path)
    feeds = {"image": images_for(graph, 2)} | ({"target": np.array([-1])} if explain else {})
    session.run(None, feeds)
    assert capfd.readouterr() == ("", "")


def test_a_default_of_the_target_is_not_without_a_word(tmp_path, capfd):
    """What the test above would see, were it so."""
    path = tmp_path / "model.onnx"
    onnx.save(first_version(onnx_model(random_graph(1), explain=True)), path)
    onnxruntime.InferenceSession(path)
    assert "target" in capfd.readouterr().err


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_extra_says_how_to_install_it(missing, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, missing, None)
    graph = random_graph(0)
    data = b"" if missing == "onnx" else onnx_model(graph).SerializeToString()
    calls = {
        "onnx": [lambda: runtime.onnx_model(graph), lambda: runtime.float_twin(graph), lambda: runtime.kernels(data)],
        "onnxruntime": [lambda: runtime.Session(data), lambda: runtime.kernels(data)],
    }
    for call in calls[missing]:
        with pytest.raises(
            UsageError,
            match=rf"{missing} must be installed; got no such package; pip install 'onnx>=1\.20' 'onnxruntime>=1\.24'",
        ):
            call()
