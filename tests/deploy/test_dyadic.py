"""Ratios as odd multipliers and exponents."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from glassbit.deploy._dyadic import dyadic, largest_exponent, power_of_two

WINDOWS = [*((0, 2**bits - 1) for bits in range(2, 9)), (-128, 127)]


def ratios() -> np.ndarray:
    """All sizes; exact powers, integers and halves; their neighbours; and far too large or small ones."""
    random = np.random.default_rng(0)
    drawn = 2.0 ** random.uniform(-26, 9, 500)
    marks = np.concatenate([2.0 ** np.arange(-30, 9), np.arange(1, 300), np.arange(1, 600) / 2, [1e-300, 1e9]])
    return np.concatenate([drawn, marks, np.nextafter(marks, 0), np.nextafter(marks, np.inf)])


@pytest.mark.parametrize(("low", "high"), WINDOWS)
def test_nothing_that_a_requantizer_can_hold_is_nearer(low: int, high: int):
    wanted = ratios()
    multiplier, exponent = (found.numpy() for found in dyadic(torch.from_numpy(wanted), low=low, high=high))
    cap = next(e for e in range(30, -1, -1) if 2**e * (max(-low, high) + 1) <= 2**24)
    assert largest_exponent(low, high) == cap
    assert (multiplier % 2 == 1).all()
    assert multiplier.min() == 1
    assert multiplier.max() == 255
    assert exponent.min() == 0
    assert exponent.max() == cap
    allowed = np.unique(np.arange(1, 256, 2)[:, None] / 2.0 ** np.arange(cap + 1))
    at = allowed.searchsorted(wanted).clip(1, len(allowed) - 1)
    nearest = np.minimum(abs(allowed[at] - wanted), abs(allowed[at - 1] - wanted))
    assert np.array_equal(abs(multiplier / 2.0**exponent - wanted), nearest)


def test_the_largest_sum_of_a_pool_stays_inside_its_window():
    """The nearest factor below 256 / high, down to 2^-16 for the largest sum that a pool may have."""
    highest = np.unique(np.r_[np.arange(3, 3000), 255 * np.arange(1, 2**16 + 1, 97), 255 * 2**16]).astype(np.float64)
    allowed = np.unique(np.arange(1, 256, 2)[:, None] / 2.0 ** np.arange(17))
    for high in highest.tolist():
        ratio = torch.tensor([255 / high], dtype=torch.float64)
        multiplier, exponent = dyadic(ratio, low=0, high=255, below=256 / high)
        factor = float(multiplier) / 2.0 ** float(exponent)
        fitting = allowed[allowed < 256 / high]
        assert factor * high < 256
        assert abs(factor - 255 / high) == abs(fitting - 255 / high).min()
    assert (int(multiplier), int(exponent)) == (1, 16)


def test_powers_of_two_are_exact():
    assert power_of_two(torch.arange(-40, 40)).tolist() == [2.0**e for e in range(-40, 40)]
