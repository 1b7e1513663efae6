from __future__ import annotations

import itertools

import numpy as np
import pytest

from glassbit.report.numbers import front


def slow(points):
    """Straight from the definition."""
    found = []
    for this in points:
        beaten = False
        for other in points:
            at_least = all(a >= b for a, b in zip(other, this, strict=True))
            beaten |= at_least and any(a > b for a, b in zip(other, this, strict=True))
        found.append(not beaten)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_the_front_is_what_the_definition_says(seed):
    points = np.random.default_rng(seed).integers(0, 4, (12, 3)).astype(float)  # small integers: many ties
    assert front(points).tolist() == slow(points)


def test_order_does_not_matter():
    points = np.array([[1.0, 5.0, 2.0], [2.0, 4.0, 2.0], [2.0, 4.0, 1.0], [0.0, 6.0, 0.0]])
    for order in itertools.permutations(range(4)):
        assert front(points[list(order)]).tolist() == front(points)[list(order)].tolist()


def test_equal_points_are_on_it_together_and_one_point_is_on_it():
    assert front(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 1.0]])).tolist() == [True, True, False]
    assert front(np.array([[3.0]])).tolist() == [True]
