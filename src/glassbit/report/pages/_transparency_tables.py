"""The tables of the transparency section as files: CSV with every digit, Markdown as people read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from glassbit.evidence import Interval
from glassbit.report.numbers import ACCURACY, COLUMNS, ROAD, Explained, Numbers, Range, known
from glassbit.report.read import Group
from glassbit.report.words import NOTHING, interval_text, kilobytes, number, spread_text
from glassbit.runs import Variant

from ._table import Table
from ._table import texts as texts_of

Shown = tuple[Group, Explained]
_ENDS = ("mean", "low", "high", "seeds", "images")
_HEAD = ("data", "model", "arm", "plan")


def transparency_tables(groups: Sequence[Numbers]) -> list[Table]:
    """Every table that has at least one row, over all groups that have a section."""
    makers: tuple[Callable[[Sequence[Shown]], Table], ...] = (
        _metrics, _differences, _agreement, _classes, _tradeoff, _curves, _randomisation,
    )  # fmt: skip
    shown = [(one.group, one.explained) for one in groups if one.explained is not None]
    made = [make(shown) for make in makers]
    return [table for table in made if table.rows]


def _metrics(shown: Sequence[Shown]) -> Table:
    rows, texts = [], []
    keys = _keys(level.values for _, part in shown for level in part.levels)
    for group, part in shown:
        for level in part.levels:
            head = _head(group, level.variant)
            rows += [
                (*head, column.key, column.better or None, *_ends(level.values[column.key]))
                for column in COLUMNS
                if column.key in level.values
            ]
            texts.append((*texts_of(head), _seeds(level.seeds), *_cells(keys, level.values)))
    columns = (*_HEAD, "metric", "better", *_ENDS)
    titles = (*_HEAD, "seeds", *(f"{c.title} {c.arrow}".strip() for c in COLUMNS if c.key in keys))
    return Table("transparency", columns, tuple(rows), titles, tuple(texts))


def _differences(shown: Sequence[Shown]) -> Table:
    rows, texts = [], []
    keys = _keys(effect.values for _, part in shown for effect in part.effects)
    for group, part in shown:
        for effect in part.effects:
            head = _head(group, effect.variant)
            for column in COLUMNS:
                if column.key in effect.values:
                    value = effect.values[column.key]
                    against = (effect.reference.arm, effect.reference.plan)
                    rows.append((*head, *against, column.key, *_ends(value), column.judged(value)))
            cells = [
                NOTHING
                if column.key not in effect.values
                else f"{interval_text(effect.values[column.key], column)} {column.judged(effect.values[column.key])}"
                for column in COLUMNS
                if column.key in keys
            ]
            texts.append((*texts_of(head), effect.reference.label, _seeds(effect.seeds), *cells))
    columns = (*_HEAD, "reference_arm", "reference_plan", "metric", *_ENDS, "judged")
    titles = (*_HEAD, "minus", "seeds", *(f"{c.change} {c.arrow}".strip() for c in COLUMNS if c.key in keys))
    return Table("transparency_differences", columns, tuple(rows), titles, tuple(texts))


def _agreement(shown: Sequence[Shown]) -> Table:
    rows, texts = [], []

    def add(head: tuple[Any, ...], value: Range | None) -> None:
        if value is not None:
            rows.append((*head, value.mean, value.low, value.high, value.n))
            texts.append(
                (*texts_of(head), number(value.mean), f"{number(value.low)} to {number(value.high)}", str(value.n))
            )

    for group, part in shown:
        for likeness in part.likenesses:
            for i, a in enumerate(likeness.variants):
                head = (group.data, group.model, likeness.key)
                add((*head, "ceiling", a.label, a.label), likeness.cells[i][i])
                add((*head, "seeds", a.label, a.label), likeness.seeds[i])
                add((*head, "zero", a.label, a.label), likeness.zero[i])
                for j, b in enumerate(likeness.variants[:i]):
                    add((*head, "between", b.label, a.label), likeness.cells[i][j])
    names = ("data", "model", "measure", "kind", "a", "b")
    columns, titles = (*names, "mean", "lowest", "highest", "pairs"), (*names, "mean", "range", "pairs")
    return Table("agreement", columns, tuple(rows), titles, tuple(texts))


def _classes(shown: Sequence[Shown]) -> Table:
    rows, texts = [], []
    for group, part in shown:
        for row in part.classes:
            for variant, right, gap in zip(part.measured.variants, row.accuracy, row.road, strict=True):
                head = (*_head(group, variant), row.name, row.images)
                rows.append((*head, *_ends(right)[:3], *_ends(gap)[:3]))
                texts.append((*texts_of(head), interval_text(right, ACCURACY), interval_text(gap, ROAD)))
    columns = (*_HEAD, "class", "images", *(f"{key}_{end}" for key in ("accuracy", "road_gap") for end in _ENDS[:3]))
    titles = (*_HEAD, "class", "images", "accuracy, %", "ROAD gap")
    return Table("transparency_classes", columns, tuple(rows), titles, tuple(texts))


def _tradeoff(shown: Sequence[Shown]) -> Table:
    rows, texts = [], []
    for group, part in shown:
        for mark in part.marks:
            head = (*_head(group, mark.variant), mark.seed)
            rows.append((*head, mark.accuracy, mark.stored, mark.road, mark.best))
            sizes = (number(mark.accuracy), kilobytes(mark.stored), number(mark.road, 3))
            texts.append((*texts_of(head), *sizes, "yes" if mark.best else "no"))
    columns = (*_HEAD, "seed", "test_percent", "stored_bytes", "road_gap", "pareto")
    titles = (*_HEAD, "seed", "test accuracy (%)", "stored (kB)", "ROAD gap", "on the front")
    return Table("tradeoff", columns, tuple(rows), titles, tuple(texts))


def _curves(shown: Sequence[Shown]) -> Table:
    rows, texts = [], []
    for group, part in shown:
        for variant, watched in part.watched.items():
            for name, points in watched.removal.items():
                for fraction, value in points:
                    head = (*_head(group, variant), *name.split(" "))
                    rows.append((*head, fraction, value.n, value.mean, value.sd))
                    texts.append((*texts_of(head), number(100 * fraction, 0), str(value.n), spread_text(value, 3)))
    names = (*_HEAD, "what", "fill", "order")
    columns, titles = (*names, "removed_fraction", "n", "mean", "sd"), (*names, "removed (%)", "n", "value")
    return Table("removal_curves", columns, tuple(rows), titles, tuple(texts))


def _randomisation(shown: Sequence[Shown]) -> Table:
    rows, texts = [], []
    for group, part in shown:
        for variant, watched in part.watched.items():
            for step in watched.steps:
                head = (*_head(group, variant), step.count, step.layer, step.value.n)
                rows.append((*head, step.value.mean, step.value.sd))
                texts.append((*texts_of(head), spread_text(step.value, 3)))
    columns = (*_HEAD, "layers_drawn_again", "last_layer", "n", "spearman_mean", "spearman_sd")
    titles = (*_HEAD, "layers drawn again", "last layer", "n", "Spearman")
    return Table("randomisation", columns, tuple(rows), titles, tuple(texts))


def _head(group: Group, variant: Variant) -> tuple[str, str, str, str | None]:
    return (group.data, group.model, variant.arm, variant.plan)


def _keys(tables: Iterable[Mapping[str, Interval]]) -> set[str]:
    return {key for values in tables for key in values}


def _seeds(count: int) -> str:
    return str(count) if count >= 3 else f"{count} (fewer than 3)"


def _cells(keys: set[str], values: Mapping[str, Interval]) -> tuple[str, ...]:
    return tuple(interval_text(values.get(column.key), column) for column in COLUMNS if column.key in keys)


def _ends(value: Interval | None) -> tuple[Any, ...]:
    if value is None:
        return (None,) * len(_ENDS)
    ends = (value.low, value.high) if known(value) else (None, None)
    return (_finite(value.mean), *ends, value.seeds, value.images)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
