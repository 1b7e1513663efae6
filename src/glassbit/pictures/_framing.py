"""Bring images to one size and one number of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from glassbit._arguments import is_whole, is_word
from glassbit._errors import UsageError
from glassbit._resize import Resize

Color = Literal["auto", "grey", "rgb"]
SMALLEST, LARGEST = 4, 2048


@dataclass(frozen=True)
class Framing:
    """What every image must become.

    Args:
        size: height and width in pixels; absent to keep what the images have.
        resize: "crop" fills the frame and cuts off what stands out at two sides, "pad" shows all of the image with
            black bars, "stretch" changes the proportions.
        color: "grey" is 1 channel, "rgb" is 3, "auto" is what the images have.
    """

    size: tuple[int, int] | None = None
    resize: Resize = "crop"
    color: Color = "auto"

    @classmethod
    def of(cls, *, size: int | tuple[int, ...] | None, resize: str, color: str) -> Framing:
        """Check what a caller asks for.

        Raises:
            UsageError: a word that is not one of the choices, or a size out of range.
        """
        for option, value, choices in (("resize", resize, get_args(Resize)), ("color", color, get_args(Color))):
            if not is_word(value, choices):
                raise UsageError(f"{option} must be {' or '.join(map(repr, choices))}; got {value!r}")
        pair: Any = (size, size) if isinstance(size, int) else size
        sides = pair if isinstance(pair, tuple | list) else ()
        if pair is not None and not (len(sides) == 2 and all(is_whole(side, SMALLEST, LARGEST) for side in sides)):
            raise UsageError(
                f"size must be a number of pixels, or height and width, from {SMALLEST} to {LARGEST} each; got {size!r}"
            )
        return cls(pair and (pair[0], pair[1]), cast(Resize, resize), cast(Color, color))

    def keeps(self, shape: tuple[int, ...]) -> bool:
        """Whether images of `shape` (c, h, w) stay as they are."""
        return self.size in (None, shape[1:]) and self.channels(shape[0]) == shape[0]

    def channels(self, own: int) -> int:
        """How many channels an image that has `own` channels gets."""
        return {"auto": own, "grey": 1, "rgb": 3}[self.color]

    def apply(self, image: Image.Image) -> UInt8[np.ndarray, "c h w"]:
        """Return the framed pixels of `image`; "auto" means grey for images of mode "L" and colour otherwise."""
        mode = {"auto": image.mode, "grey": "L", "rgb": "RGB"}[self.color]
        image = image if image.mode == mode else image.convert(mode)
        if self.size is not None and image.size != self.size[::-1]:
            width_height = self.size[::-1]
            if self.resize == "stretch":
                image = image.resize(width_height, Image.Resampling.BILINEAR)
            elif self.resize == "pad":
                image = ImageOps.pad(image, width_height, Image.Resampling.BILINEAR, color=0)
            else:
                image = ImageOps.fit(image, width_height, Image.Resampling.BILINEAR)
        pixels = np.asarray(image, np.uint8)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    def apply_pixels(self, pixels: UInt8[np.ndarray, "c h w"]) -> UInt8[np.ndarray, "d i j"]:
        """Return the same for an image that is an array already."""
        return self.apply(Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))
