"""The grids of saliency maps as PNG files."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from glassbit._text import printable
from glassbit.report.words import NOTHING

from ._grids import Cell, Grid, Row

_GAP, _LINE, _TEXT = 8, 16, 11
_PAPER, _INK, _SOFT = "#ffffff", "#1a1a1a", "#666666"


def grid_png(grid: Grid) -> bytes:
    """Return a grid as the page shows it: per row the image and its name, then per column a map with its verdict."""
    font = ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), _TEXT)
    rows = [row for row in grid.rows if row.cells]
    pictures = [picture for row in grid.rows for picture in (row.picture, *(cell.uri for cell in row.cells)) if picture]
    side = max((max(_opened(uri).size) for uri in pictures), default=_LINE)
    lead = grid.rows[0].picture if not grid.rows[0].cells else None
    heads = max((font.getlength(printable(row.head)) for row in rows), default=0)
    columns = [printable(name) for name in grid.columns]
    texts = [*columns, *(_said(cell) for row in rows for cell in row.cells)]
    width = max([side, *(round(font.getlength(text)) for text in texts)])
    left = max(side, round(heads)) + 2 * _GAP
    tall = side + 2 * _LINE + _GAP
    top = (side if lead else 0) + _LINE + 2 * _GAP
    sheet = Image.new("RGB", (left + len(grid.columns) * (width + _GAP), top + len(rows) * tall), _PAPER)
    draw = ImageDraw.Draw(sheet)
    if lead:
        sheet.paste(_opened(lead), (_GAP, _GAP))
    for column, name in enumerate(columns):
        draw.text((left + column * (width + _GAP), top - _LINE - _GAP // 2), name, _INK, font)
    for index, row in enumerate(rows):
        _draw_row(sheet, draw, font, row, (left, top + index * tall), (side, width))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _draw_row(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont,
    row: Row,
    corner: tuple[int, int],
    sizes: tuple[int, int],
) -> None:
    (left, y), (side, width) = corner, sizes
    if row.picture:
        sheet.paste(_opened(row.picture), (_GAP, y))
    draw.text((_GAP, y + (side + 2 if row.picture else 0)), printable(row.head), _INK, font)
    for column, cell in enumerate(row.cells):
        x = left + column * (width + _GAP)
        if cell.uri:
            sheet.paste(_opened(cell.uri), (x, y))
        draw.text((x, y + side + 2), _said(cell), _INK if cell.right is not False else _SOFT, font)


def _said(cell: Cell) -> str:
    """Return the prediction, "(wrong)" where it is."""
    if cell.uri is None:
        return NOTHING
    sure = "" if cell.confidence is None else f" {100 * cell.confidence:.0f} %"
    return printable(f"{cell.said}{sure}{' (wrong)' if cell.right is False else ''}")


def _opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")
