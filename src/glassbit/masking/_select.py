"""Choose pixels: an exact number of the lowest or highest scores, ties broken at random."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from glassbit._errors import UsageError
from glassbit._takes import WHOLE, check_kind, takes, whole
from glassbit._tensors import GENERATOR, floats, marks

_RANDOM_BITS = 31


@takes(scores=floats(2, "(n, p)"), count=WHOLE, generator=GENERATOR)
def lowest(
    scores: Float[Tensor, "n p"], count: int, *, generator: torch.Generator | None = None
) -> Bool[Tensor, "n p"]:
    """Mark the `count` lowest scores of each row; which of equal ones is drawn at random, never by position.

    Args:
        scores: finite numbers, a row per image.
        count: 0..p.
        generator: on the device of `scores`; the default generator when None.

    Raises:
        UsageError: an argument is of another type, or `count` is not 0..p.
    """
    pixels = scores.shape[1]
    check_kind("lowest", "count", whole(0, pixels, usual=pixels // 2), count)
    if count == 0:
        return torch.zeros_like(scores, dtype=torch.bool)
    keys = _keys(scores, generator)
    return keys <= keys.kthvalue(int(count), dim=1, keepdim=True).values


@takes(scores=floats(2, "(n, p)"))
def highest(
    scores: Float[Tensor, "n p"], count: int, *, generator: torch.Generator | None = None
) -> Bool[Tensor, "n p"]:
    """Mark the `count` highest scores of each row; see `lowest`."""
    return lowest(-scores, count, generator=generator)


@takes(scores=floats(2, "(n, p)"), generator=GENERATOR)
def ranks(scores: Float[Tensor, "n p"], *, generator: torch.Generator | None = None) -> Tensor:
    """Return the place of every score in its row, 0 for the lowest, ties in random order.

    Returns:
        int64, (n, p), each row a permutation of 0..p - 1.
    """
    return _keys(scores, generator).argsort(dim=1).argsort(dim=1)


@takes(scores=floats(2, "(n, p)"), mask=marks(2, "(n, p)"))
def tied(scores: Float[Tensor, "n p"], mask: Bool[Tensor, "n p"]) -> Float[Tensor, ""]:
    """Return the share of marked places that chance decided.

    These have the highest marked score, and not all scores equal to it were marked.

    Args:
        scores: finite numbers, a row per image.
        mask: as `lowest` marked them, equally many in every row.
    """
    if mask.shape != scores.shape:
        must = f"of the shape {tuple(scores.shape)}, as the scores"
        raise UsageError(f"tied: mask must be {must}; got {tuple(mask.shape)}; pass what `lowest` returned for them")
    edge = scores.masked_fill(~mask, -math.inf).amax(1, keepdim=True)
    equal = scores == edge
    places = (equal & mask).sum(1)
    chosen = torch.where(equal.sum(1) > places, places, 0)
    return chosen.float().mean() / mask.sum(1).float().mean().clamp(min=1)


def _keys(scores: Tensor, generator: torch.Generator | None) -> Tensor:
    """Integers in the order of `scores`, random below: the bits of a float32 order like integers once the negative ones
    are turned round.
    """
    bits = (scores.float() + 0.0).view(torch.int32).to(torch.int64)  # + 0.0 makes -0 and 0 equal
    ordered = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
    noise = torch.randint(2**_RANDOM_BITS, scores.shape, device=scores.device, generator=generator)
    return (ordered << _RANDOM_BITS) | noise
