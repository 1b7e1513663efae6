"""What a study measures of its runs' explanations."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from glassbit._files import read_json
from glassbit.evidence import Measurement
from glassbit.report.read import read_measured, read_pairs, read_study
from glassbit.study import run_study
from glassbit.study._transparency import AGREEMENT, is_measured

GRID = "arms: [fp32, pact]\nplans: [w4a4]\nseeds: [0, 1]\ntransparency: {images: 16}"


def test_every_run_is_measured_once_and_every_two_are_compared(recipe, tmp_path) -> None:
    run_study(recipe(GRID.replace("16", "0")), tmp_path / "s", progress=False)
    assert not (tmp_path / "s" / AGREEMENT).exists()
    said: list[str] = []
    outcome = run_study(recipe(GRID), tmp_path / "s", progress=False, say=said.append)  # nothing is trained again
    assert outcome.ok
    found = {name: Measurement.load(tmp_path / "s/runs" / name) for name in outcome.runs}
    assert {len(one.rows) for one in found.values()} == {16}
    assert {one.seed for one in found.values()} == {0, 1}
    assert len({one.facts["images_digest"] for one in found.values()}) == 1
    assert len({one.facts["network_digest"] for one in found.values()}) == 4
    assert all(len(one.correct) == 40 and one.randomisation and one.facts["stored_bytes"] for one in found.values())
    for name, one in found.items():
        assert one.accuracy == read_json(tmp_path / "s/runs" / name / "result.json")["test"]["accuracy"]

    agreement = read_json(tmp_path / "s" / AGREEMENT)
    kinds = [pair["kind"] for pair in agreement["pairs"]]
    assert {kind: kinds.count(kind) for kind in kinds} == {"ceiling": 4, "zero": 4, "between": 2, "seeds": 2}
    assert agreement["images"] == 16

    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("s/**/*.json") if path.name != "study.json"}
    again = run_study(recipe(GRID), tmp_path / "s", progress=False)
    assert len(again.skipped) == 4
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_another_number_of_images_measures_again_without_training(recipe, tmp_path) -> None:
    run_study(recipe("transparency: {images: 16}"), tmp_path / "s", progress=False)
    (folder,) = (tmp_path / "s/runs").iterdir()
    trained = (folder / "best.pt").stat().st_mtime_ns
    run_study(recipe("transparency: {images: 10}"), tmp_path / "s", progress=False)
    assert len(Measurement.load(folder).rows) == 10
    assert (folder / "best.pt").stat().st_mtime_ns == trained


def test_processes_measure_the_same(recipe, tmp_path) -> None:
    asked = recipe("transparency: {images: 16}")
    here = run_study(asked, tmp_path / "here", progress=False)
    run_study(asked, tmp_path / "pool", progress=False, processes=2)
    for name in here.runs:
        one, other = (Measurement.load(tmp_path / place / "runs" / name) for place in ("here", "pool"))
        assert one.facts["network_digest"] == other.facts["network_digest"]
        assert (one.maps == other.maps).all()
        assert one.values.keys() == other.values.keys()


def test_a_measurement_that_fails_fails_its_run_alone(recipe, tmp_path) -> None:
    run_study(recipe("seeds: [0, 1]"), tmp_path / "s", progress=False)
    broken = min((tmp_path / "s/runs").iterdir())
    (broken / "best.pt").write_bytes(b"nothing")
    outcome = run_study(recipe("seeds: [0, 1]\ntransparency: {images: 16}"), tmp_path / "s", progress=False)
    assert list(outcome.failed) == [broken.name]
    assert "best.pt" in outcome.failed[broken.name]
    assert len(outcome.finished) == 1


def test_a_run_that_goes_on_is_measured_anew(recipe, tmp_path) -> None:
    grid = "arms: [pact]\nplans: [w4a4]\ntransparency: {images: 16}\ntraining: {epochs: 1, batch_size: 20, device: cpu}"
    run_study(recipe(grid), tmp_path / "s", progress=False)
    (folder,) = (tmp_path / "s/runs").iterdir()
    stamp = (folder / "transparency.json").stat().st_mtime_ns
    run_study(recipe(grid.replace("epochs: 1,", "epochs: 1, deploy_epochs: 1,")), tmp_path / "s", progress=False)
    assert (folder / "transparency.json").stat().st_mtime_ns > stamp


def test_tiny_maps_are_measured_but_not_compared(tmp_path: Path, recipe) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (40, 6, 6), np.uint8)
    labels = np.arange(40) % 4
    path = tmp_path / "small.npz"
    other = random.integers(0, 256, (40, 6, 6), np.uint8)
    np.savez(path, train_images=images, train_labels=labels, test_images=other, test_labels=labels)
    outcome = run_study(
        recipe(f"data: {path}\nmodel: resnet20\ntransparency: {{images: 8}}"), tmp_path / "s", progress=False
    )
    assert outcome.ok
    assert not (tmp_path / "s" / AGREEMENT).exists()


def test_what_is_measured_of_another_run_is_not_taken(recipe, tmp_path) -> None:
    asked = recipe("seeds: [0, 1]\ntransparency: {images: 16}")
    run_study(asked, tmp_path / "s", progress=False)
    first, second = sorted((tmp_path / "s/runs").iterdir())
    for name in ("transparency.json", "transparency.npz"):
        shutil.copy(second / name, first / name)
    assert (is_measured(first, 16), is_measured(second, 16)) == (False, True)
    (group,) = read_study(tmp_path / "s").groups
    measured = read_measured(group)
    assert measured is not None
    assert [(item.id, item.why) for item in measured.left_out] == [
        (first.name, f"the measurement in its folder is of another run, {second.name}; measure it again")
    ]
    assert {name for pair in read_pairs(group).pairs for name in (pair.a, pair.b)} == {second.name}
    run_study(asked, tmp_path / "s", progress=False)
    assert is_measured(first, 16)
    assert len(read_pairs(read_study(tmp_path / "s").groups[0]).pairs) == 5
