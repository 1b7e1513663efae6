"""Means over images that are drawn again and again."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

_INDICES = 2**18  # at a time: 2 MB, which stays in the cache


def resampled_means(
    values: Float64[np.ndarray, "k n"], *, draws: int, generator: np.random.Generator
) -> Float64[np.ndarray, "k draws"]:
    """Each row's mean over n images drawn from the n with replacement; a draw takes the same images in every row.

    Args:
        values: a row per quantity, a column per image; n >= 1.
        draws: how often.
        generator: draws the images.

    Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 6.
    """
    images = values.shape[1]
    means = np.empty((len(values), draws))
    step = max(1, _INDICES // images)
    for start in range(0, draws, step):
        chosen = generator.integers(images, size=(min(step, draws - start), images))
        for row, of_row in zip(values, means, strict=True):
            of_row[start : start + step] = row.take(chosen).mean(1)
    return means
