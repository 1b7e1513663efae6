"""Images and maps as bytes of red, green and blue, and as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from PIL import Image
from torch import Tensor

from glassbit._errors import UsageError
from glassbit._files import replacing

Pixels = UInt8[np.ndarray, "h w 3"]


def to_rgb(image: Shaped[Tensor, "c h w"]) -> Pixels:
    """A picture of an image: three channels are colours, one is grey, of any other number the mean is shown in grey.

    Args:
        image: uint8, or float in [0, 1].
    """
    values = image.detach().cpu()
    if values.is_floating_point():
        values = values.float().nan_to_num(0.0).clamp(0.0, 1.0) * 255
    shown = values.float() if len(values) == 3 else values.float().mean(0, keepdim=True).expand(3, -1, -1)
    return shown.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def strengths(saliency: Float[Tensor, "h w"]) -> Float[np.ndarray, "h w"]:
    """A map between 0 and 1, for showing: its 99th percentile becomes 1, so that a single pixel does not hide the rest.

    Where fewer than one pixel in a hundred is above 0, the highest becomes 1. What is not finite is shown as 0.
    """
    values = saliency.detach().double().cpu().nan_to_num(0.0, posinf=0.0, neginf=0.0).clamp(min=0.0).numpy()
    top = float(np.percentile(values, 99)) or float(values.max())
    return np.clip(values / top, 0.0, 1.0) if top > 0 else np.zeros_like(values)


def colored(saliency: Float[Tensor, "h w"], *, colors: str = "inferno") -> Pixels:
    """A map in colours, from its lowest to its highest values.

    Args:
        saliency: values >= 0.
        colors: the name of a matplotlib colour map.

    Raises:
        UsageError: there is no such colour map.
    """
    return _painted(strengths(saliency), colors)


def overlay(
    image: Shaped[Tensor, "c h w"],
    saliency: Float[Tensor, "h w"],
    *,
    colors: str = "inferno",
    opacity: float = 0.85,
) -> Pixels:
    """A map laid over its image, in grey where the map is low.

        (1 - o m) grey(image) + o m colour(m)

    Args:
        image: uint8, or float in [0, 1].
        saliency: values >= 0, of the same height and width.
        colors: the name of a matplotlib colour map.
        opacity: o, in [0, 1].

    Raises:
        UsageError: the sizes differ, `opacity` is out of range, or there is no such colour map.
    """
    if image.shape[1:] != saliency.shape:
        raise UsageError(
            f"overlay: the map must be as large as the image, {tuple(image.shape[1:])}; got {tuple(saliency.shape)}"
        )
    if not 0.0 <= opacity <= 1.0:
        raise UsageError(f"overlay: opacity must be in [0, 1]; got {opacity}")
    strength = strengths(saliency)
    weight = opacity * strength[..., None]
    grey = to_rgb(image).mean(2, keepdims=True)
    mixed = (1 - weight) * grey + weight * _painted(strength, colors)
    result: Pixels = mixed.round().astype(np.uint8)
    return result


def enlarged(picture: Pixels, side: int) -> Image.Image:
    """A picture fitted into a square of `side` pixels: enlarged by a whole factor, pixels kept sharp, or reduced."""
    image = Image.fromarray(picture)
    factor = side // max(image.size)
    if factor >= 1:
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def write_png(path: Path, picture: Pixels | Image.Image) -> None:
    """Write a picture as PNG, atomically; its folder is made when missing."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    with replacing(path) as temporary:
        image.save(temporary, format="PNG")


def check_colors(colors: str) -> None:
    """Refuse what matplotlib does not know.

    Raises:
        UsageError: there is no such colour map.
    """
    from matplotlib import colormaps

    if colors not in colormaps:
        raise UsageError(
            f"colors must be a matplotlib colour map such as inferno, viridis, gray or jet; got {colors!r}"
        )


def _painted(strength: Float[np.ndarray, "h w"], colors: str) -> Pixels:
    from matplotlib import colormaps

    check_colors(colors)
    painted: Pixels = colormaps[colors](strength, bytes=True)[..., :3]
    return painted
