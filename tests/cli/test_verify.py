"""`glassbit verify`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest

from glassbit import backends, export_onnx
from glassbit.intgraph import Logits
from glassbit.runtime import from_logits, onnx_model


@pytest.fixture(autouse=True)
def _no_web(tmp_path, monkeypatch):
    monkeypatch.setenv("GLASSBIT_WEB", str(tmp_path / "web"))


@pytest.fixture
def other(graph, tmp_path):
    """The same network with one bias of the last layer one step higher, as an ONNX file."""
    last = graph.nodes[-1]
    assert isinstance(last, Logits)
    bias = last.bias + np.array([0, 1, 0], np.int32)
    changed = replace(graph, nodes=(*graph.nodes[:-1], replace(last, bias=bias)))
    export_onnx(changed, tmp_path / "other.onnx")
    return tmp_path / "other.onnx"


def test_every_back_end_is_equal(call, artifact):
    code, out, err = call("verify", artifact, "--images", "7")
    assert (code, err) == (0, f"comparing {artifact.name} (7)\n")
    lines = out.splitlines()
    assert lines[0].startswith(f"{artifact} on 7 images of random pixels (those of fashion-mini have another size")
    assert lines[1] == "compared with the definition in NumPy integers"
    rows = [line for line in lines if line.startswith(("PyTorch ", "ONNX Runtime, "))]
    assert len(rows) == 9
    assert all("  equal" in row for row in rows)
    assert any("optimisations off, threads 2, batch 7" in row for row in rows)
    assert any(line.startswith("onnxruntime-web  ") and line.endswith("skipped") for line in lines)
    assert any(line.startswith("onnxruntime-web skipped: ") for line in lines)
    ways = sum("  equal" in line for line in lines)
    assert lines[-1] == f"every logit is equal, to the bit, in {ways} ways to run it"


def test_a_back_end_that_is_wrong_in_one_logit_is_named_and_exits_1(call, artifact, monkeypatch):
    def almost(graph, images):
        logits = graph.run(images)
        logits[2, 1] = np.nextafter(logits[2, 1], np.float32(np.inf))
        return logits

    monkeypatch.setattr(backends, "BACKENDS", (*backends.BACKENDS, from_logits("Toy", almost)))
    code, out, err = call("verify", artifact, "--images", "4")
    assert code == 1
    assert "differs on 1 of 4 images, first on image 2, class middle, by up to" in out
    assert err.endswith("glassbit: 1 back end does not compute the same:\n  - Toy\n")


def test_many_images_are_compared_some_at_a_time(call, artifact, other, monkeypatch):
    from glassbit.cli import _verify

    monkeypatch.setattr(_verify, "_AT_ONCE", 2)
    code, out, _ = call("verify", other, "--artifact", artifact, "--images", "5")
    assert code == 1
    assert "differs on 5 of 5 images, first on image 0, class middle, by up to 0.01" in out


def test_a_difference_is_found_named_and_exits_1(call, artifact, other):
    code, out, err = call("verify", other, "--artifact", artifact, "--images", "3")
    assert code == 1
    assert "PyTorch" in out
    assert out.count("differs on 3 of 3 images, first on image 0, class middle, by up to 0.01") >= 8
    assert err.startswith("comparing other.onnx (3)\nglassbit: ")
    assert "  - ONNX Runtime, optimisations on, threads 1, batch 1\n" in err
    assert "  - PyTorch" not in err


def test_a_damaged_map_is_found_and_exits_1(call, artifact, graph, tmp_path):
    model = onnx_model(graph, explain=True)
    changed = [
        value
        for value in model.graph.initializer
        if value.data_type == onnx.TensorProto.FLOAT
        and value.name in {name for node in model.graph.node if node.op_type == "Mul" for name in node.input}
        and value.name not in {other.name for other in onnx_model(graph).graph.initializer}
    ]
    for value in changed:
        value.CopyFrom(onnx.numpy_helper.from_array(np.zeros_like(onnx.numpy_helper.to_array(value)), value.name))
    onnx.save(model, tmp_path / "maps.onnx")
    code, out, err = call("verify", tmp_path / "maps.onnx", "--artifact", artifact, "--images", "3")
    assert code == 1
    assert out.count("equal; maps differ by up to 1 of the largest value, and at most 1e-05 is rounding") == 8
    assert "glassbit: 8 back ends do not compute the same:" in err


def test_an_onnx_file_alone_is_compared_with_itself(call, other):
    code, out, err = call("verify", other, "--images", "3")
    assert (code, err) == (0, "comparing other.onnx (3)\n")
    assert "compared with ONNX Runtime without optimisations, one image at a time (--artifact" in out
    assert "PyTorch" not in out


def test_images_of_a_data_set_are_brought_to_size(call, artifact, tiny):
    code, out, _ = call("verify", artifact, "--data", tiny, "--images", "100")
    assert code == 0
    assert out.startswith(f"{artifact} on 24 test images of tiny,\n")
    code, out, err = call("verify", artifact, "--data", "fashion-mini", "--images", "2")
    assert (code, out) == (2, "")
    assert (
        "its classes must be those of fashion-mini, in any order; got 3: top, middle, bottom, where fashion-mini" in err
    )


def test_without_torch_the_rest_is_compared(call, artifact, monkeypatch):
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "torch" else found(name, *more)
    )
    code, out, _ = call("verify", artifact, "--images", "2")
    assert code == 0
    assert "PyTorch skipped: torch must be installed; got no such package" in out
    assert "ONNX Runtime, optimisations on, threads 1, batch 1  " in out


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["MODEL", "--images", "0"], ["--images: must be 1 to 1000000; got 0"]),
        (["MODEL", "--data-dir", "x"], ["--data-dir: must be used with --data; got"]),
        (["MODEL", "--artifact", "MODEL"], ["--artifact: must be used with FILE that ends with .onnx; got"]),
        (["OTHER", "--artifact", "OTHER"], ["--artifact: must end with .glassbit"]),
        (["model.pt"], ["FILE: must end with .glassbit or .onnx"]),
        (["MODEL", "--data", "nothing"], ["got 'nothing'"]),
    ],
)
def test_mistakes_are_explained(call, artifact, other, words, texts):
    given = [word.replace("MODEL", str(artifact)).replace("OTHER", str(other)) for word in words]
    code, out, err = call("verify", *given)
    assert (code, out) == (2, "")
    for text in texts:
        assert text in err


def test_an_artifact_of_another_network_is_refused(call, graph, other, tmp_path):
    replace(graph, classes=("a", "b", "c")).save(tmp_path / "a.glassbit")
    code, _, err = call("verify", other, "--artifact", tmp_path / "a.glassbit")
    assert code == 2
    assert "got other classes or images" in err
