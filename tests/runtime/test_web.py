"""The same file in WebAssembly, where Node.js and the npm package are installed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from graphs import images_for

from benchmarks.onnx_latency import resnet20
from glassbit._errors import RunError, UsageError
from glassbit.runtime import Web, WebJob, find_web, onnx_model, relative_error

from .cases import CASES

NAMES = ["random-1", "random-4", "2-bits", "8-bits", "ties-0", "saturating", "uneven-4", "uneven-many", "uneven-heavy"]


@pytest.fixture(scope="module")
def web() -> Web:
    try:
        return find_web()
    except UsageError as error:
        pytest.skip(str(error))


def test_logits_are_equal_to_the_bit_and_maps_are_those_of_the_definition(web):
    networks = {name: CASES[name]() for name in NAMES} | {"resnet20": resnet20(2)}
    jobs, expected = [], []
    for graph in networks.values():
        images = images_for(graph, 4)
        model = onnx_model(graph, explain=True).SerializeToString()
        expected += [(graph.run(images), graph.saliency(images))] * 2
        jobs += [WebJob(model, images, batch=3), WebJob(model, images, optimize=False)]
    for outputs, (logits, maps) in zip(web.run(jobs), expected, strict=True):
        np.testing.assert_array_equal(outputs["logits"], logits, strict=True)
        assert relative_error(outputs["saliency"], maps) <= 1e-5


def test_a_prediction_file_and_an_error_in_node(web):
    graph = CASES["random-1"]()
    images = images_for(graph, 1)
    assert web.run([WebJob(onnx_model(graph).SerializeToString(), images)])[0].keys() == {"logits"}
    with pytest.raises(RunError, match=r"onnxruntime-web .* failed:\n(.|\n)*protobuf"):
        web.run([WebJob(b"no onnx", images)])


def test_what_is_missing_is_said(tmp_path, monkeypatch):
    if shutil.which("node") is not None:
        with pytest.raises(UsageError, match=r"npm install --prefix .* onnxruntime-web"):
            find_web(tmp_path)
        folder = tmp_path / "node_modules" / "onnxruntime-web"
        folder.mkdir(parents=True)
        (folder / "package.json").write_text(json.dumps({"version": "1.2.3"}))
        monkeypatch.setenv("GLASSBIT_WEB", str(tmp_path))
        assert find_web().version == "1.2.3"
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"Node\.js 18 or newer must be installed; got no program called node"):
        find_web(tmp_path)
