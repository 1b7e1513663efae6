"""What stands in the place of a masked pixel."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from glassbit._errors import UsageError
from glassbit._takes import takes, word
from glassbit._tensors import GENERATOR, floats, marks

Fill = Literal["uniform", "mean", "constant"]


@takes(images=floats(4, "(n, c, h, w)"), kind=word(*get_args(Fill)), generator=GENERATOR)
def fill(
    images: Float[Tensor, "n c h w"], kind: Fill, *, generator: torch.Generator | None = None
) -> Float[Tensor, "n c #h #w"]:
    """Return replacement values for every pixel of every image.

        uniform    U(min, max) of the image and channel
        mean       the mean of the image and channel
        constant   the top-left pixel, the image's background

    Args:
        images: any range.
        kind: one of the three.
        generator: for `uniform`, on the device of the images; the default generator when None.

    Returns:
        (n, c, h, w) for `uniform`, (n, c, 1, 1) for the others.

    Raises:
        UsageError: an argument is of another type, or there is no such fill.

    The released code of Ismail et al. 2021 (arXiv 2111.14338) has the same three.
    """
    if kind == "uniform":
        low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
        return low + (high - low) * torch.rand(
            images.shape, device=images.device, dtype=images.dtype, generator=generator
        )
    if kind == "mean":
        return images.mean((2, 3), keepdim=True)
    return images[:, :, :1, :1]


@takes(images=floats(4, "(n, c, h, w)"), mask=marks(2, "(n, p)"))
def masked(
    images: Float[Tensor, "n c h w"], mask: Bool[Tensor, "n p"], kind: Fill, *, generator: torch.Generator | None = None
) -> Float[Tensor, "n c h w"]:
    """`images` with the marked pixels replaced, all channels of a pixel together.

    Args:
        images: any range.
        mask: p = h w, True where the pixel goes.
        kind: the fill.
        generator: see `fill`.

    Raises:
        UsageError: an argument is of another type or shape, or there is no such fill.
    """
    n, _, h, w = images.shape
    if tuple(mask.shape) != (n, h * w):
        must = f"{n, h * w}, a row for each image and a mark for each pixel"
        raise UsageError(f"masked: mask must be {must}; got {tuple(mask.shape)}; use mask.flatten(1)")
    replaced = torch.where(mask.view(n, 1, h, w), fill(images, kind, generator=generator), images)
    return torch.empty_like(images).copy_(replaced)  # which lies in memory as the images do
