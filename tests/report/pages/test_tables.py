from __future__ import annotations

import csv
import io
import math

import pytest

from glassbit.report.numbers import numbers
from glassbit.report.pages._tables import Table, tables
from glassbit.report.read import read_study


def tables_of(folder):
    return tables([numbers(group) for group in read_study(folder).groups])


def rows_of(folder, name):
    (table,) = [table for table in tables_of(folder) if table.name == name]
    return list(csv.DictReader(io.StringIO(table.csv()))), table.markdown()


def test_accuracy_mean_and_sample_sd_over_seeds(tmp_path, make_study):
    rows, text = rows_of(make_study(tmp_path, seeds=(0, 1, 2)), "accuracy")
    row = next(row for row in rows if (row["arm"], row["plan"]) == ("sgt+pact", "w2a2"))
    assert row["seeds"] == "0 1 2"
    assert row["n"] == "3"
    assert float(row["test_percent_mean"]) == pytest.approx(88.7)  # 0.895 - 0.01 + 0.002 seed
    assert float(row["test_percent_sd"]) == pytest.approx(0.2)
    assert float(row["drop_from_fp32_points_mean"]) == pytest.approx(3.5)
    assert float(row["drop_from_fp32_points_sd"]) == pytest.approx(0, abs=1e-9)  # paired by seed
    assert row["drop_from_own_float_arm"] == "sgt"
    assert float(row["drop_from_own_points_mean"]) == pytest.approx(1.5)
    assert (row["stored_bytes"], row["macs"], row["bitops"]) == ("2500", "2000000", "8000000")
    assert "| sgt+pact | w2a2 | 3 | 88.70 ± 0.20 | 3.50 ± 0.00 | 1.50 ± 0.00 | 2.50 | 8.00 M | 2.00 M |" in text


def test_the_own_float_arm_of_named_options_has_the_same_name(tmp_path, make_study):
    arms = ("fp32", "sgt-a", "sgt-b", "sgt-a+pact", "sgt-c+pact")
    rows, _ = rows_of(make_study(tmp_path, arms=arms, plans=("w2a2",)), "accuracy")
    own = {row["arm"]: (row["drop_from_own_float_arm"], row["drop_from_own_points_mean"]) for row in rows}
    assert own["sgt-b"] == ("", "")
    assert own["sgt-a+pact"][0] == "sgt-a"
    assert float(own["sgt-a+pact"][1]) == pytest.approx(1.5)
    assert own["sgt-c+pact"] == ("sgt-c", "")


def test_one_seed_has_no_sd(tmp_path, make_study):
    rows, text = rows_of(make_study(tmp_path, seeds=(4,)), "accuracy")
    assert all(row["test_percent_sd"] == "" and row["drop_from_fp32_points_sd"] == "" for row in rows)
    assert "±" not in text


def test_a_drop_needs_a_seed_in_common(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32",), seeds=(0,), extra=(("pact", "w4a4", 1, "finished"),))
    rows, _ = rows_of(folder, "accuracy")
    assert [row["drop_from_fp32_points_mean"] for row in rows] == ["", ""]


def test_the_float_arms_own_drop_and_no_drop_for_fp32(tmp_path, make_study):
    rows, _ = rows_of(make_study(tmp_path, seeds=(0, 1)), "accuracy")
    drops = {row["arm"]: row["drop_from_fp32_points_mean"] for row in rows if not row["plan"]}
    assert drops["fp32"] == ""
    assert float(drops["sgt"]) == pytest.approx(2.0)


def test_deployed_networks_beside_fake_quantized_ones(tmp_path, make_study):
    rows, text = rows_of(make_study(tmp_path, deploy=True), "deployed")
    assert [(row["arm"], row["plan"]) for row in rows] == [
        (arm, plan) for arm in ("pact", "sgt+pact") for plan in ("w4a4", "w2a2")
    ]
    row = rows[0]
    assert float(row["fake_quantized_percent_mean"]) - float(row["deployed_percent_mean"]) == pytest.approx(0.1)
    assert float(row["drop_points_sd"]) == pytest.approx(0, abs=1e-9)  # paired by seed
    assert float(row["lost_by_conversion_points_mean"]) == pytest.approx(5.0)
    assert "| pact | w4a4 | 3 | 91.70 ± 0.20 | 91.60 ± 0.20 | 0.10 ± 0.00 | 5.00 ± 0.00 | 30.0 | 31.0 |" in text
    assert "| 32.0 | 36.0 | 1.50 ± 0.00 | 2.00 ± 0.00 |" in text


def test_activations_are_those_of_the_last_epoch_that_counted_them(tmp_path, make_study):
    plain, _ = rows_of(make_study(tmp_path / "plain"), "activations")
    deployed, _ = rows_of(make_study(tmp_path / "deployed", deploy=True), "activations")
    assert plain == deployed


def test_a_study_without_deployed_networks_has_no_table_of_them(tmp_path, make_study):
    assert "deployed" not in [table.name for table in tables_of(make_study(tmp_path))]


def test_the_masking_area_is_the_trapezoid_of_random_minus_salient(tmp_path, make_study):
    rows, _ = rows_of(make_study(tmp_path, arms=("fp32", "sgt"), seeds=(0, 2)), "masking")
    assert [(row["arm"], row["fill"]) for row in rows] == [
        ("fp32", "constant"),
        ("sgt", "constant"),
        ("fp32", "mean"),
        ("sgt", "mean"),
    ]
    row = rows[1]  # random minus salient is 0.4 clean x, least minus salient 0.7 clean x, over 0 .. 0.9
    assert float(row["area_mean"]) == pytest.approx(0.902 * 0.4 * 0.81 / 2)
    assert float(row["area_sd"]) == pytest.approx(math.sqrt(2) * 0.002 * 0.4 * 0.81 / 2)
    assert float(row["area_normalised_mean"]) == pytest.approx(0.4 * 0.81 / 2)
    assert float(row["area_least_minus_salient_mean"]) == pytest.approx(0.902 * 0.7 * 0.81 / 2)
    assert (row["images"], row["reach"], row["n"]) == ("1000", "0.9", "2")


def test_masking_curves_hold_every_point(tmp_path, make_study):
    rows, _ = rows_of(make_study(tmp_path, arms=("fp32",), seeds=(0,)), "masking_curves")
    assert len(rows) == 2 * 3 * 10  # fills x orders x fractions
    (point,) = [r for r in rows if (r["fill"], r["order"], r["removed_fraction"]) == ("mean", "random", "0.5")]
    assert float(point["accuracy_percent_mean"]) == pytest.approx(100 * 0.92 * 0.75)


def test_cost_has_a_row_a_layer_and_a_total_a_plan(tmp_path, make_study):
    rows, text = rows_of(make_study(tmp_path, plans=("w4a4",)), "cost")
    assert [row["plan"] for row in rows] == ["float"] * 5 + ["w4a4"] * 5
    assert rows[-1]["name"] == "total"
    assert int(rows[-1]["bitops"]) == sum(int(row["bitops"]) for row in rows[5:9])
    assert "| fashion-mini | cnn-bn | w4a4 | 0.conv | Conv2d | 4 | 4 | 0.50 | 500 k | 8.00 M |" in text


def test_activation_shares_of_the_last_epoch(tmp_path, make_study):
    rows, _ = rows_of(make_study(tmp_path, arms=("fp32", "pact"), plans=("w4a4",), seeds=(0,)), "activations")
    row = next(row for row in rows if (row["arm"], row["layer"]) == ("pact", "2.activation"))
    assert float(row["clipped_percent_mean"]) == pytest.approx(3.0)
    assert float(row["zeros_percent_mean"]) == pytest.approx(50.0)
    assert {row["clipped_percent_mean"] for row in rows if row["arm"] == "fp32"} == {""}


def test_no_finished_run_no_table(tmp_path, make_study):
    folder = make_study(tmp_path, seeds=(), extra=(("fp32", None, 0, "new"),))
    assert tables_of(folder) == []


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(1)", "＝1"])
def test_text_is_never_a_formula_in_a_spreadsheet(tmp_path, make_study, name):
    text = Table("t", ("name", "value"), ((name, -0.5), ("plain", 1.0), (None, -2)), (), ()).csv()
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [["name", "value"], [f"'{name}", "-0.5"], ["plain", "1.0"], ["", "-2"]]
    rows, _ = rows_of(make_study(tmp_path, arms=("fp32",), data=("=cmd",)), "accuracy")
    assert rows[0]["data"] == "'=cmd"


def test_control_characters_do_not_reach_a_spreadsheet():
    text = Table("t", ("name",), (("\t=1",), ("\r=1",), ("a\n=1",)), (), ()).csv()
    assert text == "name\n\\t=1\n\\r=1\na\\n=1\n"
