"""Images and maps as bytes of red, green and blue, and as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image

from glassbit._arrays import array
from glassbit._errors import UsageError
from glassbit._files import replacing
from glassbit._takes import PATH, TEXT, Kind, number, takes

from ._inferno import inferno

IMAGE = array(3, "(c, h, w)", "iuf")
MAP = array(2, "(h, w)", "iuf")
PICTURE = Kind(
    "uint8 (h, w, 3) in a NumPy array, or a PIL image",
    lambda value: isinstance(value, Image.Image) or _is_picture(value),
    "make one, to_rgb(image)",
)
Pixels = UInt8[np.ndarray, "h w 3"]


@takes(image=IMAGE)
def to_rgb(image: Shaped[np.ndarray, "c h w"]) -> Pixels:
    """Return a picture of an image: RGB for three channels, grey for one, the mean in grey for any other number.

    Args:
        image: uint8, or float in [0, 1].
    """
    values = image.astype(np.float32)
    if np.issubdtype(image.dtype, np.floating):
        values = np.clip(np.nan_to_num(values, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0) * np.float32(255)
    shown = values if len(values) == 3 else np.repeat(values.mean(0, keepdims=True), 3, 0)
    return np.ascontiguousarray(shown.round().astype(np.uint8).transpose(1, 2, 0))


def strengths(saliency: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Return a map scaled to 0..1. Its 99th percentile becomes 1, so that a single pixel does not hide the rest.

    Where fewer than one pixel in a hundred is above 0, the highest becomes 1. What is not finite is shown as 0.
    """
    values = np.nan_to_num(saliency.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(min=0.0)
    top = float(np.percentile(values, 99)) or float(values.max())
    return np.clip(values / top, 0.0, 1.0) if top > 0 else np.zeros_like(values)


@takes(saliency=MAP, colors=TEXT)
def colored(saliency: Float[np.ndarray, "h w"], *, colors: str = "inferno") -> Pixels:
    """Return a map in colours, from its lowest to its highest values.

    Args:
        saliency: values >= 0.
        colors: the name of a matplotlib colour map.

    Raises:
        UsageError: there is no such colour map.
    """
    return _painted(strengths(saliency), colors)


@takes(image=IMAGE, saliency=MAP, colors=TEXT, opacity=number(0, 1, usual=0.85))
def overlay(
    image: Shaped[np.ndarray, "c h w"],
    saliency: Float[np.ndarray, "h w"],
    *,
    colors: str = "inferno",
    opacity: float = 0.85,
) -> Pixels:
    """Return a map laid over its image, in grey where the map is low.

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
    strength = strengths(saliency)
    weight = opacity * strength[..., None]
    grey = to_rgb(image).mean(2, keepdims=True)
    mixed = (1 - weight) * grey + weight * _painted(strength, colors)
    result: Pixels = mixed.round().astype(np.uint8)
    return result


def enlarged(picture: Pixels, side: int) -> Image.Image:
    """Return a picture fitted into `side` x `side` pixels: enlarged by a whole factor with sharp pixels, or reduced."""
    image = Image.fromarray(picture)
    factor = side // max(image.size)
    if factor >= 1:
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


@takes(path=PATH, picture=PICTURE)
def write_png(path: Path | str, picture: Pixels | Image.Image) -> None:
    """Write a picture as PNG, atomically; its folder is made when missing."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    with replacing(Path(path)) as temporary:
        image.save(temporary, format="PNG")


@takes(colors=TEXT)
def check_colors(colors: str) -> None:
    """Refuse what matplotlib does not know; inferno is known without it.

    Raises:
        UsageError: there is no such colour map.
    """
    if colors == "inferno":
        return
    from matplotlib import colormaps

    if colors not in colormaps:
        raise UsageError(
            f"colors must be a matplotlib colour map such as inferno, viridis, gray or jet; got {colors!r}"
        )


def _is_picture(value: object) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim == 3 and value.shape[2:] == (3,)


def _painted(strength: Float[np.ndarray, "h w"], colors: str) -> Pixels:
    check_colors(colors)
    if colors == "inferno":
        painted: Pixels = inferno()[np.minimum(strength * 256, 255).astype(np.uint8)]
    else:
        from matplotlib import colormaps

        painted = colormaps[colors](strength, bytes=True)[..., :3]
    return painted
