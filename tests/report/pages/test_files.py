"""The files beside the page: maps as pictures, alphas and curves as tables."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from glassbit._errors import DiskError
from glassbit.report import write_report


def rows_of(folder, name):
    with (folder / "tables" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_maps_are_pictures(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32", "pact"), plans=("w4a4",), seeds=(0,), probes=3)
    page = write_report(folder).read_text()
    names = sorted(path.name for path in (folder / "figures").glob("maps-*.png"))
    assert names == ["maps-final.png", *(f"maps-forming-{index}.png" for index in (1, 2, 3))]
    assert all(f"figures/{name}" in page for name in names)
    with Image.open(folder / "figures" / "maps-final.png") as picture:
        pixels = np.asarray(picture)
    height, width = pixels.shape[:2]
    assert height > 3 * 112
    assert width > 3 * 112  # the image and two networks
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 100


def test_one_run_and_several_data_sets(tmp_path, make_run, make_study):
    make_run(tmp_path / "one", "fp32", None, 0)
    write_report(tmp_path / "one")
    assert (tmp_path / "one" / "figures" / "maps-final.png").is_file()
    folder = make_study(tmp_path / "two", arms=("fp32",), seeds=(0,), data=("mnist", "cifar10"))
    write_report(folder)
    names = {path.name for path in (folder / "figures").glob("maps-final*.png")}
    assert names == {"maps-final-mnist-cnn-bn.png", "maps-final-cifar10-cnn-bn.png"}


def test_alphas_after_every_epoch(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32", "pact"), plans=("w4a4",), seeds=(0, 1), epochs=3)
    write_report(folder)
    rows = rows_of(folder, "alphas")
    assert len(rows) == 4 * 3
    first = next(row for row in rows if row["layer"] == "1.activation" and row["epoch"] == "2")
    assert (first["arm"], first["plan"], first["n"]) == ("pact", "w4a4", "2")
    assert float(first["alpha_mean"]) == pytest.approx(10 * 0.8**2 + 2)
    assert float(first["alpha_sd"]) == 0
    assert not (folder / "tables" / "steps.csv").exists()


def test_learning_curves(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32", "sgt"), seeds=(0, 1), epochs=3)
    write_report(folder)
    rows = rows_of(folder, "curves")
    quantities = list(dict.fromkeys(row["quantity"] for row in rows))
    assert quantities == [
        "validation_accuracy",
        "validation_loss",
        "train_accuracy",
        "train_loss",
        "train_classification",
        "train_consistency",
    ]
    last = next(r for r in rows if (r["arm"], r["quantity"], r["epoch"]) == ("sgt", "validation_accuracy", "3"))
    assert float(last["mean"]) == pytest.approx(0.90 * (1 - 0.4**3) + 0.001)
    assert (folder / "figures" / "learning.svg").is_file()


def test_a_file_in_the_place_of_a_folder_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    (tmp_path / "tables").write_text("")
    monkeypatch.setattr("glassbit.report.pages._write.read_study", lambda _: pytest.fail("the study is read"))
    with pytest.raises(DiskError, match="tables: must be writable; got: a file is in the place of its folder"):
        write_report(tmp_path)
