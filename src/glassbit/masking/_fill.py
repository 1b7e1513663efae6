"""What stands in the place of a masked pixel."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from glassbit._errors import UsageError

Fill = Literal["uniform", "mean", "constant"]


def fill(
    images: Float[Tensor, "n c h w"], kind: Fill, *, generator: torch.Generator | None = None
) -> Float[Tensor, "n c #h #w"]:
    """Replacement values for every pixel of every image.

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
        UsageError: there is no such fill.

    The released code of Ismail et al. 2021 (arXiv 2111.14338) has the same three.
    """
    if kind == "uniform":
        low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
        return low + (high - low) * torch.rand(
            images.shape, device=images.device, dtype=images.dtype, generator=generator
        )
    if kind == "mean":
        return images.mean((2, 3), keepdim=True)
    if kind == "constant":
        return images[:, :, :1, :1]
    raise UsageError(f"fill must be one of {', '.join(get_args(Fill))}; got {kind!r}")


def masked(
    images: Float[Tensor, "n c h w"], mask: Bool[Tensor, "n p"], kind: Fill, *, generator: torch.Generator | None = None
) -> Float[Tensor, "n c h w"]:
    """`images` with the marked pixels replaced, all channels of a pixel together.

    Args:
        images: any range.
        mask: p = h w, True where the pixel goes.
        kind: the fill.
        generator: see `fill`.
    """
    n, _, h, w = images.shape
    replaced = torch.where(mask.view(n, 1, h, w), fill(images, kind, generator=generator), images)
    return torch.empty_like(images).copy_(replaced)  # which lies in memory as the images do
