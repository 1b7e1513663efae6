"""The tables of training (alphas, step sizes, learning curves) and of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from glassbit.report.numbers import Numbers
from glassbit.report.read import Group
from glassbit.report.words import number, spread_text
from glassbit.runs import Variant

from ._table import Table, pair, texts

_CURVES = (
    ("validation", "accuracy"),
    ("validation", "loss"),
    ("train", "accuracy"),
    ("train", "loss"),
    ("train", "classification"),
    ("train", "consistency"),
)


def training_tables(groups: Sequence[Numbers]) -> list[Table]:
    """`alphas`, `steps` and `curves`: what the charts of training are drawn from."""
    return [_by_layer(groups, "alphas", "alpha"), _by_layer(groups, "steps", "step"), _curves(groups)]


def class_tables(groups: Sequence[Numbers]) -> list[Table]:
    """`classes`, the accuracy of each class, and `confusion`, every cell of the matrices."""
    return [_classes(groups), _confusion(groups)]


def _by_layer(groups: Sequence[Numbers], key: str, name: str) -> Table:
    rows, shown = [], []
    for known in groups:
        for variant, parts in known.series.items():
            for layer, points in parts[key].items():
                for epoch, value in points:
                    head = (*_head(known.group, variant), layer, epoch, value.n)
                    rows.append((*head, *pair(value)))
                    shown.append((*texts(head), spread_text(value, 4)))
    columns = ("data", "model", "arm", "plan", "layer", "epoch", "n", f"{name}_mean", f"{name}_sd")
    return Table(key, columns, tuple(rows), (*columns[:7], name), tuple(shown))


def _curves(groups: Sequence[Numbers]) -> Table:
    rows, shown = [], []
    for known in groups:
        for variant, parts in known.series.items():
            for part, key in _CURVES:
                for epoch, value in parts[part].get(key, ()):
                    head = (*_head(known.group, variant), f"{part}_{key}", epoch, value.n)
                    rows.append((*head, *pair(value)))
                    shown.append((*texts(head), spread_text(value, 4)))
    columns = ("data", "model", "arm", "plan", "quantity", "epoch", "n", "mean", "sd")
    return Table("curves", columns, tuple(rows), (*columns[:7], "value"), tuple(shown))


def _classes(groups: Sequence[Numbers]) -> Table:
    rows, shown = [], []
    for known in groups:
        for row in known.classes.rows if known.classes else ():
            for variant, value in zip(known.classes.variants if known.classes else (), row.accuracies, strict=True):
                if value is not None:
                    head = (*_head(known.group, variant), row.name, row.images, value.n)
                    rows.append((*head, *pair(value)))
                    shown.append((*texts(head), spread_text(value)))
    columns = ("data", "model", "arm", "plan", "class", "images", "n", "accuracy_percent_mean", "accuracy_percent_sd")
    return Table("classes", columns, tuple(rows), (*columns[:7], "accuracy (%)"), tuple(shown))


def _confusion(groups: Sequence[Numbers]) -> Table:
    rows, shown = [], []
    for known in groups:
        for confusion in known.classes.confusions if known.classes else ():
            names = known.classes.names if known.classes else ()
            for true, predicted in zip(*confusion.counts.nonzero(), strict=True):
                head = (*_head(known.group, confusion.variant), names[true], names[predicted])
                rows.append((*head, int(confusion.counts[true, predicted])))
                share = number(100 * confusion.shares[true, predicted], 1)
                shown.append((*texts(head), str(rows[-1][-1]), share))
    columns = ("data", "model", "arm", "plan", "true", "predicted", "images")
    return Table("confusion", columns, tuple(rows), (*columns, "of the true class (%)"), tuple(shown))


def _head(group: Group, variant: Variant) -> tuple[Any, ...]:
    return group.data, group.model, variant.arm, variant.plan
