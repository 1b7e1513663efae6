"""Class by class, and the remarks above the numbers."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from pages import checked_page

from glassbit.report import write_report
from glassbit.report.numbers import classes, confusion, numbers
from glassbit.report.read import read_study
from glassbit.report.words import remarks


def group_of(folder):
    return read_study(folder).groups[0]


def said(folder):
    return remarks(numbers(group_of(folder)))


def change(folder, pattern, edit):
    for path in sorted((folder / "runs").glob(pattern)):
        value = json.loads(path.read_text())
        edit(value)
        path.write_text(json.dumps(value))


def test_each_class_has_its_accuracy(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32", "pact"), plans=("w4a4",), seeds=(0, 1), counted=True)
    found = classes(group_of(folder))
    assert found is not None
    assert [row.images for row in found.rows] == [100] * 10
    assert found.majority == ("T-shirt", 0.1)
    dress = found.rows[3]
    assert (dress.name, dress.accuracies[0].mean, dress.accuracies[0].sd) == ("Dress", 80.0, 0.0)
    assert found.confusions[0].counts[3].tolist() == [20, 0, 20, 160, 0, 0, 0, 0, 0, 0]
    assert found.confusions[0].shares[3, 0] == 0.1


def test_the_page_and_the_tables_have_it(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32",), seeds=(0,), counted=True)
    page, text = checked_page(write_report(folder))
    assert 'href="#classes"' in page
    assert "Always answering “T-shirt” would score 10.00 %." in text
    assert "what is taken for what" in text
    with (folder / "tables" / "classes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["accuracy_percent_mean"]) for row in rows if row["class"] == "Dress"] == [80.0]
    with (folder / "tables" / "confusion.csv").open() as file:
        cells = {(row["true"], row["predicted"]): int(row["images"]) for row in csv.DictReader(file)}
    assert cells["Dress", "Pullover"] == 10
    assert sum(cells.values()) == 1000


def test_runs_that_did_not_count_still_have_their_page(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32",), seeds=(0,))
    page, text = checked_page(write_report(folder))
    assert classes(group_of(folder)) is None
    assert 'href="#classes"' not in page
    assert "Class by class" not in text
    assert not (folder / "tables" / "confusion.csv").exists()


@pytest.mark.parametrize("wrong", [None, [], [[0, 0], [0, 0]]])
def test_counts_that_are_none_are_left_out(tmp_path, make_study, wrong):
    folder = make_study(tmp_path, arms=("fp32",), seeds=(0,), counted=True)
    change(folder, "*/result.json", lambda result: result["test"].update(confusion=wrong))
    assert confusion(group_of(folder).runs[0]) is None
    assert classes(group_of(folder)) is None


def test_many_classes_are_not_drawn(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32",), seeds=(0,), counted=True)
    counts = (2 * np.eye(30, dtype=int)).tolist()
    change(folder, "*/result.json", lambda result: result["test"].update(confusion=counts))
    _, text = checked_page(write_report(folder))
    assert "Too many classes to draw the matrix; tables/confusion.csv has it." in text
    assert "what is taken for what" not in text


def test_a_headline_at_the_majority_share_says_so(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32", "sgt"), seeds=(0,), counted=True)
    assert said(folder) == []
    lopsided = [[950, 0], [50, 0]]
    change(folder, "*-fp32-*/result.json", lambda result: result["test"].update(confusion=lopsided, accuracy=0.95))
    change(
        folder,
        "*-sgt-*/result.json",
        lambda result: result["test"].update(confusion=[[940, 10], [0, 50]], accuracy=0.99),
    )
    sentence = "Not better than always answering “0”, the class of 95.00 % of the test images: fp32 95.00 %."
    assert said(folder) == [sentence]
    assert sentence in checked_page(write_report(folder))[1]


def test_early_overfitting_is_a_remark(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32",), seeds=(0, 1), epochs=6)
    assert said(folder) == []
    path = next((folder / "runs").glob("*-s1")) / "log.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line["validation"] = {"loss": 0.5 + 0.1 * line["epoch"], "accuracy": 0.9 - 0.01 * line["epoch"]}
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    change(folder, "*-s1/result.json", lambda result: result.update(best_epoch=2))
    lost = "fp32 seed 1: epoch 2 of 6, then 4.00 points less"
    advice = "try fewer epochs, or crop and flip where they suit the images"
    assert said(folder) == [f"Overfitted early, by validation accuracy and loss ({lost}): {advice}."]
    for line in lines:
        line["validation"]["loss"] = 1.0 / line["epoch"]  # the loss still falls: noise, not overfitting
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert said(folder) == []


def test_a_plan_of_several_bits_says_what_it_gave(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("pact",), plans=("layers-4-2", "w4a4"), seeds=(0,))
    assert said(folder) == []  # the invented network has one width throughout

    def mix(result):
        for row, (bits, weights) in zip(result["cost"]["rows"], ((8, 10), (4, 30), (2, 50), (8, 10)), strict=True):
            row.update(weight_bits=bits, weights=weights)

    change(folder, "*layers-4-2*/result.json", mix)
    given = "2 in 1 of 4 layers (50.0 % of the weights), 4 in 1 (30.0 %), 8 in 2 (20.0 %)"
    assert said(folder) == [f"layers-4-2 gave weights these bits: {given}."]
    assert f"Weight bits: {given}." in checked_page(write_report(folder))[1]


def test_older_runs_say_it_without_shares(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("pact",), plans=("layers-4-2",), seeds=(0,))

    def mix(result):
        for row, bits in zip(result["cost"]["rows"], (8, 4, 2, 8), strict=True):
            row["weight_bits"] = bits

    change(folder, "*/result.json", mix)
    assert said(folder) == ["layers-4-2 gave weights these bits: 2 in 1 of 4 layers, 4 in 1, 8 in 2."]
