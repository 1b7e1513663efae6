"""Wide tables of intervals, cut into parts that fit a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from glassbit.evidence import Interval
from glassbit.report.numbers import COLUMNS, Column

_WIDE = 6


@dataclass(frozen=True)
class Part:
    """Some columns side by side, with the groups they belong to and how many columns each spans."""

    groups: tuple[tuple[str, int], ...]
    columns: tuple[Column, ...]


def parts(tables: Iterable[Mapping[str, Interval]]) -> list[Part]:
    """Return the columns that some row has, group by group, at most six side by side."""
    keys = {key for values in tables for key in values}
    shown = [column for column in COLUMNS if column.key in keys]
    groups = [
        (group, [column for column in shown if column.group == group])
        for group in dict.fromkeys(column.group for column in shown)
    ]
    made: list[Part] = []
    for group, columns in groups:
        if made and len(made[-1].columns) + len(columns) <= _WIDE:
            last = made.pop()
            made.append(Part((*last.groups, (group, len(columns))), (*last.columns, *columns)))
        else:
            made.append(Part(((group, len(columns)),), tuple(columns)))
    return made
