"""Choosing a clipping level from data."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

_CANDIDATES = 60


def best_level(x: Float[Tensor, " n"], top: int) -> float:
    """Return the clipping level with the least squared error, out of 60 up to the largest value.

        argmin over a in max(x) {1/60, ..., 60/60} of sum (x - quantize(x; a))^2

    Args:
        x: activations, not negative.
        top: the highest code.
    """
    largest = float(x.max())
    levels = [largest * (i + 1) / _CANDIDATES for i in range(_CANDIDATES)]
    errors = [float(((x / (a / top)).round().clamp(max=top) * (a / top) - x).square().mean()) for a in levels]
    return levels[errors.index(min(errors))]
