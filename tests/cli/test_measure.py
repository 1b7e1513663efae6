"""`glassbit measure`, `compare` and `gate`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from glassbit import export_onnx
from glassbit.evidence import Comparison, Measurement

TRAIN = ("--model", "cnn-bn", "--arguments", "width=4", "--size", "28", "--batch-size", "20", "--epochs", "2")
FEW = ("--probes", "3", "--device", "cpu", "--lr", "0.05")


@pytest.fixture
def train(call, tiny, tmp_path):
    """Trains a run with these flags; returns its folder."""

    def run(name, *words):
        out = tmp_path / name
        code, _, err = call("train", "--data", tiny, *TRAIN, *FEW, *words, "--out", out)
        assert code == 0, err
        return out

    return run


def test_a_run_is_measured_once(call, train):
    run = train("run")
    code, said, err = call("measure", run, "--images", "12")
    assert code == 0
    assert ": removed pixels (12)\n" in err
    lines = said.splitlines()
    assert lines[0].endswith(": 12 test images, accuracy on all 24")
    assert any(line.startswith("  ROAD gap  ") and line.endswith("higher is better") for line in lines)
    assert lines[-1] == f"report: {run / 'transparency.html'}"
    assert {"transparency.json", "transparency.npz", "transparency.md", "transparency.html"} <= {
        path.name for path in run.iterdir()
    }
    stamp = (run / "transparency.npz").stat().st_mtime_ns
    assert call("measure", run, "--images", "12") == (code, said, "")
    assert (run / "transparency.npz").stat().st_mtime_ns == stamp
    assert call("measure", run, "--images", "10")[0] == 0
    assert len(Measurement.load(run).rows) == 10


def test_a_run_against_the_file_made_of_it_passes_and_a_damaged_one_fails(call, train, tiny, tmp_path):
    run = train("run", "--plan", "w8a8", "--deploy-epochs", "1")
    file = tmp_path / "model.glassbit"
    assert call("export", run, "--artifact", file)[0] == 0
    code, said, err = call("compare", run, file, "--images", "12")
    assert code == 0
    assert "model.glassbit: removed pixels (12)\n" in err
    assert said.splitlines()[-1] == "report: compared/run-model/compare.html"
    found = Comparison.load(tmp_path / "compared/run-model")
    assert found.names[1] == "model.glassbit"
    assert found.relative["spearman"].mean > 0.5
    assert found.images.shape[1:] == (1, 28, 28)

    policy = tmp_path / "policy.yaml"
    policy.write_text("accuracy_drop: 30\nagreement: 0.5\nfaithfulness: null\n")
    code, said, _ = call("gate", run, file, "--images", "12", "--policy", policy)
    assert code == 0, said
    assert said.startswith("passed: model.glassbit against ")

    code, said, _ = call("measure", file, "--data", tiny, "--images", "12")  # the images are brought to its size
    assert code == 0
    assert (
        "not measured, infidelity: infidelity: model.glassbit must be a network with a signed gradient; got a file"
        in said
    )
    assert said.splitlines()[-1] == "report: measured/model/transparency.html"

    damaged = tmp_path / "damaged"
    shutil.copytree(run, damaged)
    (damaged / "transparency.json").unlink()
    weights = torch.load(damaged / "best.pt", weights_only=True)
    for value in weights["model"].values():
        if value.is_floating_point() and value.ndim > 1:
            value.copy_(torch.randn(value.shape, generator=torch.Generator().manual_seed(0)))
    torch.save(weights, damaged / "best.pt")
    code, said, _ = call("gate", run, damaged, "--images", "12", "--policy", policy)
    assert code == 1
    assert "FAIL  agreement" in said


@pytest.mark.slow
def test_the_same_network_from_another_seed_is_found_beside_the_run(call, tiny, tmp_path):
    recipe = tmp_path / "s.yaml"
    recipe.write_text(
        f"name: s\ndata: {{name: {tiny}, size: 28}}\nmodel: {{name: cnn-bn, arguments: {{width: 2}}}}\n"
        "arms: [fp32, pact]\nplans: [w4a4]\nseeds: [0, 1]\ntraining: {epochs: 1, batch_size: 20, device: cpu}\n"
        "evaluation: {probes: 3, images: 10}\ntransparency: {images: 12}\n"
    )
    assert call("study", recipe)[0] == 0
    runs = sorted((tmp_path / "runs/s/runs").iterdir())
    named = {path.name.rpartition("width-2-")[2]: path for path in runs}
    stamps = {path: (path / "transparency.npz").stat().st_mtime_ns for path in runs}
    assert call("compare", named["fp32-s0"], named["pact-w4a4-s0"], "--images", "12", "--out", "c")[0] == 0
    found = Comparison.load(tmp_path / "c")
    assert "floor" in found.agreement
    assert {path: (path / "transparency.npz").stat().st_mtime_ns for path in runs} == stamps  # the study's are used


NETWORKS = """
import torch
from torch import nn
from glassbit.models import Classifier

def first():
    torch.manual_seed(0)
    return Classifier(nn.Sequential(nn.Flatten(), nn.Linear(144, 3)), mean=[0.5], std=[0.25])

def second(classes):
    torch.manual_seed(1)
    return Classifier(nn.Sequential(nn.Flatten(), nn.Linear(144, classes)), mean=[0.5], std=[0.25])

def wrong():
    return 3

def fails():
    class Net(nn.Module):
        def forward(self, x):
            raise ValueError("\\x1b[31mno")
    return Net()
"""


def test_networks_of_ones_own(call, tiny, tmp_path):
    (tmp_path / "own_networks.py").write_text(NETWORKS)
    words = ("own_networks:first", "own_networks:second", "--data", tiny)
    code, said, err = call("compare", *words, "--other-seed", "own_networks:second")
    note = "has no class names: its logits are taken for the classes of tiny in their order, top, middle, bottom"
    assert (code, err.splitlines()[0]) == (0, f"note: own_networks:first {note}")
    assert "own_networks:second against own_networks:first" in said
    assert json.loads((tmp_path / "compared/own_networks-first-own_networks-second/comparison.json").read_text())
    code, _, err = call("measure", "own_networks:wrong", "--data", tiny)
    assert (code, err.strip()) == (
        2,
        "glassbit: own_networks:wrong: must return a trained torch.nn.Module; got int",
    )
    code, _, err = call("measure", "own_networks:fails", "--data", tiny)
    text = "must take images of 1 x 12 x 12; got: ValueError: \\x1b[31mno"
    assert (code, err.strip()) == (2, f"glassbit: own_networks:fails: {text}; repair it there")


@pytest.mark.parametrize("late", [("B", "--other-seed", "nowhere_at_all:make"), ("own:few",)])
def test_what_can_be_known_is_looked_at_before_anything_is_measured(call, artifact, tiny, tmp_path, late):
    (tmp_path / "own.py").write_text(
        NETWORKS + "\ndef few():\n    return nn.Sequential(nn.Flatten(), nn.Linear(144, 2))\n"
    )
    second = artifact.with_name("second.glassbit")
    second.write_bytes(artifact.read_bytes())
    words = [str(second) if word == "B" else word for word in late]
    out = tmp_path / "out"
    code, _, err = call("gate", artifact, *words, "--data", tiny, "--images", "4", "--out", out)
    assert code == 2, err
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("measure", "nowhere"), "nowhere: must be the folder of a run, a .glassbit or .onnx file, or package.module:"),
        (("measure", "nowhere.onnx"), "nowhere.onnx: must be an existing file that `glassbit export` wrote"),
        (("measure", "a:b"), "--data: must be given where no run is named, to know which images to measure on"),
        (("compare", "a:b", "a:b"), "compare: A and B must be two networks; got a:b twice"),
        (("gate", "a:b", "a:c", "--policy", "none.yaml"), "--policy: must be a YAML file; got none.yaml"),
    ],
)
def test_what_cannot_be_measured_is_refused(call, words, text):
    code, _, err = call(*words)
    assert code == 2
    assert text in err


def no_work(*_: object, **__: object) -> None:
    raise AssertionError("images are read before the refusal")


def test_a_file_without_maps_is_refused_before_any_image_is_read(call, graph, artifact, tiny, tmp_path, monkeypatch):
    export_onnx(graph, tmp_path / "plain.onnx")
    monkeypatch.setattr("glassbit.build.build_data", no_work)
    for words in (("measure", "plain.onnx"), ("compare", artifact, "plain.onnx"), ("gate", "plain.onnx", artifact)):
        code, _, err = call(*words, "--data", tiny)
        assert code == 2
        assert (
            "plain.onnx: must return saliency maps; got an .onnx file without them; write it again with `glassbit"
            in err
        )


def test_an_impossible_place_is_refused_before_any_image_is_read(call, artifact, tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    shutil.copy(artifact, tmp_path / "other.glassbit")
    monkeypatch.setattr("glassbit.build.build_data", no_work)
    monkeypatch.setattr("glassbit.cli._predict.image_files", no_work)
    text = f"{Path('file/sub')}: must be writable; got: a part of its path is a file; choose another folder"
    for words in (
        ("measure", artifact, "--data", tiny, "--out", "file/sub"),
        ("compare", artifact, "other.glassbit", "--data", tiny, "--out", "file/sub"),
        ("gate", artifact, "other.glassbit", "--data", tiny, "--out", "file/sub"),
        ("predict", artifact, tiny, "--explain", "file/sub"),
    ):
        code, _, err = call(*words)
        assert (code, err.strip()) == (1, f"glassbit: {text}")
    for flag, name in (("--artifact", "m.glassbit"), ("--onnx", "m.onnx"), ("--qonnx", "m.onnx")):
        code, _, err = call("export", "no-run", flag, f"file/sub/{name}")
        assert (code, err.strip()) == (1, f"glassbit: {text}")
