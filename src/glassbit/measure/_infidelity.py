"""How well the gradient foretells what noise does to the logit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64, Int64, Shaped, UInt8
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._modes import evaluating
from glassbit._random import derive
from glassbit._takes import FUNCTION, WHOLE, number, takes, whole
from glassbit.models import to_unit

from ._images import MOST_SAMPLES, SUBJECT, check_asked
from ._subject import Subject

_LEAST = 0.05
_AT_ONCE = 250
"""Drawn images that are held at a time."""


@takes(
    subject=SUBJECT,
    sd=number(_LEAST, 1, usual=_LEAST),
    samples=whole(2, MOST_SAMPLES, usual=20),
    seed=WHOLE,
    progress=FUNCTION,
)
def infidelity(
    subject: Subject,
    images: Shaped[Tensor, "n c h w"],
    targets: Int64[Tensor, " n"],
    *,
    sd: float = _LEAST,
    samples: int = 20,
    seed: int = 0,
    progress: Callable[[int], None] = lambda _: None,
) -> Float64[np.ndarray, " n"]:
    """Normalised infidelity of the signed gradient: the share of the logit's changes that it does not foretell.

        v = sum over j of (beta I_j . g - D_j)^2 / sum over j of D_j^2,    D_j = f(x) - f(x - I_j)
        beta = sum over j of (I_j . g) D_j / sum over j of (I_j . g)^2,    g = d f_target / d x

    x - I_j is the image with Gaussian noise, clipped to [0, 1] and rounded to 8 bits, and I_j what really changed. beta
    is the best scale for the gradient, so only its direction counts. Lower is more faithful.

    Captum's value with `normalize=True` is the mean square of what is not foretold, in squared logits: twice the logits
    are four times the value. Here it is divided by the mean square of D, so that networks whose logits differ in size
    compare. The draws of an image depend on the seed and on its place in `images` alone.

    Args:
        subject: the network; of a quantized one the gradient is the straight-through one.
        images: uint8.
        targets: the classes to explain, integers of any type.
        sd: standard deviation of the noise in units of [0, 1], 0.05 to 1: less would test the rounding of quantized
            networks.
        samples: draws per image, 2 to 10,000, as beta is fitted to them.
        seed: of the draws.
        progress: called with the number of images that are done.

    Returns:
        0 ... 1, one per image: 0 for a linear network, 1 where the gradient foretells nothing; NaN where the logit did
        not move, as there was nothing to foretell.

    Raises:
        UsageError: an artifact, which has no signed gradient; images that are not uint8; targets that
            are no classes; an option out of range.

    Yeh et al. 2019 (arXiv 1901.09392), section 2, INFD; the scale beta is from the authors' code; through Captum.
    """
    if subject.model is None:
        raise UsageError(
            f"infidelity: {subject.name} must be a network with a signed gradient; got a file, whose maps have no "
            "signs; measure the network that it was made from"
        )
    targets = check_asked("infidelity", subject, images, targets)
    parts = [np.zeros(0)]
    together = max(1, _AT_ONCE // samples)
    for start in range(0, len(images), together):
        some, classes = images[start : start + together], targets[start : start + together]
        slope = _gradient(subject.model, some, classes)
        parts.append(_measured(subject, some, classes, slope, _draws(some, sd, samples, seed, start)))
        progress(len(some))
    return np.concatenate(parts)


def _measured(
    subject: Subject,
    images: UInt8[Tensor, "m c h w"],
    targets: Int64[Tensor, " m"],
    slope: Float64[Tensor, "m c h w"],
    drawn: UInt8[Tensor, "ms c h w"],
) -> Float64[np.ndarray, " m"]:
    """Return the metric of images whose noisy copies have been drawn."""
    from captum.metrics import infidelity as by_captum

    samples = len(drawn) // len(images)
    changes = (images.repeat_interleave(samples, 0).double() - drawn) / 255

    by_count: dict[int, Float64[Tensor, " _"]] = {}

    def logit(x: UInt8[Tensor, "_ c h w"]) -> Float64[Tensor, " _"]:
        times = len(x) // len(targets)  # called once for the images, once for all their copies
        each = targets.repeat_interleave(times)
        by_count[times] = subject.logits(x).gather(1, each[:, None])[:, 0].double()
        return by_count[times]

    values = by_captum(logit, lambda _: (changes, drawn), images, slope, n_perturb_samples=samples, normalize=True)
    moved = (by_count[1][:, None] - by_count[samples].view(len(images), samples)).square().mean(1)
    return np.asarray(torch.where(moved > 0, values / moved, torch.nan).numpy())


def _gradient(
    model: nn.Module, images: UInt8[Tensor, "m c h w"], targets: Int64[Tensor, " m"]
) -> Float64[Tensor, "m c h w"]:
    """Return the signed gradient of each image's target logit, on the CPU."""
    floats = (parameter for parameter in model.parameters() if parameter.is_floating_point())
    like = next(floats, torch.zeros(0))
    with evaluating(model), torch.inference_mode(False), torch.enable_grad():
        x = to_unit(images.to(like.device)).to(like.dtype).requires_grad_()
        logits = model(x).gather(1, targets.to(like.device)[:, None])
        (gradient,) = torch.autograd.grad(logits.sum(), x)
    return gradient.double().cpu()


def _draws(
    images: UInt8[Tensor, "m c h w"], sd: float, samples: int, seed: int, start: int
) -> UInt8[Tensor, "ms c h w"]:
    """Return `samples` noisy copies of each image, one image after the other."""
    drawn = []
    for place, image in enumerate(images, start):
        generator = torch.Generator().manual_seed(derive("infidelity", seed, place))
        noise = torch.randn((samples, *image.shape), generator=generator)
        drawn.append((image + 255 * sd * noise).clamp(0, 255).round().to(torch.uint8))
    return torch.cat(drawn)
