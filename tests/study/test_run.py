from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.packed import unpack
from glassbit._errors import GlassbitWarning, RunError, UsageError
from glassbit._files import read_json, read_lines
from glassbit.build import build_data
from glassbit.intgraph import load
from glassbit.recipe import RunRecipe
from glassbit.study import _run, deployed_model, run_one, saved_run, trained_model
from glassbit.study._probes import Recorder
from glassbit.study._state import state
from glassbit.train import evaluate, load_checkpoint

Make = Callable[[str], RunRecipe]
SGT = "arms: sgt+pact\nplans: w4a2"
TWO = "training: {epochs: 2, batch_size: 20, device: cpu}"


class StopError(Exception):
    """Stands for a kill."""


def test_a_run_leaves_everything_that_the_report_reads(one: Make, tmp_path: Path) -> None:
    run, out = one(SGT), tmp_path / "run"
    outcome = run_one(run, out, command="glassbit train", progress=False)
    assert (outcome.status, outcome.id) == ("finished", run.id)

    head = read_json(out / "run.json")
    assert (head["id"], head["arm"], head["objective"], head["plan"]) == (run.id, "sgt+pact", "sgt", "w4a2")
    assert (head["data"], head["model"], head["seed"]) == ("tiny", "cnn-bn-width-2", 0)
    assert (head["digest"], head["config"], head["command"]) == (run.digest, run.config(), "glassbit train")
    assert head["versions"]["torch"] == torch.__version__
    assert head["hardware"]["cores"] >= 1

    result = read_json(out / "result.json")
    assert result == outcome.result.to_json()
    assert result["test"]["n"] == 40
    assert 0 <= result["test"]["accuracy"] <= 1
    counts = np.array(result["test"]["confusion"])
    assert counts.shape == (4, 4)
    assert (counts.sum(), counts.trace() / 40) == (40, result["test"]["accuracy"])
    assert (result["best_epoch"], result["epochs"], result["left"]) == (1, 1, [])
    assert result["cost"]["rows"][0]["name"] == "stage1.conv"
    assert set(result["cost"]) == {"rows", "stored_bytes", "macs", "bitops", "parameters"}
    masking = result["masking"]
    assert (masking["n"], list(masking["accuracy"])) == (20, ["constant", "mean"])
    for orders in masking["accuracy"].values():
        assert set(orders) == {"salient", "random", "least"}
        assert all(len(values) == len(masking["fractions"]) for values in orders.values())

    assert [record["epoch"] for record in read_lines(out / "log.jsonl")] == [1]
    with np.load(out / "probes.npz") as probes:
        assert probes["images"].shape == (4, 1, 28, 28)
        assert sorted(probes["labels"].tolist()) == [0, 1, 2, 3]
        assert probes["classes"].tolist() == ["0", "1", "2", "3"]
    assert sorted(path.name for path in (out / "probes").iterdir()) == ["epoch-000.npz", "epoch-001.npz"]
    with np.load(out / "probes" / "epoch-001.npz") as stored:
        assert (stored["maps"].shape, stored["maps"].dtype) == ((4, 28, 28), np.float16)
        assert (stored["predictions"].shape, stored["predictions"].dtype) == ((4,), np.int64)
    with np.load(out / "explain.npz") as final:
        assert final["maps"].dtype == np.float32
        assert (final["confidence"] <= 1).all()
    assert list(out.rglob("*.part")) == []


DEPLOY = "training: {epochs: 1, batch_size: 20, device: cpu, deploy_epochs: 1}"


def test_a_run_in_deployed_arithmetic_leaves_its_artifact_and_both_accuracies(one: Make, tmp_path: Path) -> None:
    run, out = one(f"{SGT}\n{DEPLOY}"), tmp_path / "run"
    result = run_one(run, out, progress=False).result.to_json()
    found = result["deployed"]
    assert (found["best_epoch"], found["epochs"]) == (2, 1)
    assert (result["best_epoch"], result["epochs"]) == (1, 1)
    assert found["test"]["n"] == 40
    assert np.trace(found["test"]["confusion"]) / 40 == found["test"]["accuracy"]
    assert found["bytes"]["artifact"] == (out / "model.glassbit").stat().st_size
    assert set(found["bytes"]) == {"stored", "artifact", "onnx", "onnx_explained", "onnx_float"}
    assert set(found["speed_of_float"]) == {"1", "64"}
    graph = load(out / "model.glassbit")
    assert (graph.about.run, graph.about.trained, graph.classes) == (run.id, True, ("0", "1", "2", "3"))
    data = build_data(run.data)
    right = graph.run(data.test.images.numpy()).argmax(1) == data.test.labels.numpy()
    assert right.mean() == found["test"]["accuracy"]
    deployed, fake = deployed_model(out), trained_model(out)
    assert deployed is not None
    logits = [evaluate(model, data.test).accuracy for model in (fake, deployed)]
    assert logits == [result["test"]["accuracy"], found["test"]["accuracy"]]


def test_epochs_in_deployed_arithmetic_go_on_with_a_finished_run(one: Make, tmp_path: Path) -> None:
    whole, later = tmp_path / "whole", tmp_path / "later"
    run_one(one(f"{SGT}\n{DEPLOY}"), whole, progress=False)
    run_one(one(SGT), later, progress=False)
    assert deployed_model(later) is None
    assert run_one(one(f"{SGT}\n{DEPLOY}"), later, progress=False).status == "finished"
    assert read_json(later / "run.json")["digest"] == read_json(whole / "run.json")["digest"]
    assert (later / "model.glassbit").read_bytes() == (whole / "model.glassbit").read_bytes()
    with pytest.raises(RunError, match=r"training\.deploy_epochs: 1 -> not set"):
        run_one(one(SGT), later, progress=False)


def test_a_finished_run_is_not_touched_again(one: Make, tmp_path: Path) -> None:
    first = run_one(one(""), tmp_path / "run", progress=False)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*.*") if path.name != ".lock"}
    second = run_one(one(""), tmp_path / "run", progress=False)
    assert (second.status, second.result) == ("skipped", first.result)
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.parametrize("moment", ["epoch", "result"])
def test_a_stopped_run_ends_with_the_same_bits(
    one: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    run = one(f"{SGT}\n{TWO}")
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    run_one(run, whole, progress=False)

    def stop(*args: Any) -> Any:
        if moment == "result" or args[1] == 2:
            raise StopError
        return keep(*args)

    keep = Recorder.__call__
    with monkeypatch.context() as patch:
        patch.setattr(*((Recorder, "__call__", stop) if moment == "epoch" else (_run, "measure", stop)))
        with pytest.raises(StopError):
            run_one(run, stopped, progress=False)
    assert len(read_lines(stopped / "log.jsonl")) == (1 if moment == "epoch" else 2)
    assert not (stopped / "result.json").exists()
    assert "StopError" in (stopped / "failure.txt").read_text()
    (stopped / ".best.pt.killed.part").write_bytes(b"half")
    run_one(run, stopped, progress=False)

    assert not (stopped / "failure.txt").exists()
    assert list(stopped.rglob("*.part")) == []
    for name in ("last.pt", "best.pt"):
        one_state, two_state = (load_checkpoint(folder / name)["model"] for folder in (whole, stopped))
        assert all(torch.equal(one_state[key], two_state[key]) for key in one_state)
    assert _timeless(read_json(whole / "result.json")) == _timeless(read_json(stopped / "result.json"))
    for path in sorted((whole / "probes").iterdir()):
        with np.load(path) as left, np.load(stopped / "probes" / path.name) as right:
            assert all(np.array_equal(left[key], right[key]) for key in left)


def _timeless(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if key != "train_seconds"}


def test_probes_are_kept_every_so_often_and_at_the_end(one: Make, tmp_path: Path) -> None:
    more = "training: {epochs: 3, batch_size: 60, device: cpu}\nevaluation: {probes: 2, images: 4, every: 2}"
    run_one(one(more), tmp_path, progress=False)
    assert sorted(path.stem[-3:] for path in (tmp_path / "probes").iterdir()) == ["000", "002", "003"]


def test_another_run_in_the_folder_is_refused_by_name_of_what_changed(one: Make, tmp_path: Path) -> None:
    run_one(one(""), tmp_path, progress=False)
    other = one("training: {epochs: 1, batch_size: 30, device: cpu}\nseeds: [4]")
    with pytest.raises(RunError) as caught:
        run_one(other, tmp_path, progress=False)
    assert "must hold a run with these settings; got others (seed: 0 -> 4; training.batch_size: 20 -> 30)" in str(
        caught.value
    )


def test_a_damaged_folder_is_refused(one: Make, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[")
    with pytest.raises(RunError, match=r"run\.json: must be readable JSON"):
        run_one(one(""), tmp_path, progress=False)


def test_start_needs_a_finished_full_precision_run(one: Make, tmp_path: Path) -> None:
    run = one("arms: [fp32, pact]\nplans: w4a4\ntraining: {epochs: 1, batch_size: 20, device: cpu, start: float}")
    with pytest.raises(
        UsageError,
        match="start must be the folder of tiny-cnn-bn-width-2-fp32-s0, whose weights it starts from; got none; name",
    ):
        run_one(run, tmp_path / "run", progress=False)
    with pytest.raises(RunError, match=r"must be the finished run .*; got .*, which is not finished; finish it first"):
        run_one(run, tmp_path / "run", start=tmp_path / "other", progress=False)


@pytest.mark.parametrize(
    ("other", "holds"),
    [("seeds: [1]", "fp32-s1 and 0.1"), ("data: {{name: {images}, validation: 0.2}}", "fp32-s0 and 0.2")],
)
def test_a_start_that_trained_on_other_images_is_refused(
    one: Make, images: Path, tmp_path: Path, other: str, holds: str
) -> None:
    run = one("arms: [fp32, pact]\nplans: w4a4\ntraining: {epochs: 1, batch_size: 20, device: cpu, start: float}")
    run_one(one(other.format(images=images)), tmp_path / "other", progress=False)
    with pytest.raises(RunError, match=f"fp32-s0 with data.validation 0.1; got .* with tiny-cnn-bn-width-2-{holds}"):
        run_one(run, tmp_path / "run", start=tmp_path / "other", progress=False)
    assert not (tmp_path / "run" / "run.json").exists()


def test_runs_from_before_an_option_existed_are_finished(tmp_path: Path) -> None:
    folders = unpack(Path(__file__).parents[2] / "results" / "fashion-mnist" / "runs.jsonl", tmp_path)
    assert len(folders) == 24
    for folder in folders:
        assert state(folder, saved_run(folder).run) == "finished"


def test_a_saved_run_comes_back_without_its_data(one: Make, images: Path, tmp_path: Path) -> None:
    run = one(SGT)
    outcome = run_one(run, tmp_path / "run", progress=False)
    with np.load(images) as file:
        test_images, test_labels = torch.from_numpy(file["test_images"]), torch.from_numpy(file["test_labels"])
    images.unlink()
    saved = saved_run(tmp_path / "run")
    assert (saved.run, saved.classes, saved.channels, saved.size) == (run, ("0", "1", "2", "3"), 1, (28, 28))
    model = trained_model(tmp_path / "run")
    assert not model.training
    right = (model(test_images).argmax(1) == test_labels).float().mean()
    assert float(right.detach()) == pytest.approx(outcome.result.test.accuracy)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"must be the folder of a run.*without run\.json"):
        saved_run(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(RunError, match="must hold what Glassbit writes there"):
        trained_model(tmp_path)


def test_what_another_run_left_is_made_anew(one: Make, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        run_one(one(f"seeds: [{seed}]"), tmp_path / name, progress=False)
    before = (tmp_path / "a/result.json").read_text()
    shutil.copy(tmp_path / "b/result.json", tmp_path / "a/result.json")
    with pytest.warns(GlassbitWarning, match=r"lost or damaged since, and made anew: result\.json"):
        run_one(one("seeds: [0]"), tmp_path / "a", progress=False)
    again, was = read_json(tmp_path / "a/result.json"), json.loads(before)
    assert (again["test"], again["digest"]) == (was["test"], was["digest"])


@pytest.mark.parametrize("error", [ValueError, SystemExit])
def test_a_mistake_before_a_run_begins_leaves_nothing(
    one: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error("boom")

    monkeypatch.setattr(_run, "build_data", fails)
    with pytest.raises(error):
        run_one(one(), tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
