"""ONNX files that may come from anywhere: what is refused before ONNX Runtime sees them, and in which words."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import images_for, whole_graph
from onnx import TensorProto, helper, numpy_helper

from benchmarks._hostile import ONNX_CHANGES
from glassbit._errors import ArtifactError
from glassbit.runtime import Session, kernels, onnx_model, verify, verify_settings
from glassbit.runtime._described import described
from glassbit.runtime._structure import OPERATORS
from glassbit.runtime._untrusted import _messages

from .cases import CASES


@pytest.fixture(scope="module")
def graph():
    return whole_graph()


@pytest.fixture
def model(graph):
    return onnx_model(graph, explain=True)


def refusal(model: onnx.ModelProto) -> str:
    with pytest.raises(ArtifactError) as caught:
        Session(model)
    text = str(caught.value)
    assert text.startswith("the model: ")
    assert text.isprintable()
    assert len(text) < 1000
    return text.removeprefix("the model: ")


def test_the_operators_are_those_that_are_written():
    written: dict[str, set[str]] = {}
    for make in CASES.values():
        for node in onnx_model(make(), explain=True).graph.node:
            written.setdefault(node.op_type, set()).update(attribute.name for attribute in node.attribute)
    assert written.keys() <= OPERATORS.keys()
    assert all(names <= set(OPERATORS[kind]) for kind, names in written.items())


@pytest.mark.parametrize("where", ["initializer", "attribute", "sparse", "graph", "function", "training"])
@pytest.mark.parametrize("place", ["weights.bin", "../secret", "/etc/hostname"])
def test_external_data_is_refused_wherever_it_is(model, tmp_path, monkeypatch, where, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(bytes(10**5))
    name = f"external {place}" if where == "initializer" else f"external in {where}"
    if where == "initializer":
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        entry = tensor.external_data.add()
        entry.key, entry.value = "location", place
    else:
        ONNX_CHANGES[name](model, random.Random(0))
    for call in (
        Session,
        kernels,
        lambda model: verify_settings(model.SerializeToString(), np.zeros((1, 1, 1, 1), np.uint8)),
    ):
        with pytest.raises(
            ArtifactError, match=r"must hold all of its data; got the tensor .* in .*, which is not read"
        ):
            call(model)


def test_every_message_is_looked_at(model):
    tensor = numpy_helper.from_array(np.zeros(1, np.float32), "deep")
    for _ in range(20):
        inner = helper.make_graph([], "g", [], [], [tensor])
        node = helper.make_node("If", [""], [""], then_branch=inner, else_branch=inner)
        tensor = numpy_helper.from_array(np.zeros(1, np.float32), "deep")
        inner.node.append(node)
        model.graph.node.append(node)
    names = [message.name for message in _messages(model) if isinstance(message, TensorProto)]
    assert names.count("deep") >= 40


@pytest.mark.parametrize("name", ONNX_CHANGES)
def test_each_change_is_refused_or_harmless(graph, model, name):
    """What is accepted gives the right logits, or says that they are no numbers."""
    ONNX_CHANGES[name](model, random.Random(3))
    images = images_for(graph, 2)
    try:
        session = Session(model)
        logits = session.run(images)
    except ArtifactError as error:
        text = str(error)
    else:
        assert logits.shape == (2, len(graph.classes))
        assert np.isfinite(logits).all()
        text = "fine"
    assert text.isprintable()
    assert len(text) < 1000


REFUSED = {
    "loop": "has the operator Loop, which Glassbit does not write",
    "operator Scan": "has the operator Scan, which Glassbit does not write",
    "custom domain": "has the operator com.evil.Add, which Glassbit does not write",
    "operator \x1b[2J": "has the operator \\x1b[2J, which Glassbit does not write",
    "strides [0, 0]": "with a value of strides below 1",
    "pads [-1, -1]": "with a value of pads below 0",
    "kernel_shape [4611686018427387904, 4611686018427387904]": "with a value of kernel_shape that is too large",
    "group 0": "with a value of group below 1",
    "filled [65536, 65536, 3]": "has operators that do not fit together (",
    "filled [-1]": "has operators that do not fit together (",
    "dims [4611686018427387904, 4611686018427387904]": "of the shape [4611686018427387904, 4611686018427387904]",
    "dims [1099511627776]": "of the shape [1099511627776]",
    "no target": "must have the inputs image and target; got image; export it again",
    "no image": "must have the inputs image and target; got target; export it again",
    "no logits": "must have the outputs logits and saliency and no others; got saliency; export it again",
    "float image": "image must be UINT8 of shape (n, 1, 4, 4); got FLOAT of shape (n, 1, 12, 12); export it again",
    "text logits": "logits must be FLOAT of shape (n, 3); got STRING of shape (n, 3); export it again",
    "float target": "target must be INT64 of shape (n); got FLOAT of shape (n); export it again",
    "small saliency": "saliency must be FLOAT of shape (n, 4, 4); got FLOAT of shape (n, 3, 3); export it again",
    "another input": "must have the inputs image and target; got image, target, more; export it again",
    "metadata twice": "metadata must have each key once; got one twice; export it again",
    "classes 3": "classes must be a list of 2 to 65535 names",
    'classes ["a"]': "classes must be a list of 2 to 65535 names",
    "classes [1,2,3]": "classes must be printable text of at most 256 characters; got 1",
    'classes ["a\\nb","c","d"]': "classes must be printable text of at most 256 characters; got 'a\\nb'",
    'classes ["a","a"]': "classes must each have a name of its own",
    'preprocessing {"channels":1}': "preprocessing must have channels, height, width, resize",
    "no format": "must be an ONNX file that Glassbit wrote; got another one; write one with `glassbit export`",
    "many nodes": "operators; at most 20000 are run",
    "ballast": "must have at most 4194304 bytes beside its weights; got",
    "versions 28 14": "has the operator sets ai.onnx 28 and IR 14, which Glassbit does not write",
    "name ''": "whose result has no name",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_said(model, name):
    ONNX_CHANGES[name](model, random.Random(3))
    assert REFUSED[name] in refusal(model)


def _computed_shape(model: onnx.ModelProto) -> None:
    last = next(node for node in model.graph.node if "logits" in node.output)
    last.output[0] = "logits.before"
    model.graph.node.extend(
        [
            helper.make_node("Size", ["image"], ["s"]),
            helper.make_node("Mul", ["s", "s"], ["ss"]),
            helper.make_node("Expand", ["logits.before", "ss"], ["logits"]),
        ]
    )


def _broadcast(model: onnx.ModelProto) -> None:
    for name, shape in (("tall", (2**15, 1, 2)), ("wide", (1, 2**15, 2))):
        model.graph.initializer.append(numpy_helper.from_array(np.ones(shape, np.float32), name))
    model.graph.node.append(helper.make_node("Add", ["tall", "wide"], ["huge"]))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_computed_shape, "has an operator Expand whose shape is computed, which Glassbit does not write"),
        (_broadcast, "has an operator Add that makes 2147483648 numbers for one image; at most 134217728"),
    ],
)
def test_shapes_cannot_be_hidden(graph, change: Callable[[Any], None], text):
    model = onnx_model(graph)
    change(model)
    assert text in refusal(model)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_are_never_equal(graph, value):
    model = onnx_model(graph)
    ONNX_CHANGES[f"floats {value}"](model, random.Random(0))
    images, data = images_for(graph, 2), model.SerializeToString()
    with pytest.raises(ArtifactError, match=r"logits must be finite; got NaN or infinity for image 0; export it again"):
        Session(model).run(images)
    with pytest.raises(ArtifactError, match="must be finite; got NaN or infinity"):
        verify_settings(data, images)
    rows = [row for row in verify(graph, images, model=data, explain=False) if row.backend.startswith("ONNX")]
    assert rows
    assert {row.outcome for row in rows} == {"failed"}


def test_verify_exits_with_1(graph, tmp_path, capsys):
    from glassbit.cli import main

    model = onnx_model(graph)
    ONNX_CHANGES["floats nan"](model, random.Random(0))
    (tmp_path / "nan.onnx").write_bytes(model.SerializeToString())
    assert main(["verify", str(tmp_path / "nan.onnx"), "--images", "2"]) == 1
    assert "equal" not in capsys.readouterr().out


def test_files_that_are_none(tmp_path):
    import os

    path = tmp_path / "a.onnx"
    os.mkfifo(path)
    with pytest.raises(ArtifactError, match="a pipe, socket or device, which is not opened"):
        Session(path)
    path.unlink()
    path.touch()
    with pytest.raises(ArtifactError, match="must be an ONNX file that Glassbit wrote; got another one"):
        Session(path)
    with pytest.raises(ArtifactError, match="must be a readable file; got: a folder, where a file is needed"):
        Session(tmp_path)
    with path.open("wb") as file:
        file.truncate(2**31)
    with pytest.raises(ArtifactError, match="must have at most 2147483647 bytes, as ONNX files have; got 2147483648"):
        Session(path)


@pytest.mark.parametrize("explain", [False, True])
def test_large_networks_are_still_described(explain):
    from graphs import resnet_graph

    graph = resnet_graph(2)
    found = described(onnx_model(graph, explain=explain).SerializeToString(), "resnet")
    assert found.classes == graph.classes
    assert found.explains == explain
    assert json.loads(found.metadata["classes"]) == list(graph.classes)


def test_the_working_directory_is_not_read(model, tmp_path, monkeypatch):
    """Both onnx and ONNX Runtime would take the bytes from there."""
    monkeypatch.chdir(tmp_path)
    tensor = next(one for one in model.graph.initializer if len(one.raw_data) > 8)
    Path("w.bin").write_bytes(tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, "w.bin", 0, len(tensor.raw_data))
    tensor.ClearField("raw_data")
    assert "in w.bin, which is not read" in refusal(model)


def _initializer(model: onnx.ModelProto) -> None:
    first = model.graph.initializer[0]
    model.graph.initializer.insert(0, numpy_helper.from_array(0 * numpy_helper.to_array(first), first.name))


def _result(model: onnx.ModelProto) -> None:
    model.graph.node.append(model.graph.node[0])


def _constant_that_is_computed(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), model.graph.node[0].output[0]))


def _attribute(model: onnx.ModelProto) -> None:
    node = next(node for node in model.graph.node if node.attribute)
    node.attribute.append(node.attribute[0])


def _shape(model: onnx.ModelProto) -> None:
    model.graph.value_info.extend([helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])] * 2)


def _numbers(model: onnx.ModelProto) -> None:
    next(tensor for tensor in model.graph.initializer if tensor.HasField("raw_data")).int32_data.append(1)


def _operator_set(model: onnx.ModelProto) -> None:
    model.opset_import.append(model.opset_import[0])


def _output(model: onnx.ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])


def _another_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info(model.graph.node[0].output[0], 1, None))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (_initializer, "has the tensor .* twice"),
        (_result, "has the tensor .* twice"),
        (_constant_that_is_computed, "has the tensor .* twice"),
        (_attribute, "has the attribute of .* twice"),
        (_shape, "has the shape of x twice"),
        (_numbers, "has the tensor .* with its numbers twice"),
        (_operator_set, "has an operator set twice"),
        (_output, "must have the outputs logits and no others; got logits, logits"),
        (_another_output, "must have the outputs logits and no others; got logits, "),
    ],
)
def test_nothing_is_there_twice_or_beside(graph, change: Callable[[Any], None], text):
    model = onnx_model(graph)
    change(model)
    with pytest.raises(ArtifactError, match=text):
        Session(model)


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("classes", None, "classes and preprocessing must be as exported; got: there is no classes; export it again"),
        ("classes", "\x1b[2J", "as exported; got: classes must be JSON; got '\\x1b[2J'"),
        ("preprocessing", "[" * 100_000, "as exported; got: preprocessing is nested too deeply"),
        ("format_version", None, "must have the format version 1 or 2; got none; export it again"),
        ("format_version", "\x1b", "must have the format version 1 or 2; got '\\x1b'; export it again"),
        ("format_version", "3", "must have the format version 1 or 2; got '3'; install a newer Glassbit"),
    ],
)
def test_what_is_said_of_the_metadata(model, key, value, text):
    for entry in list(model.metadata_props):
        if entry.key == key:
            model.metadata_props.remove(entry)
    if value is not None:
        model.metadata_props.add(key=key, value=value)
    assert text in refusal(model)


def test_an_input_that_is_there_twice_is_said(model):
    model.graph.input.append(model.graph.input[0])
    assert "must have the inputs " in refusal(model)
    assert "got image, " in refusal(model)
