"""How few pixels a map rests on: a property of its shape, not of its truth."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64
from scipy.special import entr

from glassbit._errors import UsageError
from glassbit._takes import takes

from ._maps import MAPS


@takes(maps=MAPS)
def gini(maps: Float[np.ndarray, "n h w"]) -> Float64[np.ndarray, " n"]:
    """Return the Gini index of each map: 0 if all pixels are equal, near 1 if one pixel has everything.

        g = 1 - 2 sum over k of (a_(k) / sum a) (P - k + 1/2) / P,    a_(1) <= ... <= a_(P)

    Sparse maps are easier to read; they need not be more faithful. It depends neither on the scale of a map nor on
    where its pixels are. The largest value is 1 - 1/P.

    Args:
        maps: values >= 0, P = h w pixels.

    Returns:
        One number per image; 0 for a map without any value, as for a uniform one, and NaN where values are not finite.

    Raises:
        UsageError: a map has negative values.

    Example:
        >>> gini(np.array([[[0.0, 0.0], [0.0, 1.0]], [[2.0, 2.0], [2.0, 2.0]]])).tolist()
        [0.75, 0.0]

    Hurley and Rickard 2009, Comparing Measures of Sparsity (arXiv 0811.4706), table I.
    """
    shares = np.sort(_shares(maps, "gini"), axis=1)
    pixels = shares.shape[1]
    weights = (pixels - np.arange(1, pixels + 1) + 0.5) / pixels
    return np.asarray(1 - 2 * shares @ weights)


@takes(maps=MAPS)
def entropy(maps: Float[np.ndarray, "n h w"]) -> Float64[np.ndarray, " n"]:
    """How evenly a map is spread: its Shannon entropy as a share of the largest one.

        e = - sum over pixels of p log p / log P,    p = a / sum a

    0 where one pixel has everything, 1 where all pixels are equal. Lower is sparser, not more faithful.

    Args:
        maps: values >= 0, P = h w pixels, at least two.

    Returns:
        One number per image; 1 for a map without any value, as for a uniform one, and NaN where values are not finite.

    Raises:
        UsageError: a map has negative values.

    Example:
        >>> entropy(np.array([[[0.0, 0.0], [0.0, 1.0]], [[2.0, 2.0], [2.0, 2.0]]])).tolist()
        [0.0, 1.0]

    Shannon 1948, A Mathematical Theory of Communication, section 6.
    """
    shares = _shares(maps, "entropy")
    return np.asarray(entr(shares).sum(1) / np.log(shares.shape[1]))


def _shares(maps: Float[np.ndarray, "n h w"], metric: str) -> Float64[np.ndarray, "n p"]:
    """Every map with sum 1; one that is 0 everywhere becomes uniform."""
    n, height, width = maps.shape
    values = maps.reshape(n, height * width).astype(np.float64)
    if (values < 0).any():
        raise UsageError(
            f"{metric}: maps must be >= 0; got {np.nanmin(values):.3g}; take the size of a signed map first"
        )
    values[~np.isfinite(values).all(1)] = np.nan
    largest = values.max(1, keepdims=True, initial=0)
    scaled = np.divide(values, largest, out=np.ones_like(values), where=largest != 0)
    return np.asarray(scaled / scaled.sum(1, keepdims=True))
