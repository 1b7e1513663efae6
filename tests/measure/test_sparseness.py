"""Gini index and entropy against other formulas of the same thing."""

import numpy as np
import pytest

from glassbit._errors import UsageError
from glassbit.measure import entropy, gini

MAPS = np.random.default_rng(5).gamma(0.4, size=(6, 5, 7))
DEAD = np.zeros((1, 5, 7))


def slow_gini(map_: np.ndarray) -> float:
    """Half the mean difference of two pixels, by the mean: economists' definition."""
    a = map_.reshape(-1).astype(np.float64)
    return float(np.abs(a[:, None] - a[None]).mean() / (2 * a.mean()))


def slow_entropy(map_: np.ndarray) -> float:
    total = 0.0
    for value in map_.reshape(-1).astype(np.float64):
        if value:
            total -= value / map_.sum(dtype=np.float64) * np.log2(value / map_.sum(dtype=np.float64))
    return total / np.log2(map_.size)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(("fast", "slow"), [(gini, slow_gini), (entropy, slow_entropy)])
def test_it_equals_the_slow_formula(fast, slow, dtype) -> None:
    maps = MAPS.astype(dtype)
    maps[2, :3] = 0
    found = fast(maps)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, [slow(map_) for map_ in maps], rtol=0, atol=1e-13)


def test_the_ends_of_the_scales() -> None:
    point = DEAD.copy()
    point[0, 2, 3] = 1e-30
    ends = np.concatenate([np.full_like(DEAD, 3.0), DEAD, point])
    np.testing.assert_allclose(gini(ends), [0, 0, 1 - 1 / 35], atol=1e-14)
    np.testing.assert_allclose(entropy(ends), [1, 1, 0], atol=1e-14)


@pytest.mark.parametrize("fast", [gini, entropy])
@pytest.mark.parametrize("factor", [1e-310, 1e-3, 1e300])
def test_neither_scale_nor_places_nor_neighbours_count(fast, factor) -> None:
    moved = np.random.default_rng(0).permuted(MAPS.reshape(6, 35), axis=1).reshape(MAPS.shape)
    np.testing.assert_allclose(fast(moved * factor), fast(MAPS), rtol=1e-3 if factor < 1e-300 else 1e-12)
    assert np.array_equal(fast(MAPS[3:4]), fast(MAPS)[3:4])


def test_a_sparser_map_has_more_gini_and_less_entropy() -> None:
    sparser = MAPS**2
    assert (gini(sparser) > gini(MAPS)).all()
    assert (entropy(sparser) < entropy(MAPS)).all()


@pytest.mark.parametrize("fast", [gini, entropy])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_map_that_is_not_finite_has_no_value(fast, value) -> None:
    broken = MAPS.copy()
    broken[1, 0, 0] = value
    assert np.isnan(fast(broken)).tolist() == [False, True, False, False, False, False]


@pytest.mark.parametrize(("fast", "name"), [(gini, "gini"), (entropy, "entropy")])
def test_a_signed_map_is_refused(fast, name) -> None:
    signed = MAPS.copy()
    signed[2, 1, 3] = -1
    with pytest.raises(UsageError, match=rf"^{name}: maps must be >= 0; got -1; take the size of a signed map first$"):
        fast(signed)


@pytest.mark.parametrize("fast", [gini, entropy])
def test_no_images_give_no_values(fast) -> None:
    assert fast(MAPS[:0]).shape == (0,)
