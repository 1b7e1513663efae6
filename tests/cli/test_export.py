"""`glassbit export`, and what comes after it."""

from __future__ import annotations

import re
import sys

import onnx
import pytest

from glassbit import load
from glassbit.runtime import Session

SMALL = ("--arguments", "width=4", "--size", "28")
DEPLOYED = ("--plan", "w4a4", "--deploy-epochs", "1")
SHORT = ("--batch-size", "20", "--epochs", "1", "--probes", "3", "--device", "cpu")


@pytest.fixture
def trained(call, tiny, tmp_path):
    """Trains a run with these flags; returns its folder."""

    def train(*words):
        out = tmp_path / "run"
        code, _, err = call("train", "--data", tiny, "--model", "cnn-bn", *SMALL, *SHORT, *words, "--out", out)
        assert code == 0, err
        return out

    return train


def test_a_run_that_was_trained_in_integers(call, trained, tiny, tmp_path):
    run = trained(*DEPLOYED)
    said = call("train", "--data", tiny, "--model", "cnn-bn", *SMALL, *SHORT, *DEPLOYED, "--out", run)[1]
    assert re.search(rf"\nin integers [\d.]+ %, as `glassbit export {run}` writes it\n", said)
    files = tmp_path / "out" / "m.glassbit", tmp_path / "out" / "m.onnx"
    code, out, err = call("export", run, "--artifact", files[0], "--onnx", files[1], "--explain")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert re.fullmatch(r"sum of bits: [\d.]+ kB, [\d.]+ M multiply-adds per image", lines[0])
    assert re.fullmatch(rf"{files[0]}: [\d.]+ kB, 1\.\d\d times the bits", lines[1])
    assert re.fullmatch(rf"{files[1]}: [\d.]+ kB, \d\.\d\d times the bits, returns logits and saliency map", lines[2])
    accuracy = r"test accuracy [\d.]+ % in integers, [\d.]+ % before, with fake quantization, on 24 images"
    assert re.fullmatch(accuracy, lines[3])
    graph = load(files[0])
    assert graph.about.trained
    assert graph.classes == ("top", "middle", "bottom")
    assert Session(files[1]).explains
    assert sorted(path.name for path in files[0].parent.iterdir()) == ["m.glassbit", "m.onnx"]
    assert call("verify", files[1], "--artifact", files[0], "--data", tiny)[0] == 0
    assert "trained in this arithmetic" in call("inspect", files[0])[1]


def test_any_other_is_converted_and_says_so(call, trained, tmp_path):
    run = trained("--plan", "w4a4")
    code, out, err = call("export", run, "--onnx", tmp_path / "m.onnx", "--qonnx", tmp_path / "q.onnx")
    assert code == 0
    assert f"{tmp_path / 'q.onnx'}: QONNX" in out
    assert "Quant" in {node.op_type for node in onnx.load(tmp_path / "q.onnx").graph.node}
    assert "test accuracy" not in out
    assert err.startswith(
        f"note: {run} was not trained in integer arithmetic, and is converted now: validation accuracy "
    )
    assert re.search(r"on 6 images\. Each layer is within \d\.\d% of fake quantization \([\w.]+ is furthest\)", err)
    assert err.endswith("A last phase of training with --deploy-epochs takes it into account.\n")
    assert not Session(tmp_path / "m.onnx").explains


def test_the_images_may_have_moved(call, trained, tiny, tmp_path):
    run = trained("--plan", "w4a4")
    tiny.rename(tmp_path / "elsewhere.npz")
    code, out, err = call("export", run, "--artifact", tmp_path / "m.glassbit")
    assert (code, out) == (1, "")
    assert "tiny.npz" in err
    assert not (tmp_path / "m.glassbit").exists()


def test_full_precision_is_refused(call, trained, tmp_path):
    run = trained()
    code, _, err = call("export", run, "--artifact", tmp_path / "m.glassbit")
    assert code == 2
    assert f"{run}: must be quantized, to be written as integers; got full precision" in err
    assert "--plan w4a4" in err


def test_full_precision_at_the_edges_is_refused(call, trained, tmp_path):
    run = trained("--plan", "w4a4", "--edges", "full")
    code, _, err = call("export", run, "--artifact", tmp_path / "m.glassbit")
    assert code == 2
    assert "(edges: full)" in err
    assert "--edges 8" in err


def test_an_unfinished_run_is_refused(call, trained, tmp_path):
    run = trained("--plan", "w4a4")
    (run / "result.json").unlink()
    code, _, err = call("export", run, "--artifact", tmp_path / "m.glassbit")
    assert code == 1
    assert "must be finished; got an unfinished run; call the command that started it" in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "must be given a file to write; got none; add --artifact FILE, --onnx FILE or --qonnx FILE"),
        (["--artifact", "m.onnx"], "--artifact: must end with .glassbit, such as model.glassbit; got m.onnx"),
        (["--onnx", "m.glassbit"], "--onnx: must end with .onnx"),
        (["--qonnx", "m.glassbit"], "--qonnx: must end with .onnx"),
        (["--artifact", "m.glassbit", "--explain"], "--explain: must be used with --onnx; got"),
    ],
)
def test_what_cannot_be_written_is_refused_at_once(call, words, text):
    code, out, err = call("export", "nowhere", *words)
    assert (code, out) == (2, "")
    assert text in err


def test_a_folder_without_a_run(call):
    code, _, err = call("export", "nowhere", "--artifact", "m.glassbit")
    assert code == 1
    assert "must be the folder of a run" in err


def test_the_missing_extra_is_named(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, _, err = call("export", "nowhere", "--onnx", "m.onnx")
    assert code == 2
    assert "pip install 'onnx>=1.20' 'onnxruntime>=1.24'" in err
