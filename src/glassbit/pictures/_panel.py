"""One picture that shows an image beside its maps by several methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from ._render import Pixels, enlarged

_SIDE = 196
_GAP = 10
_LINE = 18
_INK = (32, 32, 32)
_PAPER = (255, 255, 255)


@dataclass(frozen=True)
class Column:
    """One method's part of a panel.

    Args:
        title: the name of the method.
        saliency: the map in colours.
        overlay: the map over the image.
        note: a line below, may be empty.
    """

    title: str
    saliency: Pixels
    overlay: Pixels
    note: str = ""


def panel(image: Pixels, lines: Sequence[str], columns: Sequence[Column]) -> Image.Image:
    """Return the image and `lines` about it at the left, then a column per method: map above, overlay below.

    Args:
        image: the image itself.
        lines: text below the image, cut where it is too long.
        columns: the methods.
    """
    tile = enlarged(image, _SIDE)
    wide, high = max(tile.width, _SIDE), tile.height
    step = wide + _GAP
    size = (_GAP + step * (1 + len(columns)), 3 * _LINE + 2 * (high + _GAP))
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=13)

    def place(picture: Pixels, left: int, top: int) -> None:
        shown = enlarged(picture, _SIDE)
        sheet.paste(shown, (left + (wide - shown.width) // 2, top))

    def write(text: str, left: int, top: int) -> None:
        draw.text((left, top), _fitting(text, font, wide), fill=_INK, font=font)

    above, below = _LINE + 4, _LINE + high + _GAP
    write("image", _GAP, 4)
    place(image, _GAP, above)
    for number, line in enumerate(lines):
        write(line, _GAP, below + 4 + number * _LINE)
    for number, column in enumerate(columns, start=1):
        left = _GAP + number * step
        write(column.title, left, 4)
        place(column.saliency, left, above)
        place(column.overlay, left, below)
        write(column.note, left, below + high + 4)
    return sheet


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."
