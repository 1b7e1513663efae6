from __future__ import annotations

import csv
import io
import json
import re

import pytest
from measurements import PLAIN, measurement
from pages import checked_page

from glassbit._errors import RunError
from glassbit.report import write_report
from glassbit.report.draw import styles
from glassbit.report.numbers import explained, numbers
from glassbit.report.pages._page import section
from glassbit.report.pages._templates import environment
from glassbit.report.pages._transparency import transparency
from glassbit.report.pages._transparency_tables import transparency_tables
from glassbit.report.read import read_measured, read_study
from glassbit.runs import Variant

SHIFTS = {"sgt": 0.08, "pact": -0.05, "sgt+pact": 0.08}
ARMS = ("fp32", "sgt", "pact", "sgt+pact")
REGIONS = {"object": 0.25, "shortcut": 0.01}


@pytest.fixture
def measured_study(tmp_path, make_study):
    """A study whose runs are measured, with effects of a known size; `taken` changes a run's measurement."""

    def make(*, arms=ARMS, plans=("w4a4",), seeds=(0, 1, 2), agree=True, taken=lambda run: {}, **study):
        folder = make_study(tmp_path, arms=arms, plans=plans, seeds=seeds, epochs=1, probes=1, **study)
        runs = [run for group in read_study(folder).groups for run in group.runs]
        for run in runs:
            options = {"shift": {"road_gap": SHIFTS.get(run.variant.arm, 0.0)}, "seed": run.seed, **taken(run)}
            if not options.pop("skip", False):
                measurement(run.id, **options).save(run.folder)
        if agree:
            (folder / "agreement.json").write_text(json.dumps({"images": 60, "pairs": pairs(runs)}))
        return folder

    return make


def pairs(runs):
    found = []

    def add(a, b, kind, value):
        values = {"spearman": value, "ssim": value / 2, "iou": value / 4, "predictions": None}
        found.append({"a": a.id, "b": b.id, "kind": kind, **values})

    for index, a in enumerate(runs):
        add(a, a, "ceiling", 0.6)
        add(a, a, "zero", 0.0)
        for b in runs[:index]:
            if a.variant == b.variant:
                add(b, a, "seeds", 0.3)
            elif a.seed == b.seed:
                add(b, a, "between", 0.45 + 0.01 * a.seed)
    return found


def of(folder):
    (group,) = read_study(folder).groups
    known = numbers(group)
    assert known.explained is not None
    return known, transparency(known.explained, styles(group), "")


def shown(folder):
    """The text of the section alone."""
    (group,) = read_study(folder).groups
    html = environment().get_template("transparency.html.j2").render(part=section(numbers(group), "", folder), pre="")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", html))


def rows_of(folder, name):
    (table,) = [table for table in transparency_tables([of(folder)[0]]) if table.name == name]
    return list(csv.DictReader(io.StringIO(table.csv()))), table.markdown()


def test_the_conclusions_of_a_study(measured_study):
    _, found = of(measured_study())
    assert "yes for pact w4a4" in found.lead[0]
    assert "Agreement with the maps of fp32" in found.lead[2]
    assert "pact w4a4 0.77; another seed of fp32 0.50." in found.lead[2]  # .46 / .6 and .3 / .6
    lower, unclear = found.bits
    assert lower.startswith("At w4a4 the ROAD gap of pact is lower than that of fp32 by 0.0")
    assert unclear.startswith("At w4a4: cannot tell whether quantization changes the ROAD gap (sgt+pact − sgt: ")
    assert [text.split(" is ")[1].split(" by ")[0] for text in found.objective] == [
        "higher than that of fp32",
        "higher than that of pact",
    ]


def test_differences_are_paired_by_seed_and_carry_their_intervals(measured_study):
    rows, text = rows_of(measured_study(), "transparency_differences")
    by_key = {(row["arm"], row["reference_arm"], row["metric"]): row for row in rows}
    row = by_key["pact", "fp32", "road_gap"]
    assert float(row["mean"]) == pytest.approx(-0.05, abs=0.005)
    assert float(row["low"]) < float(row["mean"]) < float(row["high"]) < 0
    assert float(row["high"]) - float(row["low"]) < 0.03  # unpaired: images alone have an sd of 0.1 / sqrt(60)
    assert (row["judged"], row["seeds"], row["images"]) == ("worse", "3", "60")
    assert {row["judged"] for row in rows} >= {"worse", "better", "cannot tell"}
    assert all(row["low"] and row["high"] for row in rows)
    assert {key[:2] for key in by_key} == {
        ("sgt", "fp32"),
        ("pact", "fp32"),
        ("sgt+pact", "sgt"),
        ("sgt+pact", "pact"),
    }
    assert "| sgt+pact | w4a4 | sgt | 3 |" in text
    assert "accuracy, points ↑" in text


def test_only_seeds_that_both_have_are_compared(measured_study):
    folder = measured_study(taken=lambda run: {"skip": run.variant.arm == "fp32" and run.seed == 2})
    rows, text = rows_of(folder, "transparency_differences")
    seeds = {(row["arm"], row["reference_arm"]): row["seeds"] for row in rows}
    assert (seeds["pact", "fp32"], seeds["sgt+pact", "sgt"]) == ("2", "3")
    assert "| pact | w4a4 | fp32 | 2 (fewer than 3) |" in text


def test_networks_without_a_common_seed_are_not_compared(measured_study):
    folder = measured_study(
        arms=("fp32", "pact"), seeds=(0, 1), taken=lambda run: {"skip": (run.variant.arm == "pact") == (run.seed == 0)}
    )
    _, found = of(folder)
    assert found.numbers.effects == ()
    text = shown(folder)
    assert "There is nothing to compare with" in text
    assert "Differences, each with its interval" not in text


def test_the_pareto_front_names_its_members(measured_study):
    folder = measured_study(seeds=(0,))
    _, found = of(folder)
    best = {mark.variant.label for mark in found.numbers.marks if mark.best}
    assert "sgt+pact w4a4" in best  # the most faithful of the smallest
    assert "sgt" in best  # the most faithful of all
    assert "sgt+pact w4a4 (seed 0)" in found.best
    rows, _ = rows_of(folder, "tradeoff")
    assert {row["arm"] for row in rows if row["pareto"] == "True"} == {label.split(" ")[0] for label in best}


def test_a_whole_page(measured_study):
    keys = (*PLAIN, "object_mass", "shortcut_mass")
    folder = measured_study(
        arms=("fp32", "pact"),
        taken=lambda run: {
            "keys": keys if run.variant.plan is None else tuple(key for key in keys if key != "infidelity"),
            "absent": {} if run.variant.plan is None else {"infidelity": "<b>no</b> signed gradient"},
            "facts": {"region_shares": REGIONS},
        },
    )
    page, text = checked_page(write_report(folder))
    for phrase in (
        "Does the small network still look at the right things?",
        "Does quantization cost interpretability?",
        "At w4a4 the ROAD gap of pact is lower than that of fp32 by",
        "Looks at the object less than chance (25.0 % of the pixels): fp32",
        "Looks at the planted shortcut (1.0 % of the pixels): fp32",
        "by chance, 25.0 % of a map would lie on the object",
        "On the front:",
        "faithfulness: ROAD",
        "ROAD gap ↑",
        "max-sensitivity, 0.02 ↓",
        "minus",
        "cannot tell",
        "infidelity (pact w4a4): <b>no</b> signed gradient",
        "other seed",
        "SSIM, 7 × 7 window",
        "overlap (IoU) of the top 10 % of the pixels",
        "Accuracy as pixels are removed, filled in from the neighbours",
        "Maps as the weights are drawn again",
        "Ankle boot",
        "of twenty comparisons one is off by chance",
    ):
        assert phrase in text
    assert "&lt;b&gt;no&lt;/b&gt;" in page
    assert 'href="#transparency"' in page
    assert "fewer than 3 seeds" not in text
    assert "same prediction" not in text  # not in this agreement.json
    names = {path.name for kind in ("tables", "figures") for path in (folder / kind).iterdir()}
    assert names >= {
        "tradeoff.svg",
        "removal-accuracy-linear.svg",
        "removal-probability-constant.svg",
        "randomisation.svg",
        *(f"{name}.{end}" for name in ("transparency", "transparency_differences", "agreement", "transparency_classes",
                                       "tradeoff", "removal_curves", "randomisation") for end in ("csv", "md")),
    }  # fmt: skip


def test_one_seed_is_said_everywhere(measured_study):
    text = shown(measured_study(arms=("fp32", "pact"), seeds=(0,)))
    assert "(1 seed: says nothing about another training)." in text
    assert "n is below 3 for some rows: fewer than 3 seeds." in text
    assert "Rows with n below 3 rest on fewer than 3 seeds." in text
    assert "No variant has a second seed here" in text
    assert "there is no second seed of fp32" in text


def test_nothing_measured_nothing_shown(tmp_path, make_study):
    (group,) = read_study(make_study(tmp_path, arms=("fp32",), seeds=(0,), epochs=1, probes=1)).groups
    assert numbers(group).explained is None
    assert transparency_tables([numbers(group)]) == []


def test_runs_that_cannot_be_compared_are_named(measured_study):
    def taken(run):
        return {"rows": 5} if run.id.endswith("pact-w4a4-s1") else {"skip": run.id.endswith("-sgt-s0")}

    folder = measured_study(arms=("fp32", "sgt", "pact"), seeds=(0, 1), taken=taken)
    (folder / "runs" / "fashion-mini-cnn-bn-fp32-s1" / "transparency.npz").write_bytes(b"")
    (group,) = read_study(folder).groups
    measured = read_measured(group)
    why = {item.id.removeprefix("fashion-mini-cnn-bn-"): item.why for item in measured.left_out}
    assert set(why) == {"fp32-s1", "sgt-s0", "pact-w4a4-s1"}
    assert "damaged" in why["fp32-s1"]
    assert why["sgt-s0"] == "not measured"
    assert why["pact-w4a4-s1"] == "measured on other images than fashion-mini-cnn-bn-fp32-s0; measure both again"
    assert [item.run.id.removeprefix("fashion-mini-cnn-bn-") for item in measured.taken] == [
        "fp32-s0",
        "sgt-s1",
        "pact-w4a4-s0",
    ]


def test_maps_are_not_held(measured_study):
    (group,) = read_study(measured_study(arms=("fp32",), seeds=(0,))).groups
    (item,) = read_measured(group).taken
    assert item.measurement.maps.nbytes == item.measurement.noisy_maps.nbytes == 2 * 60
    assert item.measurement.maps.base is None


def test_the_agreement_matrix_has_the_ceiling_on_its_diagonal(measured_study):
    known, _ = of(measured_study(arms=("fp32", "pact")))
    found = known.explained
    spearman = found.likenesses[0]
    fp32, pact = Variant("fp32", None), Variant("pact", "w4a4")
    assert spearman.between(fp32, fp32).mean == pytest.approx(0.6)
    between = spearman.between(pact, fp32)
    assert (between.mean, between.low, between.high, between.n) == pytest.approx((0.46, 0.45, 0.47, 3))
    assert spearman.between(fp32, pact) == between
    assert spearman.floor(fp32).n == 3
    assert [likeness.key for likeness in found.likenesses] == ["spearman", "ssim", "iou"]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"pairs": [{"a": "x"}]}',
        '{"pairs": [{"a": "x", "b": "y", "kind": "?"}]}',
        '{"pairs": [{"a": "x", "b": 1, "kind": "zero"}]}',
        '{"pairs": [{"a": "x", "b": "y", "kind": "zero", "ssim": "high"}]}',
    ],
)
def test_a_damaged_agreement_file_is_refused(measured_study, text):
    folder = measured_study(arms=("fp32",), seeds=(0,), agree=False)
    (folder / "agreement.json").write_text(text)
    (group,) = read_study(folder).groups
    with pytest.raises(RunError, match=r"agreement\.json: must .*; remove it and measure the study again"):
        numbers(group)


def test_class_by_class_is_of_the_measured_images(measured_study):
    rows, _ = rows_of(measured_study(arms=("fp32",), seeds=(0,)), "transparency_classes")
    assert [row["class"] for row in rows][:2] == ["T-shirt", "Trouser"]
    assert {row["images"] for row in rows} == {"6"}
    assert all(float(row["accuracy_low"]) <= float(row["accuracy_mean"]) <= float(row["accuracy_high"]) for row in rows)


def test_several_groups_have_sections_and_charts_of_their_own(measured_study):
    folder = measured_study(arms=("fp32", "sgt"), seeds=(0,), data=("mnist", "cifar10"), agree=False)
    first, second = read_study(folder).groups
    names = [
        {chart.name for chart in transparency(explained(group), styles(group), group.data).charts}
        for group in (first, second)
    ]
    assert "mnist-tradeoff" in names[0]
    assert "cifar10-removal-accuracy-linear" in names[1]
    assert not names[0] & names[1]
