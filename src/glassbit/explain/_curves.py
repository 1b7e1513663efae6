"""Accuracy against the share of removed pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._inputs import check_labels
from glassbit._random import derive
from glassbit._takes import WHOLE, number, several, takes, word
from glassbit.masking import masked, ranks

from ._batches import Images, batches, taken, undisturbed
from ._gradient import input_gradient

FRACTIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
FILLS = ("constant", "mean")
ORDERS = ("salient", "random", "least")


@dataclass(frozen=True)
class Curves:
    """Accuracy under masking.

    Args:
        fractions: shares of removed pixels.
        accuracy: by fill, then by order: `salient` (highest saliency first), `random`, `least` (lowest first); shares
            of right answers, one a fraction.
        n: the number of images.
    """

    fractions: tuple[float, ...]
    accuracy: Mapping[str, Mapping[str, tuple[float, ...]]]
    n: int


@takes(
    fractions=several(number(0, 1, usual=0.5), least=1),
    fills=several(word(*FILLS), least=1),
    seed=WHOLE,
)
def masking_curves(
    model: nn.Module,
    images: Images,
    labels: Int64[Tensor, " n"],
    *,
    fractions: Sequence[float] = FRACTIONS,
    fills: Sequence[Literal["constant", "mean"]] = ("constant", "mean"),
    seed: int = 0,
    batch: int = 250,
) -> Curves:
    """Remove pixels in three orders and count what the network still gets right.

    Saliency is the size of the gradient of the true label's logit, computed once, on the clean image; nothing is
    retrained (this is deletion, not ROAR). Whole pixels go, all channels together; equal saliencies go in random order.
    The curves depend on the seed, not on `batch`.

    Args:
        model: takes float images in [0, 1] and returns logits.
        images: uint8, or float in [0, 1].
        labels: the true classes.
        fractions: shares of the pixels to remove, in [0, 1].
        fills: what replaces them: `constant`, the top-left pixel, which is the background; or `mean`, of the image and
            channel. A fill that training used too flatters the network.
        seed: of the random order and of the ties.
        batch: images per step.

    Raises:
        UsageError: there are no images, or an argument is not what it must be.

    After 2412.03915, figure 3, and the released code of 2111.14338. Compare a curve with the same network's
    random-order curve, never with another network's.
    """
    images = taken(images, "masking_curves")
    _check(len(images), labels, fills)
    ties = torch.Generator().manual_seed(derive("masking ties", seed))
    draws = torch.Generator().manual_seed(derive("masking order", seed))
    right = torch.zeros(len(fills), len(ORDERS), len(fractions), dtype=torch.int64)
    with undisturbed(model):
        for x, y in batches(model, images, labels, batch=batch):
            scores = input_gradient(model, x, y).abs().sum(1).flatten(1).float().cpu()
            lowest_first = ranks(scores, generator=ties)
            order = ranks(torch.zeros_like(scores), generator=draws)
            places = torch.stack([scores.shape[1] - 1 - lowest_first, order, lowest_first]).to(x.device)
            right += _right(model, x, y, places, fractions, fills)
    shares = (right.double() / len(images)).tolist()
    accuracy: dict[str, dict[str, tuple[float, ...]]] = {
        fill: {order: tuple(shares[i][j]) for j, order in enumerate(ORDERS)} for i, fill in enumerate(fills)
    }
    return Curves(tuple(fractions), accuracy, len(images))


@torch.no_grad()
def _right(
    model: nn.Module,
    x: Float[Tensor, "n c h w"],
    y: Int64[Tensor, " n"],
    places: Int64[Tensor, "o n p"],
    fractions: Sequence[float],
    fills: Sequence[Literal["constant", "mean"]],
) -> Int64[Tensor, "f o s"]:
    """Right answers by fill, order and fraction."""
    counts = [round(fraction * places.shape[2]) for fraction in fractions]
    clean = (model(x).argmax(1) == y).sum()
    right = [
        (model(masked(x, place < count, fill)).argmax(1) == y).sum() if count else clean
        for fill in fills
        for place in places
        for count in counts
    ]
    return torch.stack(right).view(len(fills), len(places), len(fractions)).cpu()


def _check(n: int, labels: Tensor, fills: Sequence[str]) -> None:
    if not n:
        raise UsageError("masking_curves: images must be one or more; got none")
    check_labels("masking_curves", labels, n, meta=False)
    if len(set(fills)) != len(fills):
        raise UsageError(f"masking_curves: fills must be some of {', '.join(FILLS)}, each once; got {tuple(fills)}")
