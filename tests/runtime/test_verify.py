"""The comparison of back ends sees what it must see."""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import onnx
import pytest
from graphs import first_version, images_for, random_graph

from glassbit._errors import ArtifactError, UsageError
from glassbit.intgraph import IntGraph
from glassbit.runtime import (
    BACKENDS,
    MAPS,
    export_onnx,
    find_web,
    from_logits,
    onnx_model,
    relative_error,
    verify,
    verify_settings,
)


@pytest.fixture(scope="module")
def graph():
    return random_graph(9)


@pytest.fixture
def no_web(monkeypatch, tmp_path):
    monkeypatch.setenv("GLASSBIT_WEB", str(tmp_path))


def test_every_back_end_is_equal(graph):
    images = images_for(graph, 4)
    rows = verify(graph, images, backends=(from_logits("oracle", IntGraph.run), *BACKENDS))
    assert [row.backend for row in rows[:9]] == [
        "oracle",
        *(
            f"ONNX Runtime, optimisations {switch}, threads {threads}, batch {batch}"
            for switch in ("on", "off")
            for threads in (1, 2)
            for batch in (1, 4)
        ),
    ]
    assert {row.backend.split(" ")[0] for row in rows[9:]} == {"onnxruntime-web"}
    for row in rows:
        if row.outcome != "missing":
            assert (row.outcome, row.images, row.differing, row.first, row.largest) == ("equal", 4, 0, None, 0.0)
            assert row.backend == "oracle" or (row.saliency is not None and row.saliency <= 1e-5)
    assert [row.note for row in rows if row.outcome == "missing"] == why_no_web()


def why_no_web() -> list[str]:
    try:
        find_web()
    except UsageError as error:
        return [str(error)]
    return []


def test_without_maps(graph, no_web):
    rows = verify(graph, images_for(graph, 1), explain=False)
    assert [row.outcome for row in rows] == ["equal"] * 8 + ["missing"]
    assert {row.saliency for row in rows} == {None}


def test_a_back_end_that_is_wrong_in_one_logit_is_seen(graph, no_web):
    def almost(graph, images):
        logits = graph.run(images)
        logits[2, 1] = np.nextafter(logits[2, 1], np.float32(np.inf))
        return logits

    (row,) = verify(graph, images_for(graph, 4), backends=[from_logits("almost", almost)])
    assert (row.outcome, row.differing, row.first) == ("differs", 1, (2, 1))
    assert 0 < row.largest < 1e-3


def test_a_file_of_another_network_differs(graph, no_web, tmp_path):
    path = tmp_path / "other.onnx"
    model = onnx_model(graph)
    bias = next(value for value in model.graph.initializer if value.name == model.graph.node[-1].input[1])
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) * np.float32(1.5), bias.name))
    path.write_bytes(model.SerializeToString())
    rows = verify(graph, images_for(graph, 2), model=path)
    assert {row.outcome for row in rows[:-1]} == {"differs"}
    export_onnx(random_graph(0), path)
    rows = verify(graph, images_for(graph, 2), model=path)
    assert {row.outcome for row in rows[:-1]} == {"failed"}
    assert "images must be uint8" in rows[0].note
    with pytest.raises(ArtifactError, match="must be a readable file; got: "):
        verify(graph, images_for(graph, 2), model=tmp_path / "none.onnx")
    path.write_bytes(b"abc")
    for check in (partial(verify, graph), partial(verify_settings)):
        with pytest.raises(ArtifactError, match=f"{path}: must be a readable ONNX file; got: "):
            check(images=images_for(graph, 2), model=path)
        with pytest.raises(UsageError, match=r"model must be an ONNX file: its path, its bytes, .*; got 7"):
            check(images=images_for(graph, 2), model=7)


def scales_of_the_map(model):
    """The float constants by which weights and gradients are multiplied: no logit depends on them."""
    names = {name for node in model.graph.node if node.op_type == "Mul" for name in node.input}
    floats = (value for value in model.graph.initializer if value.data_type == onnx.TensorProto.FLOAT)
    plain = {value.name for value in onnx_model(random_graph(9)).graph.initializer}
    return [value for value in floats if value.name in names - plain]


@pytest.mark.parametrize("damage", [0.0, 1e-45, 1.01, np.inf])
def test_a_damaged_map_is_seen(graph, no_web, damage):
    images = images_for(graph, 2)
    count = len(scales_of_the_map(onnx_model(graph, explain=True)))
    assert count > 1
    for i in range(count):
        model = onnx_model(graph, explain=True)
        scale = scales_of_the_map(model)[i]
        values = onnx.numpy_helper.to_array(scale).copy()
        values[...] = np.float32(damage) * values if damage == 1.01 else damage
        scale.CopyFrom(onnx.numpy_helper.from_array(values, scale.name))
        rows = verify(graph, images, model=model.SerializeToString())[:-1]
        if damage == np.inf:
            assert {row.outcome for row in rows} <= {"differs", "failed"}
            continue
        assert [(row.outcome, row.differing) for row in rows] == [("differs", 0)] * 8
        assert all(row.saliency is not None and row.saliency > MAPS for row in rows)


def test_a_back_end_that_answers_wrongly_fails(graph, no_web):
    wide = from_logits("wide", lambda graph, images: graph.run(images).astype(np.float64))
    (row,) = verify(graph, images_for(graph, 2), backends=[wide])
    assert row.outcome == "failed"
    assert "logits must be float32" in row.note


def test_what_a_back_end_needs_is_said_and_it_is_not_run(graph):
    def needs():
        raise UsageError("it needs a compiler")

    (row,) = verify(graph, images_for(graph, 1), backends=[from_logits("toy", lambda *_: 1 / 0, needs=needs)])
    assert (row.backend, row.outcome, row.note, row.images) == ("toy", "missing", "it needs a compiler", 0)


def test_without_the_extra(graph, no_web, monkeypatch):
    images = images_for(graph, 1)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    rows = verify(graph, images)
    assert [(row.backend, row.outcome) for row in rows] == [("ONNX Runtime", "missing"), ("onnxruntime-web", "missing")]
    text = "onnxruntime must be installed; got no such package; pip install 'onnx>=1.20' 'onnxruntime>=1.24'"
    assert rows[0].note == f"ONNX Runtime: {text}"
    monkeypatch.setitem(sys.modules, "onnx", None)
    rows = verify(graph, images)
    assert [row.note for row in rows] == [
        "An ONNX file: onnx must be installed; got no such package; pip install 'onnx>=1.20' 'onnxruntime>=1.24'"
    ] * 2


def test_the_settings_among_each_other(graph, no_web, tmp_path):
    images = images_for(graph, 3)
    path = tmp_path / "model.onnx"
    export_onnx(graph, path, explain=True)
    rows = verify_settings(path, images)
    assert [row.outcome for row in rows] == ["equal"] * 8 + ["missing"]
    assert all(row.saliency is not None and row.saliency <= 1e-5 for row in rows[:-1])
    onnx.save(first_version(onnx_model(graph, explain=True)), path)
    assert [row.outcome for row in verify_settings(path, images)] == ["equal"] * 8 + ["missing"]
    export_onnx(graph, path)
    assert {row.saliency for row in verify_settings(path, images)} == {None}
    with pytest.raises(UsageError, match="there must be at least one to compare"):
        verify_settings(path, images[:0])


def test_it_needs_images(graph):
    with pytest.raises(UsageError, match="there must be at least one to compare"):
        verify(graph, images_for(graph, 0))


def test_relative_error():
    maps = np.array([[[1.0, 2.0]], [[0.0, 4.0]]])
    assert relative_error(maps + 1, maps) == 0.25
    assert relative_error(np.full((1, 1, 1), 0.5), np.zeros((1, 1, 1))) == 0.5
    assert relative_error(np.full((1, 1, 1), np.nan), np.zeros((1, 1, 1))) == np.inf
