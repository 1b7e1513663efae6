"""The charts of one group of runs, as values that `_svg` draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from glassbit.report.numbers import Accuracy, Numbers, Points, Removal
from glassbit.report.words import count, kilobytes
from glassbit.runs import MASKED, Variant

from ._svg import COLOURS, LEFT, Chart, Panel, Style, stroke

Look = Mapping[Variant, Style]
_EPOCH = "epoch"
_REMOVED = "pixels removed, %"


def accuracy_chart(known: Numbers, look: Look) -> Chart | None:
    """Every seed's test accuracy, and the means against stored size and BitOps; None with nothing to compare."""
    rows = known.accuracies
    if len(rows) < 2:
        return None
    labels = [row.variant.label for row in rows]
    panels = [
        Panel(
            "Test accuracy, one mark per seed",
            "test accuracy, %",
            "",
            partial(_dots, [(row.variant.label, list(row.by_seed.values()), look[row.variant]) for row in rows]),
            left=max(LEFT, 16.0 + 6.6 * max(map(len, labels))),
            height=max(200.0, 74.0 + 22.0 * len(rows)),
        )
    ]
    sizes = [row.cost.stored_bytes for row in rows]
    operations = [row.cost.bitops for row in rows]
    for values, title, name, text in (
        (sizes, "Accuracy against stored size", "stored size, kB (log scale)", kilobytes),
        (operations, "Accuracy against arithmetic", "BitOps (log scale)", count),
    ):
        points = [(float(x), row, look[row.variant]) for x, row in zip(values, rows, strict=True) if x]
        if len({x for x, _, _ in points}) > 1:
            panels.append(Panel(title, name, "test accuracy, %", partial(_scatter, points, text)))
    return Chart(
        "accuracy", "Accuracy and what it costs", tuple(panels), _legend(known, look, [row.variant for row in rows])
    )


def masking_charts(known: Numbers, fill: str, look: Look) -> list[Chart]:
    """Raw and normalised curves, a panel per plan, and one panel per variant with every order measured."""
    look = {variant: replace(style, dash="solid") for variant, style in look.items()}
    removals = {one.variant: one for one in known.masking.removals if one.fill == fill and "salient" in one.curves}
    if not removals:
        return []
    plans: list[str | None] = list(dict.fromkeys(v.plan for v in removals if v.plan is not None)) or [None]
    arms = {variant.arm: look[variant] for variant in removals}
    legend = (*arms.items(), ("same arm, random order", Style("soft", "dotted", "o")))
    floor = 100.0 / known.group.classes if known.group.classes else None
    charts = []
    for normalised in (False, True):
        panels = []
        for plan in plans:
            shown = [variant for variant in removals if variant.plan in (None, plan)]
            lines = [
                (
                    _curve(removals[v], "salient", normalised=normalised),
                    _curve(removals[v], "random", normalised=normalised),
                    look[v],
                )
                for v in shown
            ]
            title = "full precision" if plan is None else f"{plan} and full precision"
            title = title if any(v.plan is None for v in shown) else str(plan)
            y = "accuracy / own clean accuracy" if normalised else "accuracy, %"
            draw = partial(_against_removed, lines, None if normalised else floor, 1.0 if normalised else 100.0)
            panels.append(Panel(title, _REMOVED, y, draw))
        suffix = "-normalised" if normalised else ""
        what = "normalised by clean accuracy" if normalised else "most salient first"
        charts.append(Chart(f"masking-{fill}{suffix}", f"Pixels removed, fill {fill}: {what}", tuple(panels), legend))
    return [*charts, _each_order(removals, fill, floor, look)]


def _each_order(removals: Mapping[Variant, Removal], fill: str, floor: float | None, look: Look) -> Chart:
    orders = {"salient": "solid", "random": "dotted", "least": "dashed"}
    each = []
    for variant, one in removals.items():
        parts = [(_curve(one, order), replace(look[variant], dash=dash)) for order, dash in orders.items()]
        each.append(Panel(variant.label, _REMOVED, "accuracy, %", partial(_orders, parts, floor)))
    drawn = [order for order in orders if any(order in one.curves for one in removals.values())]
    names = {"salient": "most salient first", "random": "random order", "least": "least salient first"}
    key = tuple((names[order], Style("soft", orders[order], "o")) for order in drawn)
    return Chart(f"masking-{fill}-each", f"Pixels removed, fill {fill}: every order, arm by arm", tuple(each), key)


def layer_chart(known: Numbers, part: str, look: Look, *, title: str, y: str, scale: float = 1.0) -> Chart | None:
    """Return a value that the log keeps per layer (`alphas`, `steps`, `clipped`, `zeros`) over the epochs, a panel per
    layer.
    """
    shown = [v for v, parts in known.series.items() if parts[part] and (part == "zeros" or v.plan is not None)]
    names = dict.fromkeys(name for v in shown for name in known.series[v][part])
    if not names:
        return None
    panels = []
    for name in names:
        lines = [(_scaled(known.series[v][part].get(name, ()), scale), look[v]) for v in shown]
        panels.append(Panel(name, _EPOCH, y, partial(_over, lines, zero=True)))
    return Chart(part, title, tuple(panels), _legend(known, look, shown))


def learning_chart(known: Numbers, look: Look) -> Chart | None:
    """Accuracies and the parts of the loss over the epochs."""
    parts = (
        ("Validation accuracy", "%", "validation", "accuracy", 100.0),
        ("Training accuracy", "%", "train", "accuracy", 100.0),
        ("Validation loss", "loss", "validation", "loss", 1.0),
        ("Classification loss", "loss", "train", "classification", 1.0),
        ("Consistency loss (masking arms)", "loss", "train", "consistency", 1.0),
        ("Training loss, total", "loss", "train", "loss", 1.0),
    )
    plain = {run.variant for run in known.group.runs if run.head.objective not in MASKED}
    panels = []
    for title, y, part, key, scale in parts:
        lines = [
            (_scaled(points, scale), look[v])
            for v, curves in known.series.items()
            if (points := curves[part].get(key)) and not (key == "consistency" and v in plain)
        ]
        if lines:
            panels.append(Panel(title, _EPOCH, y, partial(_over, lines, zero=False)))
    if not panels:
        return None
    return Chart("learning", "Learning curves", tuple(panels), _legend(known, look, list(known.series)))


def _legend(known: Numbers, look: Look, shown: Sequence[Variant]) -> tuple[tuple[str, Style], ...]:
    unfinished = {v for v in shown if not known.group.of(v)}
    return tuple((f"{v.label} (unfinished)" if v in unfinished else v.label, look[v]) for v in shown)


def _curve(one: Removal, order: str, *, normalised: bool = False) -> Points:
    return (one.normalised if normalised else one.curves).get(order, ())


def _scaled(points: Points, scale: float) -> Points:
    return tuple((x, value.times(scale)) for x, value in points)


def _line(axes: Axes, curve: Points, style: Style, scale: float = 1.0, *, faint: bool = False) -> None:
    if not curve:
        return
    x = [point for point, _ in curve]
    y = [scale * value.mean for _, value in curve]
    if not faint and len(x) > 1 and any(value.sd for _, value in curve):
        sd = [scale * (value.sd or 0.0) for _, value in curve]
        low, high = [a - b for a, b in zip(y, sd, strict=True)], [a + b for a, b in zip(y, sd, strict=True)]
        axes.fill_between(x, low, high, color=style.value, alpha=0.14, linewidth=0)
    stroke(axes, x, y, style, faint=faint)


def _over(lines: Sequence[tuple[Points, Style]], axes: Axes, *, zero: bool) -> None:
    for curve, style in lines:
        _line(axes, curve, style)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if zero:
        top = max((value.mean + (value.sd or 0.0) for curve, _ in lines for _, value in curve), default=0.0)
        axes.set_ylim(0, 1.08 * top if top > 0 else 1)
    epochs = {x for curve, _ in lines for x, _ in curve}
    if len(epochs) == 1:
        only = epochs.pop()
        axes.set_xlim(only - 1, only + 1)
        axes.set_xticks([only])


def _against_removed(
    lines: Sequence[tuple[Points, Points, Style]],
    floor: float | None,
    scale: float,
    axes: Axes,
) -> None:
    _floor(axes, floor)
    for _, random, style in lines:
        _line(axes, _percent_x(random), replace(style, dash="dotted"), scale, faint=True)
    for salient, _, style in lines:
        _line(axes, _percent_x(salient), style, scale)
    axes.set_ylim(bottom=0, top=None if scale == 1 else 100)


def _orders(parts: Sequence[tuple[Points, Style]], floor: float | None, axes: Axes) -> None:
    _floor(axes, floor)
    salient, random = (dict(curve) for curve, _ in parts[:2])
    shared = sorted(salient.keys() & random.keys())
    if len(shared) > 1:
        low, high = [100 * salient[x].mean for x in shared], [100 * random[x].mean for x in shared]
        axes.fill_between([100 * x for x in shared], low, high, color=parts[0][1].value, alpha=0.12, linewidth=0)
    for curve, style in parts:
        x, y = [100 * point for point, _ in curve], [100 * value.mean for _, value in curve]
        if x:
            stroke(axes, x, y, style)
    axes.set_ylim(0, 100)


def _floor(axes: Axes, floor: float | None) -> None:
    if floor is not None:
        axes.axhline(floor, color=COLOURS["soft"], linewidth=0.8, linestyle=(0, (1, 2)))
        axes.annotate(
            "chance",
            (0, floor),
            xycoords=("axes fraction", "data"),
            xytext=(4, 2),
            textcoords="offset points",
            ha="left",
            fontsize=10,
            color=COLOURS["soft"],
        )


def _percent_x(curve: Points) -> Points:
    return tuple((100 * x, value) for x, value in curve)


def _dots(rows: Sequence[tuple[str, Sequence[float], Style]], axes: Axes) -> None:
    for position, (_, values, style) in enumerate(rows):
        mean = sum(values) / len(values)
        axes.plot([mean, mean], [position - 0.3, position + 0.3], color=style.value, linewidth=2.2)
        axes.plot(
            values, [position] * len(values), linestyle="none", marker=style.marker, color=style.value, markersize=5
        )
    axes.set_yticks(range(len(rows)), [label for label, _, _ in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _scatter(points: Sequence[tuple[float, Accuracy, Style]], text: Callable[[float], str], axes: Axes) -> None:
    plans = list(dict.fromkeys(row.variant.plan for _, row, _ in points if row.variant.plan is not None))
    places = ((True, True), (False, False), (True, False), (False, True))
    for x, row, style in points:
        y, sd = row.test.mean, row.test.sd
        axes.errorbar(
            [x], [y], yerr=sd, color=style.value, marker=style.marker, markersize=6, elinewidth=1.2, capsize=2
        )
        if row.variant.plan is not None:
            right, up = places[plans.index(row.variant.plan) % 4]
            axes.annotate(
                row.variant.plan,
                (x, y),
                (6 if right else -6, 3 if up else -11),
                textcoords="offset points",
                ha="left" if right else "right",
                fontsize=9.5,
                color=COLOURS["soft"],
            )
    low, high = min(x for x, _, _ in points), max(x for x, _, _ in points)
    axes.set_xscale("log")
    axes.set_xlim(low / 2.2, high * 1.9)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < 60 else (1.0, 4.0), numticks=20))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: text(x).replace(".00", "").replace(".0", "")))
    axes.margins(y=0.18)
