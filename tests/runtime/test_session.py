"""What `Session` refuses, and what it knows of its file."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from graphs import images_for, random_graph

from glassbit._errors import ArtifactError, UsageError
from glassbit.runtime import Session, export_onnx, onnx_model


@pytest.fixture(scope="module")
def graph():
    return random_graph(1)


@pytest.fixture(scope="module")
def session(graph):
    return Session(onnx_model(graph, explain=True))


def test_it_knows_its_network(graph, session):
    assert session.classes == graph.classes
    assert session.preprocessing == graph.preprocessing
    assert session.explains
    assert not Session(onnx_model(graph)).explains


def test_images_that_do_not_fit(graph, session):
    images = images_for(graph, 3)
    shape = ", ".join(map(str, images.shape[1:]))
    for wrong in (images[:, :, 1:], images[:0]):
        for call in (session.run, session.explain):
            with pytest.raises(
                UsageError, match=rf"images must be uint8 of shape \(n, {shape}\), n at least 1; got uint8"
            ):
                call(wrong)


def test_targets_that_are_no_class(graph, session, unchecked):
    images = images_for(graph, 3)
    count = len(graph.classes)
    with pytest.raises(UsageError, match=rf"target must be a class number, 0\.\.{count - 1}; got {count}"):
        session.explain(images, count)
    with pytest.raises(UsageError, match="got -1"):
        session.explain(images, np.array([0, -1, 0]))
    with pytest.raises(UsageError, match=r"or 3, one per image; got int64 of shape \(2,\)"):
        session.explain(images, np.array([0, 1]))


def test_no_map_without_the_output(graph):
    with pytest.raises(UsageError, match="must return maps; got one without; export it with explain=True"):
        Session(onnx_model(graph)).explain(images_for(graph, 1))


def test_files_that_are_not_ours(graph, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(ArtifactError, match=r"model\.onnx: must be a readable file; got: No such file"):
        Session(path)
    path.write_bytes(b"no onnx")
    with pytest.raises(ArtifactError, match=r"model\.onnx: must be a readable ONNX file; got: "):
        Session(path)
    export_onnx(graph, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=r"must be a readable ONNX file; got: "):
        Session(path)
    model = onnx.load_from_string(whole)
    for entry in model.metadata_props:
        if entry.key == "format_version":
            entry.value = "3"
    with pytest.raises(ArtifactError, match="must have the format version 1 or 2; got '3'; install a newer"):
        Session(model)
    for entry in model.metadata_props:
        if entry.key == "format_version":
            entry.value = "1"
        if entry.key == "classes":
            entry.value = "[not JSON"
    with pytest.raises(ArtifactError, match=r"classes and preprocessing must be as exported; got: .*; export it again"):
        Session(model)
    del model.metadata_props[:]
    with pytest.raises(ArtifactError, match="must be an ONNX file that Glassbit wrote; got another one"):
        Session(model)
