"""What a removed pixel is replaced with, so that the shape of the hole gives nothing away."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Float64, UInt8
from scipy.linalg import solveh_banded

from glassbit._arrays import array
from glassbit._errors import UsageError
from glassbit._takes import takes

from ._maps import REGION

_Slices = tuple[slice, slice]

_AHEAD = ((0, 1, 1 / 6), (1, -1, 1 / 12), (1, 0, 1 / 6), (1, 1, 1 / 12))
"""Rows down, columns right, weight: the half of the eight neighbours that comes later in raster order."""


@takes(images=array(4, "(n, c, h, w)", "iuf"), removed=REGION, noise=array(4, "(n, c, h, w)", "f"))
def noisy_linear(
    images: UInt8[np.ndarray, "n c h w"],
    removed: Bool[np.ndarray, "n h w"],
    *,
    noise: Float[np.ndarray, "n c h w"],
) -> UInt8[np.ndarray, "n c h w"]:
    """Noisy linear imputation: every removed pixel is the weighted mean of its neighbours, and a little noise.

        x_i = sum over j of w_ij x_j / sum over j of w_ij,    then round(255 clip(x_i + noise_i, 0, 1))

    where j are the up to eight neighbours inside the image, w = 1/6 beside, above and below, and 1/12 diagonally. The
    removed neighbours are unknown too, which makes one linear system per image, the same for all channels. It is solved
    exactly: multiplied by its row sums it is symmetric, positive definite and banded, as pixels in raster order are at
    most w + 1 places from their neighbours (LAPACK's banded Cholesky factorisation, several times as fast as a sparse
    LU). An image without any pixel left becomes the mean of each of its channels, with the noise.

    Args:
        images: pixels 0..255.
        removed: True where a pixel goes, all channels together.
        noise: what is added, in units of [0, 1]; the paper's has a standard deviation of 0.01. Only the values at
            removed pixels count.

    Returns:
        Images whose other pixels are untouched.

    Raises:
        UsageError: an argument is of another type or shape.

    Rong et al. 2022 (arXiv 2202.00449), noisy linear imputation, with the weights and the border of the authors' code.
    """
    if removed.shape != (len(images), *images.shape[2:]) or noise.shape != images.shape or 0 in images.shape[1:]:
        must = "one shape (n, c, h, w), and removed (n, h, w)"
        got = f"{images.shape}, {noise.shape} and {removed.shape}"
        raise UsageError(f"noisy_linear: images and noise must have {must}; got {got}; pass those of the same images")
    filled = images.copy()
    degree = _weighted_sum(np.ones(images.shape[2:]))
    known = _weighted_sum(np.where(removed[:, None], 0.0, images))
    for image, hole, arriving, added in zip(filled, removed, known, noise, strict=True):
        if not hole.any():
            continue
        if hole.all():
            values = np.broadcast_to(image.mean((1, 2))[:, None], (len(image), hole.size))
        else:
            values = solveh_banded(
                _system(hole, degree), arriving[:, hole].T, lower=True, overwrite_ab=True, check_finite=False
            ).T
        image[:, hole] = np.rint(np.clip(values + 255 * added[:, hole], 0, 255))
    return filled


def _system(hole: Bool[np.ndarray, "h w"], degree: Float64[np.ndarray, "h w"]) -> Float64[np.ndarray, "b m"]:
    """Return the lower diagonals of the matrix over removed pixels in raster order, as LAPACK stores them."""
    number = np.cumsum(hole).reshape(hole.shape) - 1
    diagonals = np.zeros((hole.shape[1] + 2, np.count_nonzero(hole)))
    diagonals[0] = degree[hole]
    widest = 0
    for here, there, weight in _pairs(hole.shape):
        both = hole[here] & hole[there]
        first = number[here][both]
        distance = number[there][both] - first
        diagonals[distance, first] = -weight
        widest = max(widest, int(distance.max(initial=0)))
    return diagonals[: widest + 1]


def _weighted_sum(values: Float64[np.ndarray, "*n h w"]) -> Float64[np.ndarray, "*n h w"]:
    """At every pixel, the weighted sum of its neighbours inside the image."""
    total = np.zeros_like(values)
    for here, there, weight in _pairs(values.shape[-2:]):
        total[..., *here] += weight * values[..., *there]
        total[..., *there] += weight * values[..., *here]
    return total


def _pairs(shape: tuple[int, ...]) -> Iterator[tuple[_Slices, _Slices, float]]:
    """For each direction ahead: the pixels that have a neighbour there, those neighbours, and the weight."""
    height, width = shape
    for down, right, weight in _AHEAD:
        left = max(-right, 0)
        here = (slice(0, height - down), slice(left, width - max(right, 0)))
        there = (slice(down, height), slice(left + right, width - max(right, 0) + right))
        yield here, there, weight
