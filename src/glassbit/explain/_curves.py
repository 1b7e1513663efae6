"""Accuracy against the share of removed pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._random import derive
from glassbit.masking import Fill, masked, ranks
from glassbit.models import to_unit

from ._modes import evaluating
from ._saliency import saliency

FRACTIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
ORDERS = ("salient", "random", "least")


@dataclass(frozen=True)
class Curves:
    """Accuracy under masking.

    Args:
        fractions: shares of removed pixels.
        accuracy: by fill, then by order: `salient` (highest |saliency| first), `random`, `least` (lowest first);
            shares of right answers, one a fraction.
    """

    fractions: tuple[float, ...]
    accuracy: dict[str, dict[str, tuple[float, ...]]]


def masking_curves(
    model: nn.Module,
    images: Tensor,
    labels: Int64[Tensor, " n"],
    *,
    fractions: Sequence[float] = FRACTIONS,
    fills: Sequence[Fill] = ("constant", "mean"),
    seed: int = 0,
    batch: int = 250,
) -> Curves:
    """Remove pixels in three orders and count what the network still gets right.

    Saliency is computed once, on the clean image, for the true label; nothing is retrained (this is deletion, not
    ROAR); whole pixels go, all channels together; equal saliencies go in random order. The same seed gives the same
    curves.

    Args:
        model: takes float images in [0, 1] and returns logits.
        images: uint8 or float in [0, 1], (n, c, h, w).
        labels: the true labels.
        fractions: shares of the pixels to remove, each in [0, 1].
        fills: what replaces them; a fill that training used too flatters the model.
        seed: of the random order and the ties.
        batch: images a step.

    Raises:
        UsageError: a fraction is out of range, or there are no images.

    After 2412.03915, figure 3; the random-order curve of the same model is what a curve has to be compared with.
    """
    if not len(images):
        raise UsageError("masking_curves: needs at least one image; got none")
    if not all(0 <= fraction <= 1 for fraction in fractions):
        raise UsageError(f"masking_curves: every fraction must be in [0, 1]; got {tuple(fractions)}")
    right = torch.zeros(len(fills), len(ORDERS), len(fractions), dtype=torch.int64)
    generator = torch.Generator(images.device).manual_seed(derive("masking curves", seed))
    for start in range(0, len(images), batch):
        x = to_unit(images[start : start + batch])
        y = labels[start : start + batch]
        scores = saliency(model, x, y).flatten(1)
        lowest_first = ranks(scores, generator=generator)
        places = {
            "salient": scores.shape[1] - 1 - lowest_first,
            "random": ranks(torch.zeros_like(scores), generator=generator),
            "least": lowest_first,
        }
        right += _right(model, x, y, [places[order] for order in ORDERS], fractions, fills)
    shares = (right.double() / len(images)).tolist()
    accuracy: dict[str, dict[str, tuple[float, ...]]] = {
        fill: {order: tuple(shares[i][j]) for j, order in enumerate(ORDERS)} for i, fill in enumerate(fills)
    }
    return Curves(tuple(fractions), accuracy)


@torch.no_grad()
def _right(
    model: nn.Module,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    places: Sequence[Int64[Tensor, "n p"]],
    fractions: Sequence[float],
    fills: Sequence[Fill],
) -> Int64[Tensor, "f o s"]:
    """Right answers by fill, order and fraction, of one batch."""
    counts = torch.zeros(len(fills), len(places), len(fractions), dtype=torch.int64)
    with evaluating(model):
        clean = int((model(x).argmax(1) == y).sum())
        for i, fill in enumerate(fills):
            for j, place in enumerate(places):
                for k, fraction in enumerate(fractions):
                    count = round(fraction * place.shape[1])
                    if count:
                        counts[i, j, k] = int((model(masked(x, place < count, fill)).argmax(1) == y).sum())
                    else:
                        counts[i, j, k] = clean
    return counts
