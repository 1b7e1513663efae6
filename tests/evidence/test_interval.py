"""Intervals against scipy's, against a loop, and against simulated studies whose true mean is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from glassbit._errors import UsageError
from glassbit.evidence import Interval, difference, interval


def test_one_seed_is_the_percentile_bootstrap_over_images():
    values = np.random.default_rng(0).gamma(1.0, size=80)
    theirs = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=40_000, rng=1).confidence_interval
    ours = interval(values[None], draws=40_000)
    assert ours.mean == pytest.approx(values.mean(), rel=1e-12)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=0.01)
    assert (ours.seeds, ours.images) == (1, 80)


@pytest.mark.parametrize("level", [0.8, 0.95])
@pytest.mark.parametrize("seeds", [2, 3, 6])
def test_where_all_images_are_alike_it_is_students_interval_over_seeds(seeds, level):
    means = np.random.default_rng(seeds).normal(size=seeds)
    ours = interval(np.repeat(means[:, None], 7, axis=1), level=level)
    theirs = stats.t.interval(level, seeds - 1, loc=means.mean(), scale=stats.sem(means))
    assert (ours.low, ours.high) == pytest.approx(theirs, rel=0.01)


def test_seeds_and_images_together_equal_a_loop_over_the_formula():
    rng = np.random.default_rng(2)
    values = rng.normal(0, 0.2, (4, 1)) + rng.normal(0, 1, (1, 30)) + rng.normal(0, 0.5, (4, 30))
    spread = stats.sem([row.mean() for row in values])
    slow = [
        np.mean([values[:, i].mean() for i in rng.choice(30, 30)]) + rng.standard_t(3) * spread for _ in range(5000)
    ]
    ours = interval(values)
    assert (ours.low, ours.high) == pytest.approx(np.percentile(slow, [2.5, 97.5]), abs=0.05)


@pytest.mark.parametrize("seeds", [3, 5])
def test_it_covers_the_truth_and_images_alone_would_not(seeds):
    """Crossed effects: seeds, images, and both together, true mean 0, 400 studies."""
    rng = np.random.default_rng(seeds)
    covered, by_images_alone = 0, 0
    for _ in range(400):
        values = rng.normal(0, 0.3, (seeds, 1)) + rng.normal(0, 1, (1, 60)) + rng.normal(0, 1, (seeds, 60))
        ours, alone = interval(values, draws=500), interval(values.mean(0, keepdims=True), draws=500)
        covered += ours.low < 0 < ours.high
        by_images_alone += alone.low < 0 < alone.high
    assert 0.93 < covered / 400 < 0.99
    assert by_images_alone / 400 < 0.9


def test_a_paired_difference_covers_the_truth_and_is_far_narrower():
    rng = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        both = rng.normal(0, 0.3, (3, 1)) + rng.normal(0, 1, (1, 60))
        a, b = (both + shift + rng.normal(0, 0.05, (3, 60)) for shift in (0.0, 0.1))
        ours = difference(a, b, draws=500)
        apart = interval(a, draws=500)
        covered += ours.low < 0.1 < ours.high
        assert (ours.high - ours.low) * 5 < apart.high - apart.low
    assert covered / 200 > 0.93


def test_a_difference_is_b_minus_a():
    a = np.zeros((2, 5))
    found = difference(a, a + np.array([[1.0], [3.0]]))
    assert found.mean == 2.0
    assert found == interval(a + np.array([[1.0], [3.0]]))


def test_an_image_that_one_seed_does_not_define_is_left_out_for_all():
    values = np.random.default_rng(3).normal(size=(3, 20))
    holes = values.copy()
    holes[0, 4] = holes[2, 11] = np.nan
    kept = np.delete(values, [4, 11], axis=1)
    assert interval(holes) == interval(kept)
    assert interval(holes).images == 18
    assert difference(holes, values) == difference(kept, kept)


def test_with_one_image_or_none_there_is_no_interval():
    one = interval(np.array([[0.5, np.nan], [0.7, 0.1]]))
    assert (one.mean, one.images) == (0.6, 1)
    assert math.isnan(one.low)
    assert math.isnan(one.high)
    none = interval(np.full((2, 3), np.nan))
    assert math.isnan(none.mean)
    assert none.images == 0
    assert not one.decided
    assert not none.decided
    assert (one.text(), none.text()) == ("0.600 [unknown]", "undefined")
    assert none.to_json() == {"mean": None, "low": None, "high": None, "seeds": 2, "images": 0}


def test_what_it_says():
    assert Interval(0.2, 0.1, 0.3, 3, 9).decided
    assert Interval(-0.2, -0.3, -0.1, 3, 9).decided
    assert not Interval(0.2, 0.0, 0.4, 3, 9).decided
    assert Interval(0.2, 0.1, 0.3, 2, 9).few_seeds
    assert not Interval(0.2, 0.1, 0.3, 3, 9).few_seeds


def test_the_seed_decides_and_many_images_fit_in_memory():
    values = np.random.default_rng(4).normal(size=(1, 50))
    assert interval(values, seed=1) == interval(values, seed=1)
    assert interval(values, seed=1) != interval(values, seed=2)
    many = interval(np.random.default_rng(5).normal(size=(1, 300_000)), draws=200)
    assert many.high - many.low == pytest.approx(2 * 1.96 / math.sqrt(300_000), rel=0.25)


def test_halves_of_precision_do_not_change_the_mean():
    values = np.full((1, 4096), 0.1, np.float16)
    assert interval(values).mean == float(np.float16(0.1))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"level": 95.0}, "level must be a number, 0..1; got 95"),
        ({"draws": 0}, "draws must be a whole number, 1..1000000; got 0"),
    ],
)
def test_bad_arguments_are_named(arguments, text):
    with pytest.raises(UsageError, match=text):
        interval(np.zeros((1, 3)), **arguments)


def test_no_seed_is_refused():
    with pytest.raises(UsageError, match="values must have one row per seed; got no rows"):
        interval(np.zeros((0, 3)))
