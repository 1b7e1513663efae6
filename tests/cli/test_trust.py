"""A run's folder from elsewhere runs no code; with --trust, and in a study by its recipe, one's own network does."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from glassbit.recipe._options import NETWORKS

OWN = """
from pathlib import Path
from torch import nn
Path("was-imported").touch()
def make(classes, channels):
    pool = nn.AdaptiveAvgPool2d(1)
    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(4, classes))
"""


@pytest.fixture
def own(tmp_path: Path) -> str:
    name = f"own_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(OWN)
    return name


@pytest.fixture
def run(call, tiny, own, tmp_path) -> Path:
    words = ["--epochs", "1", "--batch-size", "20", "--probes", "2", "--device", "cpu", "--quiet", "--out", "run"]
    code, _, err = call("train", "--data", tiny, "--model", f"{own}:make", "--plan", "w4a4", *words)
    assert code == 0, err
    _forget(own, tmp_path)
    return tmp_path / "run"


def _forget(own: str, folder: Path) -> None:
    sys.modules.pop(own, None)
    (folder / "was-imported").unlink()


@pytest.mark.parametrize(
    "words",
    [
        ["explain", "run"],
        ["export", "run", "--artifact", "a.glassbit"],
        ["measure", "run", "--images", "4"],
        ["compare", "run", "copy", "--images", "4"],
        ["gate", "run", "copy", "--images", "4"],
        ["gate", "ship.glassbit", "copy", "--images", "4"],
    ],
)
def test_no_command_imports_what_a_run_names(call, run, own, graph, tmp_path, words):
    graph.save(tmp_path / "ship.glassbit")
    (tmp_path / "copy").symlink_to(run)
    code, out, err = call(*words)
    assert (code, out) == (2, "")
    assert f"run.json: model must be one of {', '.join(NETWORKS)}, or be trusted; got '{own}" in err
    assert f"{tmp_path}/{own}.py would be run; look into it, then add --trust" in err
    assert not (tmp_path / "was-imported").exists()
    assert own not in sys.modules


def test_with_trust_it_is_built(call, run, own, tmp_path):
    code, out, err = call("explain", "run", "--trust")
    assert (code, "pictures: " in out) == (0, True), err
    assert (tmp_path / "was-imported").exists()
    _forget(own, tmp_path)
    assert call("measure", "run", "--images", "4", "--trust")[0] == 0
    assert call("report", "run")[0] == 0


def test_the_library_asks_too(run, own):
    from glassbit._errors import UsageError
    from glassbit.study import deployed_model, run_subject, saved_run, trained_model

    for build in (trained_model, lambda folder, **more: run_subject(saved_run(folder), **more)):
        with pytest.raises(UsageError, match="or be trusted"):
            build(run)
        build(run, trust=f"{own}:make")
        build(run, trust=True)
        with pytest.raises(UsageError, match="or be trusted"):
            build(run, trust="other:make")
    assert deployed_model(run) is None


def test_hub_and_other_callables_are_refused(call, run, tmp_path):
    value = json.loads((run / "run.json").read_text())
    for name in ("torch.hub:load", "os:system", "subprocess:run"):
        value["config"]["model"] = {"name": name, "arguments": {}}
        (run / "run.json").write_text(json.dumps(value))
        code, _, err = call("explain", "run")
        assert code == 2
        assert f"or be trusted; got '{name}'" in err


def test_a_study_is_trusted_through_its_recipe_alone(call, tiny, own, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        f"name: mine\ndata: {tiny}\nmodel: {own}:make\narms: [fp32]\n"
        "training: {epochs: 1, batch_size: 20, device: cpu}\nevaluation: {probes: 2, images: 4}\n"
        "transparency: {images: 4}\n"
    )
    code, out, err = call("study", "mine.yaml")
    assert code == 0, err + out
    (folder,) = (tmp_path / "runs/mine/runs").iterdir()
    assert (folder / "transparency.json").is_file()
    (folder / "transparency.json").unlink()
    value = json.loads((folder / "run.json").read_text())
    value["config"]["model"]["name"] = "evil:make"
    (folder / "run.json").write_text(json.dumps(value))
    code, out, err = call("study", "mine.yaml")
    assert code == 1
    assert "or be trusted; got 'evil:make'" in out + err
