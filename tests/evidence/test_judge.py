"""The gate: passes what is good, fails what is damaged, and fails with the reason where it cannot tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from invented import COUNT, SIZE, invented

from glassbit._errors import UsageError
from glassbit.evidence import Comparison, Policy, judge
from glassbit.measure import compare


def comparison(*, a: dict | None = None, **b) -> Comparison:
    """A reference and a candidate that is as good, but for the changes."""
    return compare(invented(name="fp32", **(a or {})), invented(name="int4", **b))


def values(key: str, mean: float, spread: float = 0.1) -> dict[str, np.ndarray]:
    """All metrics, with this one around `mean`."""
    wave = np.where(np.arange(COUNT) % 2, spread, -spread)
    return {**invented().values, key: (mean + wave).astype(np.float32)}


def correct(wrong: int) -> np.ndarray:
    """500 answers of which the first ones are wrong."""
    return np.arange(500) >= wrong


def the(verdict, name):
    (check,) = [check for check in verdict.checks if check.name == name]
    return check


def test_the_same_network_passes_every_default_check():
    verdict = judge(comparison(), Policy())
    assert verdict.passed
    assert [check.name for check in verdict.checks] == ["accuracy_drop", "agreement", "faithfulness"]
    assert [check.limit for check in verdict.checks] == [1.0, 0.5, 0.8]
    assert the(verdict, "accuracy_drop").value == 0
    assert the(verdict, "faithfulness").value == 1
    assert the(verdict, "agreement").value > 1, "a network has more in common with itself than under noise"


def test_accuracy_may_fall_by_the_limit_and_no_further():
    just = judge(comparison(a={"correct": correct(40)}, correct=correct(45)), Policy())
    assert the(just, "accuracy_drop").passed
    assert the(just, "accuracy_drop").value == pytest.approx(1.0)
    over = judge(comparison(a={"correct": correct(40)}, correct=correct(46)), Policy())
    check = the(over, "accuracy_drop")
    assert not over.passed
    assert not check.passed
    assert check.value == pytest.approx(1.2)
    assert check.reason == (
        f"{check.interval}, from 92.00 % to 90.80 %; at most 1.00 may be lost (the interval contains this limit: more "
        "images would tell better)"
    )
    assert check.interval.startswith("-1.20 points [-2.")
    assert judge(comparison(a={"correct": correct(40)}, correct=correct(46)), Policy(accuracy_drop=1.5)).passed


def test_accuracy_that_rises_passes_even_when_nothing_may_be_lost():
    found = judge(comparison(a={"correct": correct(40)}, correct=correct(10)), Policy(accuracy_drop=0.0))
    check = the(found, "accuracy_drop")
    assert check.passed
    assert check.value == pytest.approx(-6.0)
    assert check.interval.startswith("+6.00 points [+")
    assert "contains this limit" not in check.reason


def test_maps_that_drift_fail_the_agreement():
    drifted = comparison(maps=np.random.default_rng(0).random((COUNT, *SIZE)).astype(np.float16))
    check = the(judge(drifted, Policy()), "agreement")
    assert not check.passed
    assert check.value == drifted.relative["spearman"].mean < 0.2
    means = {pair: found["spearman"].mean for pair, found in drifted.agreements.items()}
    between = drifted.agreements["between"]["spearman"].text()
    assert check.reason == (
        f"{check.interval} of the way from chance ({means['zero']:.3f}) to the ceiling ({means['ceiling']:.3f}): "
        f"Spearman correlation {between}; at least 50.0 % must be"
    )


@pytest.mark.parametrize(("dead", "passed"), [(2, True), (16, False), (COUNT, False)])
def test_a_candidate_without_maps_does_not_pass_on_the_few_that_it_has(dead, passed):
    maps = invented().maps.copy()
    maps[:dead] = 0
    whole = the(judge(comparison(), Policy(agreement=0.8)), "agreement").value
    check = the(judge(comparison(maps=maps), Policy(agreement=0.8)), "agreement")
    assert check.passed is passed
    assert check.value == pytest.approx(whole * (1 - dead / COUNT), abs=0.02)
    assert ("Spearman correlation undefined" in check.reason) is (dead == COUNT)


def test_an_unsteady_reference_fails_because_nothing_can_be_told():
    unsteady = comparison(a={"noisy_maps": np.random.default_rng(0).random((COUNT, *SIZE)).astype(np.float16)})
    check = the(judge(unsteady, Policy()), "agreement")
    assert not check.passed
    assert check.value is None
    assert check.interval == "cannot tell"
    assert "cannot tell: the maps of fp32 agree with themselves under a little noise (" in check.reason
    assert check.reason.endswith("maps are steadier; `agreement: null` in the policy skips this check")
    assert judge(unsteady, Policy(agreement=None)).passed


@pytest.mark.parametrize(("mean", "passed"), [(0.39, True), (0.33, True), (0.31, False), (-0.1, False)])
def test_the_road_gap_must_keep_its_share(mean, passed):
    found = comparison(a={"values": values("road_gap", 0.4)}, values=values("road_gap", mean))
    check = the(judge(found, Policy()), "faithfulness")
    assert check.passed is passed
    assert check.value == pytest.approx(mean / 0.4, abs=1e-6)
    assert f"of the ROAD gap is kept: {mean:.3f} of 0.400; at least 80.0 % must be" in check.reason


@pytest.mark.parametrize(("mean", "spread"), [(-0.2, 0.1), (0.0, 0.1), (0.02, 0.5)])
def test_a_share_of_no_road_gap_fails_because_nothing_can_be_told(mean, spread):
    found = comparison(a={"values": values("road_gap", mean, spread)}, values=values("road_gap", 0.4))
    check = the(judge(found, Policy()), "faithfulness")
    assert not check.passed
    assert check.value is None
    assert f"cannot tell: the ROAD gap of fp32 is not clearly above 0 ({mean:.3f} [" in check.reason
    assert check.reason.endswith("`faithfulness: null` in the policy skips this check")
    assert judge(found, Policy(faithfulness=None)).passed


def test_a_metric_that_was_not_measured_fails_with_its_reason():
    without = {key: value for key, value in invented().values.items() if key != "road_gap"}
    found = comparison(values=without, absent={"road_gap": "too few images"})
    check = the(judge(found, Policy()), "faithfulness")
    assert not check.passed
    assert "the ROAD gap was not measured (int4: too few images)" in check.reason
    check = the(judge(comparison(values=without, absent={}), Policy()), "faithfulness")
    assert "the ROAD gap was not measured (one of the two does not have it)" in check.reason


def test_predictions_and_object_mass_are_checked_where_they_are_asked_for():
    policy = Policy(accuracy_drop=None, agreement=None, faithfulness=None, predictions=0.9, object_mass=0.5)
    mass = {"values": values("object_mass", 0.6), "absent": {}}
    good = judge(comparison(a=mass, **mass), policy)
    assert good.passed
    assert [check.name for check in good.checks] == ["predictions", "object_mass"]
    labels = invented().labels
    bad = judge(comparison(a=mass, values=values("object_mass", 0.2), absent={}, predictions=(labels + 1) % 3), policy)
    assert [check.passed for check in bad.checks] == [False, False]
    assert "of the predictions are the same; at least 90.0 % must be" in the(bad, "predictions").reason
    assert (
        "of the mass on the object is kept: 0.200 of 0.600; at least 50.0 % must be" in the(bad, "object_mass").reason
    )
    assert "the data set does not say where the object is" in the(judge(comparison(), policy), "object_mass").reason


def test_a_limit_inside_the_interval_is_said():
    found = comparison(a={"values": values("road_gap", 0.4, 0.3)}, values=values("road_gap", 0.33, -0.3))
    check = the(judge(found, Policy()), "faithfulness")
    assert check.passed
    assert check.reason.endswith("(the interval contains this limit: more images would tell better)")


def test_the_screen():
    verdict = judge(comparison(a={"correct": correct(40)}, correct=correct(90)), Policy())
    lines = verdict.lines()
    assert lines[0] == "FAILED: int4 against fp32, 2 of 3 checks met"
    assert lines[1] == f"  FAIL  accuracy_drop: {verdict.checks[0].reason}"
    assert lines[2].startswith("  pass  agreement: ")
    assert lines[-1].startswith("Brackets: 95 % intervals over test images")
    assert len(lines) == 5
    assert judge(comparison(), Policy()).lines()[0] == "passed: int4 against fp32, 3 of 3 checks met"
    assert not replace(verdict, checks=verdict.checks[:1]).passed


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"accuracy_drop": -1.0}, "accuracy_drop must be points, 0..100, or null for no check; got -1.0"),
        ({"agreement": 80.0}, "agreement must be a share, 0..1, or null for no check; got 80.0"),
        ({"faithfulness": float("nan")}, "faithfulness must be a share, 0..1, or null for no check; got nan"),
        (
            dict.fromkeys(("accuracy_drop", "agreement", "faithfulness")),
            "accuracy_drop, agreement, faithfulness, predictions, object_mass must not all be null; got no limit",
        ),
    ],
)
def test_limits_out_of_range_and_a_gate_that_checks_nothing_are_refused(limits, text):
    with pytest.raises(UsageError, match=text):
        Policy(**limits)


@pytest.mark.parametrize("right", [0, 167, 180])
def test_a_gate_does_not_open_where_the_reference_only_guesses(right):
    """Three classes: 167 of 500 are guessed."""
    answers = np.arange(500) < right
    check = the(judge(comparison(a={"correct": answers}, correct=answers), Policy()), "accuracy_drop")
    assert (check.passed, check.value) == (False, None)
    assert f"cannot tell: the accuracy of fp32, {right / 5:.2f} % [" in check.reason
    assert "is not clearly above guessing among 3 classes (33.33 %), so there is nothing to lose" in check.reason
    assert "`accuracy_drop: null` in the policy skips this check" in check.reason


def test_a_reference_no_better_than_the_most_frequent_class_passes_with_a_remark():
    labels = np.zeros(COUNT, np.int64)
    answers = np.arange(500) < 480
    check = the(
        judge(comparison(a={"correct": answers, "labels": labels}, correct=answers, labels=labels), Policy()),
        "accuracy_drop",
    )
    assert check.passed
    assert "(always answering " in check.reason
    assert "would have 100.0 %, and the reference is not clearly better)" in check.reason
