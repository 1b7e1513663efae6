from __future__ import annotations

import pytest

from glassbit.runs import ARMS, MASKED, OBJECTIVES, Variant, arm_of, is_quantized, named, objective_of


def test_every_objective_has_an_arm_in_full_precision_and_a_quantized_one():
    made = [arm_of(objective, quantized=quantized) for quantized in (False, True) for objective in OBJECTIVES]
    assert tuple(made) == ARMS
    assert [(objective_of(arm), is_quantized(arm)) for arm in ARMS] == [
        (objective, quantized) for quantized in (False, True) for objective in OBJECTIVES
    ]
    assert set(MASKED) <= OBJECTIVES.keys() - {"ce"}


@pytest.mark.parametrize(
    ("arm", "plan", "family", "objective", "setting", "float_arm", "plain_arm"),
    [
        ("fp32", None, "fp32", "ce", "", None, None),
        ("sgt-b-2", None, "sgt", "sgt", "b-2", None, "fp32"),
        ("pact", "w4a4", "pact", "ce", "", "fp32", None),
        ("sgt-z+pact", "w4a4", "sgt+pact", "sgt", "z", "sgt-z", "pact"),
        ("random+pact", "w2a2", "random+pact", "random", "", "random", "pact"),
        ("<b>", None, "<b>", "<b>", "", None, "fp32"),
    ],
)
def test_what_a_variant_stands_for(arm, plan, family, objective, setting, float_arm, plain_arm):
    found = Variant(arm, plan)
    assert found.label == (arm if plan is None else f"{arm} {plan}")
    assert (found.family, found.objective, found.setting) == (family, objective, setting)
    assert (found.float_arm, found.plain_arm) == (float_arm, plain_arm)


def test_options_that_have_a_name():
    assert [named(arm, "a-1") for arm in ("sgt", "sgt+pact")] == ["sgt-a-1", "sgt-a-1+pact"]
    assert named("sgt+pact", None) == "sgt+pact"
