"""The headlines say no more than their intervals."""

from __future__ import annotations

import pytest

from glassbit.report.numbers import Masking, Spread, ends, half_width
from glassbit.report.words._headlines import _masking_sentences, _moved
from glassbit.runs import Variant

CLEAR, UNCLEAR, LESS, ONE = (
    Spread(0.2, 0.01, 3),
    Spread(0.004, 0.012, 3),
    Spread(-0.2, 0.01, 3),
    Spread(0.1, None, 1),
)
START = "Fill “mean”: removing the most salient pixels rather than random ones "


def row(area, arm="fp32"):
    return Masking(Variant(arm, None), "mean", area, None, None, 1000, 0.9)


@pytest.mark.parametrize(
    ("areas", "said"),
    [
        ([CLEAR, CLEAR], "hurts more in 2 of 2 arms (95 % intervals over seeds); "),
        ([CLEAR, UNCLEAR], "hurts more in 1 of 2 arms, makes no difference that can be told in 1 (95 % intervals over"),
        ([UNCLEAR] * 6, "hurts more in 0 of 6 arms, makes no difference that can be told in 6 (95 % intervals over"),
        ([CLEAR, LESS], "hurts more in 1 of 2 arms, hurts less in 1 (95 % intervals over seeds); "),
        ([CLEAR], "hurts more (95 % interval over seeds); the area between"),
        ([LESS], "hurts less (95 % interval over seeds); "),
        ([UNCLEAR], "makes no difference that can be told (95 % interval over seeds); "),
        ([ONE], "hurts more in this one seed, which has no interval; "),
        ([ONE, CLEAR], "hurts more in 2 of 2 arms, some of one seed and so without an interval; "),
    ],
)
def test_arms_are_counted_by_their_intervals(areas, said):
    (sentence,) = _masking_sentences([row(area) for area in areas])
    assert sentence.startswith(START + said)


@pytest.mark.parametrize(
    ("drop", "said"),
    [
        (Spread(0.12, 0.25, 3), "0.12 ± 0.25 points below fp32, cannot tell from 0"),
        (Spread(-0.12, 0.25, 3), "0.12 ± 0.25 points above fp32, cannot tell from 0"),
        (Spread(0.77, 0.1, 3), "0.77 ± 0.10 points below fp32"),
        (Spread(0.77, None, 1), "0.77 points below fp32"),
    ],
)
def test_a_difference_that_may_be_none_says_so(drop, said):
    assert _moved(drop, "fp32") == said


def test_intervals_over_seeds():
    low, high = ends(Spread(2.0, 1.0, 3))
    assert (low, high) == pytest.approx((2 - 4.302653 / 3**0.5, 2 + 4.302653 / 3**0.5))
    assert ends(Spread(2.0, None, 1)) is None
    assert half_width(50.0, 100) == pytest.approx(9.8)
    assert half_width(100.0, 100) == 0
