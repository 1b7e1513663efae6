"""Small pictures inside the page: PNG data URIs of images and of saliency maps."""

from __future__ import annotations

import base64
import io

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

COLOUR_MAP = "magma"


def image_uri(image: UInt8[np.ndarray, "c h w"], *, side: int, enlarge: bool = True) -> str:
    """Return an image as a PNG data URI of about `side` pixels: nearest-neighbour enlarged, or box-averaged."""
    pixels = image[0] if image.shape[0] == 1 else np.moveaxis(image[:3], 0, -1) if image.shape[0] >= 3 else image[0]
    return _uri(_scaled(Image.fromarray(np.ascontiguousarray(pixels)), side, enlarge))


def map_uri(saliency: Float[np.ndarray, "h w"], *, side: int, enlarge: bool = True) -> str:
    """Return a saliency map as a PNG data URI: dark for 0, bright for the map's own 99th percentile and above.

    A map that is constant at 0 is dark throughout.
    """
    values = np.clip(saliency, 0, None)
    top = float(np.percentile(values, 99)) or float(values.max())
    levels = (
        np.zeros(values.shape, np.uint8) if top <= 0 else (np.clip(values / top, 0, 1) * 255).round().astype(np.uint8)
    )
    picture = _scaled(Image.fromarray(levels), side, enlarge)
    picture.putpalette((mpl.colormaps[COLOUR_MAP](np.arange(256))[:, :3] * 255).round().astype(np.uint8).tobytes())
    return _uri(picture)


def _scaled(picture: Image.Image, side: int, enlarge: bool) -> Image.Image:
    width, height = picture.size
    longest = max(width, height)
    if longest > side:
        size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
        return picture.resize(size, Image.Resampling.BOX)
    factor = max(1, side // longest) if enlarge else 1
    return picture.resize((width * factor, height * factor), Image.Resampling.NEAREST) if factor > 1 else picture


def _uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
