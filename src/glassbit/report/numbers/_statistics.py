"""Means, spreads and areas."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

Number = float | int  # JSON writes whole numbers without a point


@dataclass(frozen=True)
class Spread:
    """A mean over n values and their sample standard deviation (n - 1 in the denominator); None for a single value."""

    mean: float
    sd: float | None
    n: int

    def times(self, factor: float) -> Spread:
        """In another unit."""
        return Spread(factor * self.mean, None if self.sd is None else factor * self.sd, self.n)


Points = tuple[tuple[float, Spread], ...]
"""A curve: x, and the values of several runs there."""


def spread(values: Sequence[Number | None]) -> Spread | None:
    """Mean and sample standard deviation of the values that are numbers; None when there are none.

    >>> spread([1.0, 3.0])
    Spread(mean=2.0, sd=1.4142135623730951, n=2)
    >>> spread([5.0])
    Spread(mean=5.0, sd=None, n=1)
    """
    kept = [float(value) for value in values if value is not None and math.isfinite(value)]
    if not kept:
        return None
    return Spread(statistics.fmean(kept), statistics.stdev(kept) if len(kept) > 1 else None, len(kept))


def ends(value: Spread) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean over seeds, `mean +- t sd / sqrt(n)`; None for a single seed.

    >>> low, high = ends(Spread(2.0, 1.0, 3))
    >>> round(low, 2), round(high, 2)
    (-0.48, 4.48)
    """
    if value.sd is None or value.n < 2:
        return None
    half = float(stdtrit(value.n - 1, 0.975)) * value.sd / math.sqrt(value.n)
    return value.mean - half, value.mean + half


def half_width(percent: float, images: int) -> float:
    """Return half of the 95 % interval of an accuracy that was measured on `n` images, in points.

    >>> round(half_width(90.0, 1000), 2)
    1.86
    """
    share = min(1.0, max(0.0, percent / 100))
    return 196.0 * math.sqrt(share * (1 - share) / max(1, images))


def paired(reference: Mapping[int, float], other: Mapping[int, float]) -> Spread | None:
    """Return `reference - other`, paired by seed, over the seeds that both have; None if they share none."""
    return spread([reference[seed] - other[seed] for seed in sorted(reference.keys() & other.keys())])


def area(x: Sequence[float], upper: Sequence[float], lower: Sequence[float]) -> float:
    """Signed area between two curves over the measured range, by the trapezoid rule; nothing is extrapolated.

    >>> area([0.0, 0.5, 1.0], [1.0, 1.0, 1.0], [1.0, 0.5, 0.0])
    0.5
    """
    gaps = [a - b for a, b in zip(upper, lower, strict=True)]
    steps = zip(x, x[1:], gaps, gaps[1:], strict=False)
    return math.fsum((right - left) * (first + second) / 2 for left, right, first, second in steps)


def mean_curve(curves: Sequence[Mapping[float, float]]) -> Points:
    """Point by point over several curves, each a mapping from x to y; a point counts the curves that have it."""
    points = sorted({x for curve in curves for x in curve})
    spreads = [(x, spread([curve.get(x) for curve in curves])) for x in points]
    return tuple((x, value) for x, value in spreads if value is not None)
