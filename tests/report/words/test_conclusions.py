from __future__ import annotations

import math

import pytest

from glassbit.evidence import Interval
from glassbit.report.numbers import Effect, Likeness, Range
from glassbit.report.words import agreement_sentences, answers, looks, road_sentence
from glassbit.runs import Variant

FP32, SGT = Variant("fp32", None), Variant("sgt", None)
PACT4, PACT2, BOTH4 = Variant("pact", "w4a4"), Variant("pact", "w2a2"), Variant("sgt+pact", "w4a4")
LOWER, HIGHER, UNCLEAR = (-0.012, -0.021, -0.003), (0.07, 0.05, 0.09), (-0.002, -0.010, 0.006)


def effect(variant, reference, change, *, cause="bits", seeds=3):
    return Effect(variant, reference, cause, {"road_gap": Interval(*change, seeds, 1000)}, seeds)


def test_a_decided_difference_says_which_way_and_how_far():
    assert road_sentence(effect(PACT4, FP32, LOWER)) == (
        "At w4a4 the ROAD gap of pact is lower than that of fp32 by 0.012 (0.003 to 0.021)."
    )
    assert road_sentence(effect(SGT, FP32, HIGHER, cause="objective")) == (
        "In full precision the ROAD gap of sgt is higher than that of fp32 by 0.070 (0.050 to 0.090)."
    )


def test_an_interval_that_contains_zero_cannot_tell():
    assert road_sentence(effect(PACT4, FP32, UNCLEAR)) == (
        "At w4a4: cannot tell whether quantization changes the ROAD gap (pact − fp32: −0.002, −0.010 to +0.006)."
    )
    named = effect(Variant("sgt-mine+pact", "w4a4"), PACT4, UNCLEAR, cause="objective")
    assert "cannot tell whether saliency-guided training (mine) changes the ROAD gap (sgt-mine+pact − pact: " in (
        road_sentence(named)
    )
    random = effect(Variant("random", None), FP32, UNCLEAR, cause="objective")
    assert road_sentence(random).startswith("In full precision: cannot tell whether random masking changes")


@pytest.mark.parametrize("change", [(0.01, 0.0, 0.02), (-0.01, -0.02, 0.0)])
def test_an_interval_that_ends_at_zero_cannot_tell_either(change):
    assert "cannot tell" in road_sentence(effect(PACT4, FP32, change))


def test_a_decided_interval_never_seems_to_touch_zero():
    assert "by 0.004 (0.0002 to 0.0080)." in road_sentence(effect(PACT4, FP32, (0.004, 0.0002, 0.008)))


def test_too_few_images_are_said():
    assert "(pact − fp32: too few images)" in road_sentence(effect(PACT4, FP32, (0.1, math.nan, math.nan)))
    assert "too few images" in road_sentence(effect(PACT4, FP32, (math.nan, math.nan, math.nan)))


@pytest.mark.parametrize("change", [LOWER, HIGHER, UNCLEAR])
def test_few_seeds_are_said_in_every_case(change):
    assert road_sentence(effect(PACT4, FP32, change, seeds=1)).endswith(
        ") (1 seed: says nothing about another training)."
    )
    assert "(2 seeds: says little about another training)" in road_sentence(effect(PACT4, FP32, change, seeds=2))
    assert "another training" not in road_sentence(effect(PACT4, FP32, change, seeds=3))


def test_the_answer_goes_no_further_than_the_intervals():
    question, verdict = answers([effect(PACT2, FP32, LOWER), effect(PACT4, FP32, UNCLEAR)])
    assert question.endswith("yes for pact w2a2; cannot tell for pact w4a4, where a loss above 0.010 is ruled out.")
    assert "side with the second where the answer is yes; elsewhere no loss is shown, which is not proof" in verdict

    question, verdict = answers([effect(PACT4, FP32, UNCLEAR), effect(BOTH4, SGT, HIGHER)])
    assert question.endswith(
        "no, it is higher, for sgt+pact w4a4; cannot tell for pact w4a4, where a loss above 0.010 is ruled out."
    )
    assert verdict.endswith("on these networks no loss is shown, which is not proof that there is none.")

    question, verdict = answers([effect(PACT2, FP32, LOWER)])
    assert question.endswith(": yes for pact w2a2.")
    assert verdict.endswith("these networks side with the second.")


def test_one_seed_settles_nothing():
    question, verdict = answers([effect(PACT2, FP32, LOWER), effect(PACT4, FP32, LOWER, seeds=1)])
    assert "(1 seed: says nothing about another training)" in question
    assert verdict.endswith("fewer than 3 seeds cannot settle it.")


def test_the_objective_does_not_answer_for_the_bits():
    assert answers([effect(SGT, FP32, HIGHER, cause="objective")]) == []


def likeness(*, seeds):
    def flat(value):
        return Range(value, value, value, 3)

    cells = ((flat(0.6), flat(0.45)), (flat(0.45), flat(0.5)))
    return Likeness("spearman", "Spearman", (FP32, PACT4), cells, (seeds, None), (flat(0.1), flat(0.0)))


def test_agreement_is_told_between_the_anchors_of_the_reference():
    (said,) = agreement_sentences(likeness(seeds=Range(0.35, 0.3, 0.4, 3)), [effect(PACT4, FP32, LOWER)])
    assert "pact w4a4 0.70; another seed of fp32 0.50." in said  # (.45 - .1) / (.6 - .1), (.35 - .1) / (.6 - .1)


def test_without_another_seed_agreement_says_so():
    (said,) = agreement_sentences(likeness(seeds=None), [effect(PACT4, FP32, LOWER)])
    assert said.endswith("there is no second seed of fp32 to say how far two trainings differ.")
    assert agreement_sentences(likeness(seeds=None), [effect(BOTH4, SGT, LOWER)]) == []


def mass(low, high, region="object"):
    return {f"{region}_mass": Interval((low + high) / 2, low, high, 3, 500)}


def test_a_network_that_looks_past_the_object_or_at_the_shortcut_is_named():
    shares = {"object": 0.12, "shortcut": 0.02}
    networks = [("a", mass(0.07, 0.09), 3), ("b", mass(0.10, 0.14), 3), ("c", mass(0.2, 0.3, "shortcut"), 1)]
    less, shortcut = looks(networks, shares)
    assert less == "Looks at the object less than chance (12.0 % of the pixels): a, 8.0 % of its map (7.0 to 9.0)."
    assert shortcut == (
        "Looks at the planted shortcut (2.0 % of the pixels): c, 25.0 % of its map (20.0 to 30.0) "
        "(1 seed: says nothing about another training)."
    )


def test_nobody_is_accused_by_an_interval_that_holds_chance_or_without_a_share():
    assert looks([("a", mass(0.01, 0.03, "shortcut"), 3)], {"shortcut": 0.02}) == []
    assert looks([("a", mass(0.2, 0.3, "shortcut"), 3)], {}) == []
    assert looks([("a", mass(math.nan, math.nan), 3)], {"object": 0.5}) == []
