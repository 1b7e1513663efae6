"""Two networks on the same images, against scipy's paired bootstrap."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
from scipy import stats

from glassbit.evidence import difference, interval, paired


def two(n=120):
    rng = np.random.default_rng(0)
    a = rng.normal(0.5, 0.3, n)
    return a, 0.8 * a + rng.normal(0, 0.05, n)


def test_each_and_their_difference_are_those_of_interval():
    a, b = two()
    found = paired(a, b)
    for ours, theirs in (
        (found.a, interval(a[None])),
        (found.b, interval(b[None])),
        (found.difference, difference(a[None], b[None])),
    ):
        assert astuple(ours) == pytest.approx(astuple(theirs))


def test_the_ratio_is_that_of_the_means_with_the_bootstraps_interval():
    a, b = two()
    found = paired(a, b, draws=20_000).ratio
    theirs = stats.bootstrap(
        (a, b),
        lambda x, y, axis: y.mean(axis) / x.mean(axis),
        paired=True,
        method="percentile",
        n_resamples=20_000,
        rng=1,
    ).confidence_interval
    assert found.mean == pytest.approx(b.mean() / a.mean())
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.001)
    assert found.high - found.low < 0.05, "images that are hard for both must cancel"


@pytest.mark.parametrize("shift", [0.0, -0.5])
def test_a_share_of_nothing_is_no_number(shift):
    a, b = two()
    assert paired(a - a.mean() + shift, b).ratio is None


def test_an_image_that_one_of_them_does_not_define_is_left_out_for_both():
    a, b = two(20)
    a[3] = b[5] = np.nan
    found = paired(a, b)
    kept = paired(np.delete(a, [3, 5]), np.delete(b, [3, 5]))
    assert found == kept
    assert found.a.images == found.difference.images == 18


def test_without_images_nothing_is_known():
    nothing = paired(np.full(3, np.nan), np.zeros(3))
    assert math.isnan(nothing.difference.mean)
    assert nothing.ratio is None
    one = paired(np.array([1.0, np.nan]), np.array([3.0, 1.0]))
    assert (one.a.mean, one.b.mean, one.difference.mean) == (1.0, 3.0, 2.0)
    assert math.isnan(one.difference.low)
    assert one.ratio is None
    assert one.to_json()["ratio"] is None
