"""How far a map moves when its image hardly does."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped, UInt8
from torch import Tensor

from glassbit._errors import UsageError
from glassbit._random import derive
from glassbit._takes import FUNCTION, WHOLE, number, takes, whole

from ._images import MOST_SAMPLES, SUBJECT, check_asked
from ._subject import Subject

_AT_ONCE = 250
"""Drawn images that are held at a time."""


@takes(
    subject=SUBJECT,
    radius=number(0, 1, usual=0.02),
    samples=whole(1, MOST_SAMPLES, usual=10),
    seed=WHOLE,
    progress=FUNCTION,
)
def max_sensitivity(
    subject: Subject,
    images: Shaped[Tensor, "n c h w"],
    targets: Int64[Tensor, " n"],
    *,
    radius: float,
    samples: int = 10,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Float64[np.ndarray, " n"]:
    """Max-sensitivity: the largest relative change of the map among random images in a small box around the image.

        s = max over j of ||a(x_j) - a(x)|| / ||a(x)||,    x_j = round(255 clip(x + u_j, 0, 1)) / 255

    with u_j uniform in [-radius, radius] at every pixel and channel. The norm is the Frobenius norm of the whole map,
    so s depends neither on the scale of the map nor on the size of the image; the division is Captum's, the paper's
    definition has none. Lower is more robust. As a largest value among draws it grows with `samples` towards the
    maximum over the box, which it does not reach.

    The draws of an image depend on the seed and on its place in `images` alone: all networks see the same ones.

    Args:
        subject: the network; it needs maps, not gradients.
        images: uint8.
        targets: the classes to explain.
        radius: half the side of the box in units of [0, 1], from one step of an 8-bit pixel, 1/255, to 1. Where it is
            no whole number of steps, rounding may add up to half a step. Below the first step of a quantized network it
            tests rounding.
        samples: draws per image, at most 10,000.
        seed: of the draws.
        progress: called with the number of images that are done.

    Returns:
        One number per image. Where a(x) is 0 everywhere: 0 if every a(x_j) is too, else NaN, as nothing is a share of
        nothing; statistics leave it out.

    Raises:
        UsageError: images that are not uint8, or an option out of range; see also `Subject.saliency`.

    Yeh et al. 2019 (arXiv 1901.09392), section 3, SENS_MAX; through Captum.
    """
    if radius < 1 / 255:
        repair = "pass at least one step of a pixel, 1/255"
        raise UsageError(f"max_sensitivity: radius must be 1/255 to 1; got {radius}; {repair}")
    targets = check_asked("max_sensitivity", subject, images, targets)
    parts = [np.zeros(0)]
    together = max(1, _AT_ONCE // samples)
    for start in range(0, len(images), together):
        some, classes = images[start : start + together], targets[start : start + together]
        parts.append(_measured(subject, some, classes, _draws(some, radius, samples, seed, start)))
        progress(len(some))
    return np.concatenate(parts)


def _measured(
    subject: Subject,
    images: UInt8[Tensor, "m c h w"],
    targets: Int64[Tensor, " m"],
    drawn: UInt8[Tensor, "ms c h w"],
) -> Float64[np.ndarray, " m"]:
    """Return the metric of images for which the images around them have been drawn."""
    from captum.metrics import sensitivity_max

    samples = len(drawn) // len(images)
    own = subject.saliency(images, targets).double()

    def explain(x: Tensor | tuple[Tensor]) -> Tensor | tuple[Tensor]:
        if isinstance(x, tuple):  # Captum asks for the images themselves in this way, and wants a tuple back
            return (own,)
        return subject.saliency(x, targets.repeat_interleave(samples)).double()

    values = sensitivity_max(explain, images, lambda _: drawn, n_perturb_samples=samples)
    empty = (own == 0).all(2).all(1)  # Captum divides by 1 there
    return np.asarray(torch.where(empty & (values > 0), torch.nan, values).numpy())


def _draws(
    images: UInt8[Tensor, "m c h w"], radius: float, samples: int, seed: int, start: int
) -> UInt8[Tensor, "ms c h w"]:
    """Return `samples` images in the box around each image, one image after the other."""
    drawn = []
    for place, image in enumerate(images, start):
        generator = torch.Generator().manual_seed(derive("max-sensitivity", seed, place))
        moves = torch.rand((samples, *image.shape), generator=generator) * 2 - 1
        drawn.append((image + 255 * radius * moves).clamp(0, 255).round().to(torch.uint8))
    return torch.cat(drawn)
