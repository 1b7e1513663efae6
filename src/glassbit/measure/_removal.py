"""What a network still knows when pixels are taken away in the order of its map: ROAD, deletion and insertion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
from torch import Tensor

from glassbit._errors import UsageError
from glassbit._inputs import check_images, check_labels
from glassbit._random import derive
from glassbit._takes import FUNCTION, WHOLE, number, several, takes
from glassbit._tensors import floats
from glassbit.masking import masked, ranks

from ._images import SUBJECT, check_bytes
from ._impute import noisy_linear
from ._subject import Subject

FRACTIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
ROAD_FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
FILLS = ("constant", "linear")
ORDERS = ("most", "random", "least")
NOISE = 0.01
"""Standard deviation of what linear imputation adds, of the range of a pixel."""

_IMAGES = 40
"""Images that are perturbed at a time: with two fills and three orders 240 go through the network together."""


@dataclass(frozen=True, eq=False)
class Removal:
    """What a network answered to every perturbed image.

    Args:
        fractions: shares of removed pixels, from 0 to 1.
        right: whether the target class had the highest logit, by fill, order and fraction.
        probability: softmax of the target class.
    """

    fractions: tuple[float, ...]
    right: Bool[np.ndarray, "fill order fraction n"]
    probability: Float32[np.ndarray, "fill order fraction n"]

    def road(self) -> dict[str, Float64[np.ndarray, " n"]]:
        """Accuracy after linear imputation, averaged over `ROAD_FRACTIONS`.

            road_morf    most relevant pixels first: lower is better
            road_lerf    least relevant first: higher is better
            road_gap     road_lerf - road_morf, in [-1, 1]: higher is better, 0 for a map that says nothing

        Raises:
            UsageError: one of `ROAD_FRACTIONS` was not measured.

        Rong et al. 2022 (arXiv 2202.00449).
        """
        missing = [fraction for fraction in ROAD_FRACTIONS if fraction not in self.fractions]
        if missing:
            raise UsageError(
                f"road: fractions must include {_listed(ROAD_FRACTIONS)}; got none of {_listed(missing)}; leave "
                "`fractions` at its default"
            )
        steps = [self.fractions.index(fraction) for fraction in ROAD_FRACTIONS]
        accuracy = self.right[FILLS.index("linear")][:, steps].mean(1)
        most, least = accuracy[ORDERS.index("most")], accuracy[ORDERS.index("least")]
        return {"road_gap": least - most, "road_morf": most, "road_lerf": least}

    def gaps(self) -> dict[str, Float64[np.ndarray, " n"]]:
        """Areas between the network's own random-order curve and the curves of its map, for each fill.

            deletion_FILL     integral over s in [0, 1] of p_random(s) - p_most(s)
            insertion_FILL    integral over s in [0, 1] of p_least(s) - p_random(s)

        where p(s) is the probability of the target class with the share s of the pixels removed; by the trapezoid rule.
        Higher is better, 0 for a map that says nothing. The insertion curve is the least-first curve read from its end,
        as the most relevant pixels are the last to go; so its area is the same.

        Petsiuk et al. 2018 (arXiv 1806.07421), section 3.2; less the random order, without which areas do not compare
        across networks.
        """
        areas = np.asarray(np.trapezoid(self.probability.astype(np.float64), self.fractions, axis=2))
        most, random, least = (areas[:, ORDERS.index(order)] for order in ("most", "random", "least"))
        return {
            **{f"deletion_{fill}": (random - most)[i] for i, fill in enumerate(FILLS)},
            **{f"insertion_{fill}": (least - random)[i] for i, fill in enumerate(FILLS)},
        }

    def curves(self) -> dict[str, tuple[float, ...]]:
        """Means over the images, one a fraction: `accuracy FILL ORDER` and `probability FILL ORDER`."""
        means = {"accuracy": self.right.mean(3), "probability": self.probability.mean(3, dtype=np.float64)}
        return {
            f"{what} {fill} {order}": tuple(values[i, j].tolist())
            for what, values in means.items()
            for i, fill in enumerate(FILLS)
            for j, order in enumerate(ORDERS)
        }


@takes(
    subject=SUBJECT,
    maps=floats(3, "(n, h, w)"),
    seed=WHOLE,
    fractions=several(number(0, 1, usual=0.5), least=2),
    progress=FUNCTION,
)
def remove(
    subject: Subject,
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    maps: Float[Tensor, "n h w"],
    *,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    progress: Callable[[int], None] = lambda _: None,
) -> Removal:
    """Remove pixels in three orders, replace them in two ways, and ask the network about every result.

        most      the highest values of the map first (ROAD's MoRF, deletion)
        random    an order drawn for each image, the same for every network at the same seed
        least     the lowest first (ROAD's LeRF; insertion, read from its end)

        constant  the top-left pixel, the image's background
        linear    noisy linear imputation, with the same noise in every order and fraction of an image

    One set of perturbed images serves ROAD, deletion and insertion. Whole pixels go, all channels together; equal
    values of the map go in random order; nothing is retrained. Neither the other images nor the batch matter.

    Args:
        subject: the network.
        images: pixels 0..255; what replaces them has 8 bits too.
        labels: the targets: the true classes, whatever is predicted.
        maps: of these images and targets.
        seed: of the random order, the ties and the noise.
        fractions: shares of removed pixels, rising from 0 to 1.
        progress: is told how many images are done, after each piece of them.

    Raises:
        UsageError: there are no images, or an argument is not what it must be.

    Rong et al. 2022 (arXiv 2202.00449); Petsiuk et al. 2018 (arXiv 1806.07421), section 3.2.
    """
    labels = _check(subject, images, labels, maps, fractions)
    ties = torch.Generator().manual_seed(derive("removal ties", seed))
    draws = torch.Generator().manual_seed(derive("removal order", seed))
    noise = np.random.default_rng(derive("removal noise", seed))
    pixels = maps[0].numel()
    shape = (len(FILLS), len(ORDERS), len(fractions), len(images))
    right, probability = np.zeros(shape, np.bool_), np.zeros(shape, np.float32)
    for start in range(0, len(images), _IMAGES):
        where = slice(start, start + _IMAGES)
        x, y = images[where].cpu(), labels[where].cpu()
        places = _places(maps[where].cpu().flatten(1), ties, draws)
        added = NOISE * noise.standard_normal(x.shape)
        for step, fraction in enumerate(fractions):
            count = round(fraction * pixels)
            orders = places if 0 < count < pixels else places[:1]
            filled = _filled(x, orders < count, added)
            answers, chance = _answers(subject, filled, y)
            right[:, :, step, where] = answers
            probability[:, :, step, where] = chance
        progress(len(x))
    return Removal(tuple(fractions), right, probability)


def _places(scores: Float[Tensor, "n p"], ties: torch.Generator, draws: torch.Generator) -> Int64[Tensor, "order n p"]:
    """When each pixel goes, by order: 0 for the first one."""
    lowest_first = ranks(scores, generator=ties)
    random = ranks(torch.zeros_like(scores), generator=draws)
    return torch.stack([scores.shape[1] - 1 - lowest_first, random, lowest_first])


def _filled(
    images: UInt8[Tensor, "n c h w"], removed: Bool[Tensor, "order n p"], noise: Float64[np.ndarray, "n c h w"]
) -> UInt8[Tensor, "fill order n c h w"]:
    """Return the images in every order, with both fills."""
    times = len(removed)
    holes, repeated = removed.flatten(0, 1), images.repeat(times, 1, 1, 1)
    constant = masked(repeated.float(), holes, "constant").to(torch.uint8)
    grid = holes.view(len(holes), *images.shape[2:]).numpy()
    linear = noisy_linear(repeated.numpy(), grid, noise=np.tile(noise, (times, 1, 1, 1)))
    return torch.stack([constant, torch.from_numpy(linear)]).view(len(FILLS), times, *images.shape)


def _answers(
    subject: Subject, images: UInt8[Tensor, "fill order n c h w"], labels: Int64[Tensor, " n"]
) -> tuple[Bool[np.ndarray, "fill order n"], Float32[np.ndarray, "fill order n"]]:
    """Whether the label has the highest logit, and its probability."""
    logits = subject.logits(images.flatten(0, 2)).unflatten(0, images.shape[:3])
    chosen = labels.expand(images.shape[:3])[..., None]
    return (logits.argmax(3) == labels).numpy(), logits.softmax(3).gather(3, chosen)[..., 0].numpy()


def _check(subject: Subject, images: Tensor, labels: Tensor, maps: Tensor, fractions: Sequence[float]) -> Tensor:
    check_bytes("remove", images)
    check_images("remove", images, shape=subject.image_shape)
    labels = check_labels("remove", labels, len(images), subject.classes, meta=False)
    wanted = (len(images), *images.shape[2:])
    if maps.shape != wanted:
        raise UsageError(f"remove: maps must be {wanted}, one per image; got {tuple(maps.shape)}")
    rising = all(before < after for before, after in pairwise(fractions))
    if len(fractions) < 2 or not rising or (fractions[0], fractions[-1]) != (0.0, 1.0):
        raise UsageError(f"remove: fractions must rise from 0 to 1; got {tuple(fractions)}")
    return labels


def _listed(fractions: Sequence[float]) -> str:
    return ", ".join(map(str, fractions))
