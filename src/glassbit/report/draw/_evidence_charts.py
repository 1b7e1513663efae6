"""Charts of measurements: accuracy as pixels are removed, and maps as weights are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from glassbit.report.numbers import Points, Watched

from ._svg import COLOURS, Chart, Panel, Style, stroke

ORDERS = {"most": "solid", "random": "dotted", "least": "dashed"}
_NAMES = {"most": "most relevant first", "random": "random order", "least": "least relevant first"}
_FILLS = {"linear": "filled in from the neighbours", "constant": "filled with background"}
_WHAT = {"accuracy": ("accuracy, %", 100.0), "probability": ("probability of the true class", 1.0)}
_REMOVED = "pixels removed, %"


@dataclass(frozen=True)
class Drawn:
    """One network in a chart: its name, its curves and its look.

    Args:
        panel: the title of the panel that it shares with others.
    """

    label: str
    watched: Watched
    style: Style
    panel: str = ""


def removal_chart(drawn: Sequence[Drawn], *, what: str, fill: str) -> Chart | None:
    """Most relevant (solid) and least relevant pixels first (dashed), one panel for those that share it."""
    panels = []
    for title in dict.fromkeys(one.panel for one in drawn):
        lines = [
            (points, replace(one.style, dash=ORDERS[order]))
            for one in drawn
            if one.panel == title
            for order in ("least", "most")
            if (points := _removal(one, what, fill, order))
        ]
        if lines:
            name, scale = _WHAT[what]
            panels.append(Panel(title or _FILLS[fill], _REMOVED, name, partial(_curves, lines, scale, what)))
    if not panels:
        return None
    arms = {one.label: replace(one.style, dash="solid") for one in drawn}
    legend = (*(arms.items() if len(arms) > 1 else ()), *_orders("most", "least"))
    title = f"{what.capitalize()} as pixels are removed, {_FILLS[fill]}"
    return Chart(f"removal-{what}-{fill}", title, tuple(panels), legend)


def orders_chart(drawn: Sequence[Drawn], *, what: str, fill: str) -> Chart | None:
    """Every order, a panel per network; the area between most and least relevant first is shaded."""
    panels = []
    for one in drawn:
        lines = {order: _removal(one, what, fill, order) for order in ORDERS}
        if all(lines.values()):
            name, scale = _WHAT[what]
            draw = partial(_shaded, lines, one.style, scale, what)
            panels.append(Panel(one.label or _FILLS[fill], _REMOVED, name, draw))
    title = f"{what.capitalize()} as pixels are removed, {_FILLS[fill]}: every order"
    return Chart(f"removal-{what}-{fill}-each", title, tuple(panels), _orders(*ORDERS)) if panels else None


def randomisation_chart(drawn: Sequence[Drawn]) -> Chart | None:
    """How like itself the map stays as layers are drawn again from the top, one panel for those that share it."""
    panels = []
    for title in dict.fromkeys(one.panel for one in drawn):
        lines = [
            (points, replace(one.style, dash="solid"))
            for one in drawn
            if one.panel == title and (points := one.watched.cascade)
        ]
        if lines:
            draw = partial(_randomised, lines)
            panels.append(Panel(title or "Cascade from the top", "layers drawn again, from the top", "Spearman", draw))
    if not panels:
        return None
    legend = {one.label: replace(one.style, dash="solid") for one in drawn}
    shown = tuple(legend.items()) if len(legend) > 1 else ()
    return Chart("randomisation", "Maps as the weights are drawn again", tuple(panels), shown)


def _removal(one: Drawn, what: str, fill: str, order: str) -> Points:
    return tuple((100 * x, value) for x, value in one.watched.removal.get(f"{what} {fill} {order}", ()))


def _orders(*names: str) -> tuple[tuple[str, Style], ...]:
    return tuple((_NAMES[order], Style("soft", ORDERS[order], "o")) for order in names)


def _line(axes: Axes, points: Points, style: Style, scale: float = 1.0) -> None:
    x, y = [point for point, _ in points], [scale * value.mean for _, value in points]
    if any(value.sd for _, value in points):
        sd = [scale * (value.sd or 0.0) for _, value in points]
        low, high = [a - b for a, b in zip(y, sd, strict=True)], [a + b for a, b in zip(y, sd, strict=True)]
        axes.fill_between(x, low, high, color=style.value, alpha=0.12, linewidth=0)
    stroke(axes, x, y, style)


def _curves(lines: Sequence[tuple[Points, Style]], scale: float, what: str, axes: Axes) -> None:
    for points, style in lines:
        _line(axes, points, style, scale)
    axes.set_ylim(0, 100 if what == "accuracy" else 1)


def _shaded(lines: dict[str, Points], style: Style, scale: float, what: str, axes: Axes) -> None:
    most, least = ([scale * value.mean for _, value in lines[order]] for order in ("most", "least"))
    axes.fill_between([x for x, _ in lines["most"]], most, least, color=style.value, alpha=0.12, linewidth=0)
    _curves([(points, replace(style, dash=ORDERS[order])) for order, points in lines.items()], scale, what, axes)


def _randomised(lines: Sequence[tuple[Points, Style]], axes: Axes) -> None:
    axes.axhline(0, color=COLOURS["soft"], linewidth=0.8, linestyle=(0, (1, 2)))
    for points, style in lines:
        _line(axes, points, style)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set_ylim(top=1.05)
