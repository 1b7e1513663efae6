from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glassbit._errors import RunError, UsageError
from glassbit._files import read_json, read_lines
from glassbit.recipe import Recipe
from glassbit.study import run_study, saved_run, trained_model
from glassbit.study._lock import locked

Make = Callable[[str], Recipe]
FOUR = "arms: [fp32, sgt, pact, sgt+pact]\nplans: w2a2"
FLOAT = "training: {epochs: 1, batch_size: 20, device: cpu, start: float}"
PACT = "tiny-cnn-bn-width-2-pact-w4a4-s0"
FP32 = "tiny-cnn-bn-width-2-fp32-s0"


def test_a_study_runs_every_arm_and_says_so(recipe: Make, tmp_path: Path) -> None:
    said: list[str] = []
    asked = recipe(f"{FOUR}\n{FLOAT}")
    outcome = run_study(asked, tmp_path, text="name: tiny", command="glassbit study", progress=False, say=said.append)
    assert outcome.ok
    assert outcome.finished == outcome.runs
    assert said[0] == "cnn-bn-width-2, w2a2: exportable: yes"
    assert [line.partition(":")[0] for line in said[1:]] == [
        f"[{i + 1}/4] {name}" for i, name in enumerate(outcome.runs)
    ]
    head = read_json(tmp_path / "study.json")
    assert (head["name"], head["recipe_text"], head["command"]) == ("tiny", "name: tiny", "glassbit study")
    assert Recipe.model_validate(head["recipe"]) == asked
    assert (head["runs"], head["failed"]) == (list(outcome.runs), {})
    assert (tmp_path / "probes.npz").is_file()
    assert all((tmp_path / "runs" / name / "result.json").is_file() for name in outcome.runs)

    again = run_study(asked, tmp_path, progress=False)
    assert (again.skipped, again.finished) == (outcome.runs, ())
    assert read_json(tmp_path / "study.json")["started"] == head["started"]


@pytest.mark.slow
def test_runs_side_by_side_tell_their_epochs(recipe: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = recipe("seeds: [0, 1]\ntraining: {epochs: 2, batch_size: 20, device: cpu}")
    outcome = run_study(asked, tmp_path, processes=2)
    out, err = capsys.readouterr()
    assert out == ""
    lines = sorted(line.partition(":")[0] for line in err.splitlines())
    assert lines == [f"{name} epoch {epoch}/2" for name in sorted(outcome.finished) for epoch in (1, 2)]


NETWORKS = """
from torch import nn
from torch.nn import functional as F

class Functions(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
        self.a, self.relu, self.b = nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 1, padding=1)
        self.last, self.fc = nn.ReLU(), nn.Linear(4, classes)

    def forward(self, x):
        x = F.softmax(self.relu(self.a(x)), 1)
        x = x.cos()
        return self.fc(self.last(self.b(x)).mean((2, 3)))
"""
PROBLEMS = (
    "Functions: the function softmax has no integer form",
    "Functions: the function cos has no integer form",
    "b: padding must be below the kernel (1, 1); got (1, 1); pad less",
)


def test_what_cannot_be_exported_is_said_once_before_the_first_run(
    recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "networks_of_study.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    asked = recipe("model: networks_of_study:Functions\narms: pact\nplans: w4a4\nseeds: [0, 1]")
    assert run_study(asked, tmp_path / "s", progress=False, say=said.append).ok
    listed = "\n".join(f"  - {problem}" for problem in PROBLEMS)
    assert said[0] == f"Functions, w4a4: exportable: no (3 things)\n{listed}"
    assert [line[:5] for line in said[1:]] == ["[1/2]", "[2/2]"]


def test_epochs_in_integers_of_what_cannot_be_exported_are_refused_before_the_first_run(
    recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "networks_refused.py").write_text(NETWORKS)
    monkeypatch.chdir(tmp_path)
    epochs = "training: {epochs: 1, batch_size: 20, device: cpu, deploy_epochs: 1}"
    models = "model: [networks_refused:Functions, {name: cnn-bn, arguments: {width: 2}}]"
    with pytest.raises(UsageError, match="deploy_epochs must be 0 for a network that cannot be exported") as caught:
        run_study(recipe(f"{models}\narms: pact\nplans: w4a4\n{epochs}"), tmp_path / "s", progress=False)
    assert str(caught.value).splitlines()[1:] == [f"  - Functions, w4a4: {problem}" for problem in PROBLEMS]
    assert not (tmp_path / "s" / "runs").exists()


def test_masking_arms_start_from_cross_entropy_of_the_same_bits(recipe: Make, tmp_path: Path) -> None:
    options = "sgt: {name: mine, start: trained, batchnorm: split, ramp: 0.5}"
    asked = recipe(f"arms: [sgt+pact, sgt, pact, fp32]\nplans: w2a2\n{options}")
    outcome = run_study(asked, tmp_path, progress=False)
    assert outcome.ok
    names = [name.removeprefix("tiny-cnn-bn-width-2-") for name in outcome.finished]
    assert names == ["pact-w2a2-s0", "fp32-s0", "sgt-mine+pact-w2a2-s0", "sgt-mine-s0"]
    for name, first in (("sgt-mine+pact-w2a2-s0", "pact-w2a2-s0"), ("sgt-mine-s0", "fp32-s0")):
        folder = tmp_path / "runs" / f"tiny-cnn-bn-width-2-{name}"
        assert saved_run(folder).run.starts_from == f"tiny-cnn-bn-width-2-{first}"
        with (
            np.load(folder / "probes" / "epoch-000.npz") as mine,
            np.load(tmp_path / "runs" / f"tiny-cnn-bn-width-2-{first}" / "explain.npz") as theirs,
        ):
            assert np.array_equal(mine["maps"], theirs["maps"].astype(np.float16))
        assert not trained_model(folder).training


def test_a_larger_grid_keeps_what_is_there(recipe: Make, tmp_path: Path) -> None:
    run_study(recipe(""), tmp_path, progress=False)
    outcome = run_study(recipe("seeds: [0, 1]"), tmp_path, progress=False)
    assert (len(outcome.skipped), len(outcome.finished)) == (1, 1)


def test_a_changed_recipe_is_refused_before_anything_runs(recipe: Make, tmp_path: Path) -> None:
    run_study(recipe("seeds: [0, 1]"), tmp_path, progress=False)
    before = (tmp_path / "study.json").read_bytes()
    with pytest.raises(RunError) as caught:
        run_study(
            recipe("seeds: [0, 1, 2]\ntraining: {epochs: 2, batch_size: 20, device: cpu}"), tmp_path, progress=False
        )
    text = str(caught.value)
    assert "training.epochs: 1 -> 2 (in tiny-cnn-bn-width-2-fp32-s0, tiny-cnn-bn-width-2-fp32-s1)" in text
    assert len(text.splitlines()) == 2
    assert (tmp_path / "study.json").read_bytes() == before


@pytest.mark.parametrize("processes", [1, 2])
def test_a_failed_run_does_not_stop_the_others(recipe: Make, tmp_path: Path, processes: int) -> None:
    fine = "" if processes == 2 else ", {name: cnn-bn, arguments: {width: 2}}"
    asked = recipe(f"model: [nowhere:net{fine}]\narms: [fp32, pact]\nplans: w4a4\n{FLOAT}")
    outcome = run_study(asked, tmp_path, progress=False, processes=processes)
    assert not outcome.ok
    assert set(outcome.finished) == ({FP32, PACT} if fine else set())
    assert "the module nowhere must be importable" in outcome.failed["tiny-net-fp32-s0"]
    assert outcome.failed["tiny-net-pact-w4a4-s0"] == "starts from the weights of tiny-net-fp32-s0, which failed"
    assert read_json(tmp_path / "study.json")["failed"] == outcome.failed


def test_several_data_sets_have_probes_of_their_own(recipe: Make, images: Path, tmp_path: Path) -> None:
    other = images.with_name("other.npz")
    other.write_bytes(images.read_bytes())
    assert run_study(recipe(f"data: [{images}, {other}]"), tmp_path / "s", progress=False).ok
    assert sorted(path.name for path in (tmp_path / "s").glob("probes*")) == ["probes-other.npz", "probes-tiny.npz"]


@pytest.mark.slow
def test_processes_of_several_devices_give_one_run(recipe: Make, tmp_path: Path) -> None:
    outcome = run_study(recipe("training: {epochs: 1, batch_size: 20, device: cpu, devices: 2}"), tmp_path)
    assert outcome.failed == {}
    assert len(read_lines(tmp_path / "runs" / FP32 / "log.jsonl")) == 1


def test_a_folder_belongs_to_one_process(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with locked(tmp_path), pytest.raises(RunError, match="got another process working in it"), locked(tmp_path, wait=0):
        pass
    monkeypatch.setattr("glassbit.study._study.locked", lambda folder: locked(folder, wait=0))
    with locked(tmp_path), pytest.raises(RunError, match="got another process working in it"):
        run_study(recipe(""), tmp_path, progress=False)


def test_storage_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*words: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    fcntl = pytest.importorskip("fcntl", reason="locks of POSIX")
    monkeypatch.setattr(fcntl, "flock", refuse)
    text = r"must be on storage with file locks; got one without \(No locks available\)"
    with pytest.raises(RunError, match=text), locked(tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="processes of POSIX")
def test_a_worker_whose_parent_died_before_it_looked_ends(tmp_path: Path) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", ORPHAN], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    assert worker.wait(60) == -signal.SIGTERM


ORPHAN = """
import time
from glassbit.study._worker import _follow_parent
_follow_parent(-1)
time.sleep(50)
"""
KILLED = """
import sys
from pathlib import Path
from glassbit.recipe import load
from glassbit.study import run_study
run_study(load(sys.argv[1]).recipe, Path(sys.argv[2]), progress=False, processes=2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_study_takes_its_processes_along_and_is_resumed(
    images: Path, tmp_path: Path, how: signal.Signals
) -> None:
    path, out = tmp_path / "tiny.yaml", tmp_path / "s"
    path.write_text(
        f"name: tiny\ndata: {images}\nmodel: {{name: cnn-bn, arguments: {{width: 2}}}}\n"
        "training: {epochs: 400, batch_size: 4, device: cpu}\nevaluation: {probes: 2, images: 4}\n"
    )
    study = subprocess.Popen([sys.executable, "-c", KILLED, str(path), str(out)], stderr=subprocess.DEVNULL)
    log = out / "runs" / FP32 / "log.jsonl"
    _until(lambda: len(read_lines(log)) > 2 or study.poll() is not None)
    assert study.poll() is None
    os.kill(study.pid, how)
    study.wait()
    with locked(log.parent, wait=60.0):
        done = len(read_lines(log))
    assert 2 < done < 400
    assert not (log.parent / "result.json").exists()


def _until(holds: Callable[[], Any]) -> None:
    while not holds():
        time.sleep(0.05)
