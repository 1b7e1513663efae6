"""Drawing with matplotlib's SVG back end, and the copy of a drawing that follows the page's light or dark theme."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

# Every colour of a drawing: its name in the style sheet and its value in the file on disk (on white).
COLOURS = {
    "surface": "#ffffff",
    "ink": "#1d2129",
    "soft": "#5c6470",
    "rule": "#dcdfe4",
    "fp32": "#4a4f58",
    "sgt": "#0068b5",
    "random": "#8f6a00",
    "pact": "#d1490c",
    "sgt-pact": "#00785a",
    "random-pact": "#b0508a",
    "other": "#6a51a3",
}
WIDTH, HEIGHT, LEFT = 340.0, 240.0, 54.0
_DASHES = {"solid": (), "dashed": (5.0, 2.2), "dashdot": (6.0, 2.0, 1.5, 2.0), "dotted": (1.4, 1.9), "long": (9.0, 2.5)}
_RIGHT, _BOTTOM, _TOP = 12.0, 44.0, 28.0
_LEGEND_LINE, _TITLE_LINE = 17.0, 26.0


@dataclass(frozen=True)
class Style:
    """How one line looks: a name of `COLOURS`, a dash pattern, a marker of `o s ^ D v P X`; readable without colour."""

    colour: str
    dash: str = "solid"
    marker: str = "o"

    @property
    def value(self) -> str:
        """The colour on disk."""
        return COLOURS[self.colour]

    @property
    def dashes(self) -> tuple[float, ...]:
        """On and off lengths in points; empty for a solid line."""
        return _DASHES[self.dash]


@dataclass(frozen=True)
class Panel:
    """One pair of axes; `draw` fills them. `left` is the room for the tick labels, in points."""

    title: str
    x: str
    y: str
    draw: Callable[[Axes], None]
    left: float = LEFT
    height: float = HEIGHT


@dataclass(frozen=True)
class Chart:
    """Panels that share a legend: one file on disk, one drawing per panel on the page."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    legend: tuple[tuple[str, Style], ...]


def dash_names() -> tuple[str, ...]:
    """Return the dash patterns, in the order to use them."""
    return tuple(_DASHES)


def stroke(axes: Axes, x: Sequence[float], y: Sequence[float], style: Style, *, faint: bool = False) -> None:
    """Draw one line with its markers; `faint` is the thin companion of a line, without markers."""
    axes.plot(
        x,
        y,
        color=style.value,
        linewidth=1.3 if faint else 1.8,
        alpha=0.9 if faint else 1.0,
        linestyle=(0, style.dashes) if style.dashes else "solid",
        marker=None if faint and len(x) > 1 else style.marker,
        markersize=3.6 if len(x) > 1 else 6.5,
        markevery=max(1, ceil(len(x) / 12)),
    )


def file_svg(chart: Chart) -> str:
    """Return the whole chart as an SVG document with concrete colours: the same input gives the same bytes."""
    columns = min(3, len(chart.panels))
    rows = [chart.panels[i : i + columns] for i in range(0, len(chart.panels), columns)]
    per_line = max(1, int(columns * WIDTH // 165))
    legend_lines = ceil(len(chart.legend) / per_line)
    width = columns * WIDTH
    heights = [max(panel.height for panel in row) for row in rows]
    height = _TITLE_LINE + sum(heights) + legend_lines * _LEGEND_LINE + 6
    with _settings(chart.name):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72, facecolor=COLOURS["surface"])
        figure.text(12 / width, 1 - 18 / height, chart.title, fontsize=13, color=COLOURS["ink"], weight="bold")
        top = height - _TITLE_LINE
        for row, row_height in zip(rows, heights, strict=True):
            for column, panel in enumerate(row):
                _draw(figure, panel, column * WIDTH, top - panel.height, width, height)
            top -= row_height
        if chart.legend:
            figure.legend(
                handles=[_handle(label, style) for label, style in chart.legend],
                loc="lower left",
                bbox_to_anchor=(8 / width, 0),
                ncols=min(per_line, len(chart.legend)),
                frameon=False,
                fontsize=10,
                labelcolor=COLOURS["ink"],
                handlelength=3.4,
            )
        return _written(figure)


def panel_svg(chart: Chart, index: int) -> str:
    """One panel as an `<svg>` element for the page: colours are CSS variables, ids are unique to chart and panel."""
    panel = chart.panels[index]
    prefix = f"{chart.name}-{index}"
    with _settings(prefix):
        figure = Figure(figsize=(WIDTH / 72, panel.height / 72), dpi=72, facecolor=COLOURS["surface"])
        _draw(figure, panel, 0.0, 0.0, WIDTH, panel.height)
        return themed(_written(figure), prefix=prefix, label=f"{chart.title}: {panel.title}")


def themed(document: str, *, prefix: str, label: str) -> str:
    """Return an SVG document of `file_svg`'s kind as an element to put inside HTML.

    Namespaces, metadata, comments, fixed sizes and fonts go; ids that nothing refers to go, the others get `prefix`;
    each colour of `COLOURS` becomes `var(--NAME)`.

    Args:
        document: an SVG document.
        prefix: what makes ids unique within a page.
        label: the text alternative.
    """
    root = ET.fromstring(document)  # noqa: S314 - our own drawing
    used = set(re.findall(r"url\(#([^)]+)\)", document)) | set(re.findall(r'href="#([^"]+)"', document))
    for parent in root.iter():
        for child in list(parent):
            if child.tag.endswith(("metadata", "style")) or (child.tag.endswith("defs") and _bare(child)):
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        attributes = {key.rpartition("}")[2]: _themed(value, prefix) for key, value in element.attrib.items()}
        name = attributes.pop("id", None)
        if name in used:
            attributes["id"] = f"{prefix}-{name}"
        if "href" in attributes:
            attributes["href"] = f"#{prefix}-{attributes['href'][1:]}"
        element.attrib.clear()
        element.attrib.update(attributes)
        element.tail = None
        if element.tag != "text" and element.text is not None and not element.text.strip():
            element.text = None
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib.update({"role": "img", "aria-label": label})
    return ET.tostring(root, encoding="unicode")


def swatch(style: Style) -> str:
    """Return the legend's sample of a line, as an `<svg>` element for the page."""
    dash = f' stroke-dasharray="{" ".join(f"{length:g}" for length in style.dashes)}"' if style.dashes else ""
    shapes = {
        "o": '<circle cx="17" cy="6" r="3.2"/>',
        "s": '<path d="M14 3h6v6h-6z"/>',
        "^": '<path d="M17 2l4 7h-8z"/>',
        "v": '<path d="M17 10l4-7h-8z"/>',
        "D": '<path d="M17 2l4 4-4 4-4-4z"/>',
        "P": '<path d="M15.5 2h3v2.5H21v3h-2.5V10h-3V7.5H13v-3h2.5z"/>',
        "X": '<path d="M14 3l6 6M20 3l-6 6" stroke-width="2"/>',
    }
    return (
        f'<svg class="swatch" viewBox="0 0 34 12" aria-hidden="true" style="color:var(--{style.colour})">'
        f'<path d="M0 6h34" fill="none" stroke="currentColor" stroke-width="1.8"{dash}/>'
        f'<g fill="currentColor" stroke="currentColor" stroke-width="0.5">{shapes[style.marker]}</g></svg>'
    )


def _draw(figure: Figure, panel: Panel, x: float, y: float, width: float, height: float) -> None:
    box = (
        (x + panel.left) / width,
        (y + _BOTTOM) / height,
        (WIDTH - panel.left - _RIGHT) / width,
        (panel.height - _BOTTOM - _TOP) / height,
    )
    axes = figure.add_axes(box)
    axes.set_facecolor("none")
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    panel.draw(axes)
    figure.text(
        (x + min(panel.left, LEFT)) / width,
        (y + panel.height - 17) / height,
        panel.title,
        fontsize=12.5,
        color=COLOURS["ink"],
        weight="bold",
    )
    axes.set_xlabel(panel.x, fontsize=11.5, color=COLOURS["soft"], labelpad=3)
    axes.set_ylabel(panel.y, fontsize=11.5, color=COLOURS["soft"], labelpad=3)
    axes.tick_params(
        which="major", length=3, width=0.8, color=COLOURS["rule"], labelcolor=COLOURS["soft"], labelsize=11
    )
    axes.tick_params(which="minor", length=2, width=0.6, color=COLOURS["rule"])
    axes.grid(visible=True, which="major", color=COLOURS["rule"], linewidth=0.7)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(COLOURS["rule"])


def _handle(label: str, style: Style) -> Line2D:
    return Line2D(
        [],
        [],
        label=label,
        color=style.value,
        marker=style.marker,
        markersize=4,
        linewidth=1.7,
        linestyle=(0, style.dashes) if style.dashes else "solid",
    )


def _written(figure: Figure) -> str:
    buffer, metadata = io.StringIO(), dict.fromkeys(("Date", "Creator", "Format", "Type"))
    FigureCanvasSVG(figure).print_svg(buffer, metadata=metadata)
    return buffer.getvalue()


@contextmanager
def _settings(salt: str) -> Iterator[None]:
    """Matplotlib's own defaults whatever the user has set, names drawn from `salt`; the user's settings come back."""
    with mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", mpl.MatplotlibDeprecationWarning)
        defaults = {key: value for key, value in mpl.rcParamsDefault.items() if not key.startswith("backend")}
        mpl.rcParams.update(defaults)
        mpl.rcParams.update({"svg.hashsalt": salt, "svg.fonttype": "none", "axes.unicode_minus": True})
        mpl.rcParams["text.parse_math"] = False  # names may hold a $
        yield


def _themed(value: str, prefix: str) -> str:
    value = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", value)
    value = re.sub(r"font: *[^;\"]*?([0-9.]+px)[^;]*", r"font-size: \1", value)
    value = re.sub(r"font-family:[^;]*;?", "", value)
    value = re.sub(r"(\d+\.\d\d)\d+", r"\1", value)
    for name, colour in COLOURS.items():
        value = value.replace(colour, f"var(--{name})")
    return value


def _bare(definitions: ET.Element) -> bool:
    return all(child.tag.endswith("style") for child in definitions)
