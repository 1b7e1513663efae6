"""What each run pays, in accuracy and stored bits, for how faithful its maps are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from glassbit.report.numbers import Mark, front
from glassbit.report.words import kilobytes
from glassbit.runs import Variant

from ._svg import COLOURS, Chart, Panel, Style

_HEIGHT = 300.0


def tradeoff_chart(marks: Sequence[Mark], look: Mapping[Variant, Style]) -> Chart | None:
    """ROAD gap against accuracy and against stored size, one mark per run; None with nothing to compare."""
    if len(marks) < 2:
        return None
    panels = [
        Panel("Against accuracy", "test accuracy, %", "ROAD gap", partial(_accuracy, marks, look), height=_HEIGHT)
    ]
    if len({mark.stored for mark in marks}) > 1:
        title = "Against stored size"
        panels.append(
            Panel(title, "stored size, kB (log scale)", "ROAD gap", partial(_size, marks, look), height=_HEIGHT)
        )
    legend = {mark.variant.arm: replace(look[mark.variant], dash="solid") for mark in marks}
    return Chart("tradeoff", "Accuracy, stored bits and ROAD gap", tuple(panels), tuple(legend.items()))


def _accuracy(marks: Sequence[Mark], look: Mapping[Variant, Style], axes: Axes) -> None:
    _room(axes, [mark.accuracy for mark in marks], [mark.road for mark in marks])
    best = front(np.array([(mark.accuracy, mark.road) for mark in marks]))
    steps = sorted((mark.accuracy, mark.road) for mark, on in zip(marks, best, strict=True) if on)
    left, bottom = axes.get_xlim()[0], axes.get_ylim()[0]
    x, y = [left, *(a for a, _ in steps), steps[-1][0]], [steps[0][1], *(r for _, r in steps), bottom]
    _steps(axes, x, y, where="pre")
    for mark in marks:
        _mark(axes, mark.accuracy, mark, look[mark.variant])


def _size(marks: Sequence[Mark], look: Mapping[Variant, Style], axes: Axes) -> None:
    """Arms side by side, so that runs of one size do not hide each other."""
    arms = list(dict.fromkeys(mark.variant.arm for mark in marks))
    sizes = [mark.stored for mark in marks]
    axes.set_xscale("log")
    axes.set_xlim(min(sizes) / 1.6, max(sizes) * 1.6)
    _room(axes, [], [mark.road for mark in marks])
    best = front(np.array([(-mark.stored, mark.road) for mark in marks]))
    steps = sorted((mark.stored, mark.road) for mark, on in zip(marks, best, strict=True) if on)
    right, bottom = axes.get_xlim()[1], axes.get_ylim()[0]
    x, y = [steps[0][0], *(size for size, _ in steps), right], [bottom, *(road for _, road in steps), steps[-1][1]]
    _steps(axes, x, y, where="post")
    for mark in marks:
        aside = arms.index(mark.variant.arm) - (len(arms) - 1) / 2
        _mark(axes, mark.stored * 1.06**aside, mark, look[mark.variant])
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: kilobytes(x).replace(".00", "").replace(".0", "")))


def _steps(axes: Axes, x: Sequence[float], y: Sequence[float], *, where: Literal["pre", "post"]) -> None:
    axes.step(x, y, where=where, color=COLOURS["soft"], linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)


def _mark(axes: Axes, x: float, mark: Mark, style: Style) -> None:
    axes.plot([x], [mark.road], linestyle="none", marker=style.marker, color=style.value, markersize=5)
    if mark.best:
        axes.plot(
            [x],
            [mark.road],
            linestyle="none",
            marker="o",
            markersize=11,
            markerfacecolor="none",
            markeredgecolor=COLOURS["ink"],
            markeredgewidth=1.0,
        )


def _room(axes: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    for values, limit in ((x, axes.set_xlim), (y, axes.set_ylim)):
        if values:
            room = 0.1 * (max(values) - min(values)) or 0.01
            limit(min(values) - room, max(values) + room)
