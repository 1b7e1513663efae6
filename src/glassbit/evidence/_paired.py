"""Two networks' values on the same images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from glassbit._arrays import array
from glassbit._errors import UsageError
from glassbit._random import derive
from glassbit._takes import WHOLE, number, takes, whole

from ._interval import DRAWS, LEVEL, MOST_DRAWS, Interval, check, ends
from ._resample import resampled_means


@dataclass(frozen=True)
class Paired:
    """One quantity of a network a and a network b, over the images on which both have it.

    Args:
        a, b: each by itself.
        difference: b - a, image by image.
        ratio: mean of b / mean of a; None where `a` is not clearly above 0 (a resample of its images reaches 0), so
            that a share of it says nothing.
    """

    a: Interval
    b: Interval
    difference: Interval
    ratio: Interval | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        ratio = None if self.ratio is None else self.ratio.to_json()
        return {
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "difference": self.difference.to_json(),
            "ratio": ratio,
        }


LINE = array(1, "(images,)", "iuf")


@takes(a=LINE, b=LINE, level=number(0, 1, usual=LEVEL), draws=whole(1, MOST_DRAWS, usual=DRAWS), seed=WHOLE)
def paired(
    a: Float[np.ndarray, " n"],
    b: Float[np.ndarray, " n"],
    *,
    level: float = LEVEL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Paired:
    """Compare one network with another: one seed each, so that the intervals are over images only (see `interval`).

    All four intervals come from the same resampled images; that of the ratio from the ratios of the resampled means.

    Args:
        a, b: one value per image, in the same order. An image that is NaN for one of them is left out.
        level, draws, seed: see `interval`.

    Raises:
        UsageError: see `interval`.

    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 10 and 13.
    """
    check(level, draws)
    if a.shape != b.shape:
        got = f"{a.shape} and {b.shape}"
        raise UsageError(f"paired: a and b must have one shape (images,); got {got}; pass values of the same images")
    both = np.stack([a, b]).astype(np.float64)
    known = both[:, ~np.isnan(both).any(0)]
    images = known.shape[1]
    if images < 2:
        means = known.mean(1) if images else np.full(2, math.nan)
        x, y, gap = (Interval(float(v), math.nan, math.nan, 1, images) for v in (*means, means[1] - means[0]))
        return Paired(x, y, gap, None)

    def over(mean: float, found: Float[np.ndarray, " draws"]) -> Interval:
        return Interval(mean, *ends(found, level), 1, images)

    generator = np.random.default_rng(derive("interval", seed))
    first, second = (float(mean) for mean in known.mean(1))
    of_a, of_b = resampled_means(known, draws=draws, generator=generator)
    return Paired(
        a=over(first, of_a),
        b=over(second, of_b),
        difference=over(second - first, of_b - of_a),
        ratio=over(second / first, of_b / of_a) if of_a.min() > 0 else None,
    )
