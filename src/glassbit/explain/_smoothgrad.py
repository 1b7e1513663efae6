"""The gradient, averaged over noisy copies."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glassbit._arguments import is_real, is_whole, require, shown
from glassbit._errors import UsageError
from glassbit._random import derive

from ._batches import Images, Target, batches, joined, taken, undisturbed
from ._gradient import input_gradient

_MOST_SAMPLES = 10_000
_MOST_NOISE = 100


def smoothgrad(
    model: nn.Module,
    images: Images,
    target: Target = None,
    *,
    samples: int = 50,
    noise: float = 0.15,
    seed: int = 0,
    batch: int = 250,
) -> Float[Tensor, "n h w"]:
    """Return the gradient of one logit, averaged over copies of the image with Gaussian noise.

        a = sum over channels of |mean over e of d f_target / d x at x + s e|,  e ~ N(0, 1),  s = noise (max x - min x)

    Every image gets the same draws of e, so its map depends neither on its neighbours nor on `batch`.

    Args:
        model, images, target, batch: see `saliency`.
        samples: noisy copies of each image, 1 to 10,000.
        noise: standard deviation as a share of the image's range, 0 to 100; below the first quantization step of a
            quantized network it smooths rounding only.
        seed: of the noise.

    Raises:
        UsageError: see `saliency`; or an option is out of range.

    Smilkov et al. 2017 (arXiv 1706.03825), section 2.1; the defaults are from its figures 3 and 4.
    """
    images = taken(images)
    if not is_whole(samples, 1, _MOST_SAMPLES) or not is_real(noise, 0, _MOST_NOISE):
        got = f"{shown(samples)} and {shown(noise)}"
        raise UsageError(
            f"smoothgrad: samples must be 1..{_MOST_SAMPLES} and noise a number in [0, {_MOST_NOISE}]; got {got}; "
            "the defaults are 50 and 0.15"
        )
    require("smoothgrad", "seed", is_whole(seed), "a whole number", seed, "the default is 0")
    samples, noise = int(samples), float(noise)
    generator = torch.Generator().manual_seed(derive("smoothgrad", seed))
    maps = []
    with undisturbed(model):
        draws = torch.randn((samples, *images.shape[1:]), generator=generator)
        for x, labels in batches(model, images, target, batch=batch):
            scale = noise * (x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True))
            total = torch.zeros_like(x)
            for draw in draws.to(x):
                total += input_gradient(model, x + scale * draw, labels)
            maps.append((total / samples).abs().sum(1))
    return joined(maps, images)
