"""The page on one network: what was measured of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from glassbit._count import counted
from glassbit.evidence import Interval, Measurement
from glassbit.report.draw import Chart, Drawn, Style, orders_chart, randomisation_chart
from glassbit.report.numbers import ACCURACY, COLUMNS, ROAD, ByClass, Column, by_class, known, level, title, watched
from glassbit.report.words import ends_text, images_named, interval_text, looks, number, scaled

from ._sheet import markdown_table, one_line, write_both
from ._templates import environment

_STYLE = Style("sgt")
_CURVES = (("accuracy", "linear"), ("accuracy", "constant"), ("probability", "linear"), ("probability", "constant"))
_ONE = "One network: the intervals are over images and say nothing about another training."


def write_measurement(folder: Path, measurement: Measurement) -> tuple[Path, ...]:
    """Write `transparency.md` and `transparency.html`, a page that needs nothing else, into `folder`.

    Returns:
        Their paths.
    """
    values = level([measurement])
    said = _sentences(measurement, values)
    rows = [(column, values[column.key]) for column in COLUMNS if column.key in values]
    classes = by_class([[measurement]])
    page = (
        environment()
        .get_template("measurement.html.j2")
        .render(
            title=measurement.name,
            kicker="Glassbit measurement",
            meta=_meta(measurement),
            sentences=said,
            rows=rows,
            absent=_absent(measurement),
            removal=_removal(measurement),
            randomisation=randomisation_chart([Drawn("", watched([measurement]), _STYLE)]),
            layers=_layers(measurement),
            classes=classes,
            facts={name: plain(value) for name, value in measurement.facts.items()},
        )
    )
    text = _markdown(measurement, said, rows, classes)
    return write_both(folder, "transparency", markdown=text, page=page)


def plain(value: Any) -> str:
    """Return a JSON value as one line of text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value))
    return str(value)


def _sentences(measurement: Measurement, values: Mapping[str, Interval]) -> list[str]:
    shares = measurement.facts.get("region_shares") or {}
    return [*_faithful(values.get(ROAD.key)), *looks([("this network", values, 1)], shares), _ONE]


def _faithful(gap: Interval | None) -> list[str]:
    if gap is None or not known(gap):
        return []
    numbers = f"ROAD gap {scaled(gap.mean, ROAD)} ({' to '.join(ends_text(gap))})"
    if not gap.decided:
        return [f"Cannot tell whether the maps name pixels that matter: {numbers}, and the interval contains 0."]
    more, less = ("most", "least") if gap.low > 0 else ("least", "most")
    mislead = "" if gap.low > 0 else "The maps mislead. "
    text = (
        f"Removing what the maps call {more} relevant costs more accuracy than removing what they call {less} relevant"
    )
    return [f"{mislead}{text}: {numbers}."]


def _meta(measurement: Measurement) -> str:
    parts = [
        str(measurement.facts.get("data", "")),
        counted(len(measurement.classes), "class", "classes"),
        f"measured on {images_named(len(measurement.rows))} of {len(measurement.correct):,}",
        f"accuracy {number(100 * measurement.accuracy)} %",
        "" if measurement.seed is None else f"seed {measurement.seed}",
    ]
    return " · ".join(part for part in parts if part)


def _absent(measurement: Measurement) -> list[tuple[str, str]]:
    return [(title(key), why) for key, why in measurement.absent.items()]


def _layers(measurement: Measurement) -> list[tuple[int, str, float | None]]:
    """How many layers are drawn again, the last of them, and the correlation where it is defined."""
    return [
        (count, layer, None if math.isnan(value) else value)
        for count, (layer, value) in enumerate(measurement.randomisation, start=1)
    ]


def _removal(measurement: Measurement) -> Chart | None:
    """Every order of removal, a panel for each thing watched and fill."""
    drawn = [orders_chart([Drawn("", watched([measurement]), _STYLE)], what=what, fill=fill) for what, fill in _CURVES]
    charts = [chart for chart in drawn if chart is not None]
    if not charts:
        return None
    panels = tuple(panel for chart in charts for panel in chart.panels)
    return replace(charts[0], name="removal", title="As pixels are removed", panels=panels)


def _markdown(
    measurement: Measurement,
    said: Sequence[str],
    rows: Sequence[tuple[Column, Interval]],
    classes: Sequence[ByClass],
) -> list[str]:
    metrics = [(f"{c.title} {c.arrow}".strip(), interval_text(value, c), c.what) for c, value in rows]
    by_name = [
        (row.name, str(row.images), interval_text(row.accuracy[0], ACCURACY), interval_text(row.road[0]))
        for row in classes
    ]
    layers = [(str(count), layer, number(value)) for count, layer, value in _layers(measurement)]
    text = [
        f"# {one_line(measurement.name)}",
        _meta(measurement),
        "\n".join(f"- {one_line(sentence)}" for sentence in said),
        "## What was measured\n\nMeans with their 95 % intervals over images; arrows: the better direction.",
        markdown_table(("metric", "value", "meaning"), metrics),
    ]
    if measurement.absent:
        text.append("Not measured:\n\n" + "\n".join(f"- {name}: {one_line(why)}" for name, why in _absent(measurement)))
    if layers:
        what = "Spearman correlation of the map with the original as layers are drawn again at random, from the top."
        text += [f"## Randomised weights\n\n{what}", markdown_table(("layers", "last", "Spearman"), layers)]
    text += ["## Class by class", markdown_table(("class", "images", "accuracy, %", "ROAD gap"), by_name)]
    if measurement.facts:
        facts = (f"- {one_line(name)}: {one_line(plain(value))}" for name, value in measurement.facts.items())
        text.append("## Facts\n\n" + "\n".join(facts))
    return text
