"""A mean over seeds and images, and how far it may be off."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from glassbit._arrays import array
from glassbit._errors import UsageError
from glassbit._random import derive
from glassbit._takes import WHOLE, number, takes, whole

from ._resample import resampled_means

LEVEL = 0.95
DRAWS = 10_000
_MANY = 3
MOST_DRAWS = 10**6
ROWS = array(2, "(seeds, images)", "iuf")

BRACKETS = "Brackets: 95 % intervals over test images; they say nothing of another training."


@dataclass(frozen=True)
class Interval:
    """A mean and the interval that covers the true one; NaN where too few images define it.

    Args:
        mean: over seeds and images.
        low, high: the ends of the interval.
        seeds: how many trainings are in the mean.
        images: how many images are in it: those on which every seed has a value.
    """

    mean: float
    low: float
    high: float
    seeds: int
    images: int

    @property
    def decided(self) -> bool:
        """Whether 0 lies outside, so that the sign of the mean is known; otherwise one cannot tell."""
        return self.low > 0 or self.high < 0

    @property
    def few_seeds(self) -> bool:
        """Whether there are fewer than 3 trainings. With 1, the interval says nothing of another training."""
        return self.seeds < _MANY

    def text(self, digits: int = 3) -> str:
        """For a table.

        >>> Interval(0.113, 0.0951, 0.131, seeds=3, images=1000).text()
        '0.113 [0.095, 0.131]'
        """
        if math.isnan(self.mean):
            return "undefined"
        if math.isnan(self.low):
            return f"{self.mean:.{digits}f} [unknown]"
        return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"

    def to_json(self) -> dict[str, float | int | None]:
        """Plain numbers; None for NaN."""
        ends = {"mean": self.mean, "low": self.low, "high": self.high}
        known = {name: None if math.isnan(value) else value for name, value in ends.items()}
        return {**known, "seeds": self.seeds, "images": self.images}


@takes(values=ROWS, level=number(0, 1, usual=LEVEL), draws=whole(1, MOST_DRAWS, usual=DRAWS), seed=WHOLE)
def interval(values: Float[np.ndarray, "s n"], *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Return the mean of `values`, and an interval for its expectation over other seeds and other images.

    With v_i the mean of image i over the S seeds, u_s the mean of seed s over the n images, and i* images drawn with
    replacement,

        draw = mean over i* of v_i*  +  t_(S-1) sd(u) / sqrt(S)

    and the interval runs between the quantiles (1 - level) / 2 and (1 + level) / 2 of many draws. All seeds saw the
    same images, so images are resampled as a whole. Seeds are not resampled: three of them have ten resamples, whose
    spread is a third too small; Student's t knows how little three seeds say of sd(u). What seeds and images do
    together (a network that fails on one image) is counted in both terms, which errs on the wide side. With S = 1 the
    second term is missing: the interval is that of one network on other images, and says nothing of another training.

    Args:
        values: a row per seed, a column per image. An image that is NaN for one seed is left out for all.
        level: of confidence, in (0, 1).
        draws: how many, at most 1,000,000.
        seed: of the draws.

    Raises:
        UsageError: there is no seed, an argument is of another type, or `level` or `draws` is out of range.

    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", section 13.3 (percentile intervals); Owen 2007, "The
    pigeonhole bootstrap" (arXiv 0712.1111), on data crossed in two ways. Coverage is tested by simulation.
    """
    check(level, draws)
    if not len(values):
        raise UsageError("interval: values must have one row per seed; got no rows")
    known = values[:, ~np.isnan(values).any(0)].astype(np.float64)
    seeds, images = known.shape
    if images == 0:
        return Interval(math.nan, math.nan, math.nan, seeds, 0)
    mean = float(known.mean())
    if images == 1:
        return Interval(mean, math.nan, math.nan, seeds, 1)
    generator = np.random.default_rng(derive("interval", seed))
    (means,) = resampled_means(known.mean(0, keepdims=True), draws=draws, generator=generator)
    if seeds > 1:
        shares = (generator.permutation(draws) + 0.5) / draws
        means += stdtrit(seeds - 1, shares) * known.mean(1).std(ddof=1) / math.sqrt(seeds)
    low, high = ends(means, level)
    return Interval(mean, low, high, seeds, images)


@takes(a=ROWS, b=ROWS, level=number(0, 1, usual=LEVEL), draws=whole(1, MOST_DRAWS, usual=DRAWS), seed=WHOLE)
def difference(
    a: Float[np.ndarray, "s n"],
    b: Float[np.ndarray, "s n"],
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Interval:
    """How much more `b` has than `a`: `interval` of b - a, paired by seed and image.

    What an image or a seed does to both cancels, so this is far narrower than the two intervals suggest.

    Args:
        a, b: the same seeds in the rows, the same images in the columns.
        level, draws, seed: see `interval`.

    Raises:
        UsageError: see `interval`.
    """
    if a.shape != b.shape:
        got = f"{a.shape} and {b.shape}"
        raise UsageError(f"difference: a and b must have one shape (seeds, images); got {got}; pair them by image")
    return interval(b.astype(np.float64) - a.astype(np.float64), level=level, draws=draws, seed=seed)


def ends(means: Float[np.ndarray, " draws"], level: float) -> tuple[float, float]:
    """Return the quantiles between which the middle share `level` of the draws lies."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def check(level: float, draws: int) -> None:
    """Refuse what gives no interval.

    Raises:
        UsageError: `level` or `draws` is out of range.
    """
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must be a share between 0 and 1, such as 0.95; got {level}")
    if draws < 1:
        raise UsageError(f"draws must be at least 1; got {draws}")
