from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from glassbit._errors import UsageError
from glassbit.measure import pointing_game, region_share, relevance_mass
from glassbit.measure._ground_truth import _checked

RANDOM = np.random.default_rng(0)


def square(count: int) -> np.ndarray:
    """A region of 3 x 4 of 10 x 12 pixels at another place in every image."""
    region = np.zeros((count, 10, 12), bool)
    for row, (y, x) in enumerate(zip(RANDOM.integers(0, 8, count), RANDOM.integers(0, 9, count), strict=True)):
        region[row, y : y + 3, x : x + 4] = True
    return region


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_mass_is_the_share_inside(dtype: type[np.floating]) -> None:
    maps, region = RANDOM.random((20, 10, 12)).astype(dtype), square(20)
    wanted = []
    for values, inside in zip(maps, region, strict=True):
        pixels = [(y, x) for y in range(10) for x in range(12)]
        within = sum(float(values[pixel]) for pixel in pixels if inside[pixel])
        wanted.append(within / sum(float(values[pixel]) for pixel in pixels))
    assert relevance_mass(maps, region) == pytest.approx(np.array(wanted), abs=1e-12)


def test_mass_of_large_half_precision_maps_does_not_overflow() -> None:
    maps = np.full((1, 10, 12), 6e4, np.float16)
    assert relevance_mass(maps, square(1)) == pytest.approx([0.1])


def test_mass_by_hand() -> None:
    region = np.zeros((4, 2, 2), bool)
    region[:3, 0, 0] = True
    maps = np.array([[[3, 1], [0, 0]], [[0, 1], [2, 3]], [[0, 0], [0, 0]], [[1, 2], [3, 4]]], np.float32)
    assert relevance_mass(maps, region).tolist() == [0.75, 0, 0.25, 0]  # zeros count as a map that says nothing
    assert region_share(region).tolist() == [0.25, 0.25, 0.25, 0]


def test_pointing_is_the_highest_pixel() -> None:
    maps, region = RANDOM.random((50, 10, 12)).astype(np.float32), square(50)
    highest = [divmod(int(np.argmax(values)), 12) for values in maps]
    wanted = [float(inside[pixel]) for inside, pixel in zip(region, highest, strict=True)]
    assert pointing_game(maps, region).tolist() == wanted
    assert 0 < sum(wanted) < 50
    aimed = np.where(region, maps + 1, maps)
    assert pointing_game(aimed, region).all()
    assert not pointing_game(aimed, ~region).any()


def test_equal_highest_pixels_are_drawn() -> None:
    count = 4000
    region = square(1).repeat(count, 0)
    flat = np.zeros((count, 10, 12), np.float32)
    assert pointing_game(flat, region).mean() == pytest.approx(0.1, abs=0.02)
    tied = RANDOM.random((count, 10, 12)).astype(np.float32)
    tied[region] = 0
    tied[:, *np.argwhere(region[0])[0]] = 2  # one of four highest pixels is inside
    outside = np.argwhere(~region[0])
    for place in (0, 40, -1):
        tied[:, *outside[place]] = 2
    hits = pointing_game(tied, region)
    assert set(hits) == {0, 1}
    assert hits.mean() == pytest.approx(0.25, abs=0.03)


def test_draws_follow_from_the_seed_and_the_place_of_the_image() -> None:
    flat, region = np.zeros((200, 10, 12), np.float32), square(200)
    hits = pointing_game(flat, region, seed=3)
    assert np.array_equal(hits, pointing_game(flat, region, seed=3))
    assert np.array_equal(hits[:50], pointing_game(flat[:50], region[:50], seed=3))
    assert not np.array_equal(hits, pointing_game(flat, region, seed=4))


@pytest.mark.parametrize("metric", [relevance_mass, pointing_game])
def test_maps_that_do_not_fit_are_refused(metric: Callable[..., object]) -> None:
    maps, region = np.ones((2, 10, 12), np.float32), square(2)
    with pytest.raises(UsageError, match=r": maps must be >= 0; got -1; take the size of a signed map first"):
        metric(-maps, region)
    text = r"x: maps and region must have one shape \(n, h, w\); got \(1, 10, 12\) and \(2, 10, 12\); pass both"
    with pytest.raises(UsageError, match=text):
        _checked("x", maps[:1], region)


def test_maps_that_are_not_finite_have_no_value() -> None:
    maps, region = np.ones((3, 10, 12), np.float32), square(3)
    maps[1, 4, 5], maps[2, 4, 5] = np.nan, np.inf
    for values in (relevance_mass(maps, region), pointing_game(maps, region)):
        assert np.isnan(values).tolist() == [False, True, True]
