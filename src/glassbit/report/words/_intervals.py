"""Intervals as people read them."""

from __future__ import annotations

import math

from glassbit.evidence import Interval
from glassbit.report.numbers import ROAD, Column, known

from ._format import NOTHING, number

_MOST = 6  # digits


def ends_text(value: Interval, column: Column = ROAD) -> tuple[str, str]:
    """Return the ends of a known interval, with more digits where a decided one would seem to touch 0.

    >>> ends_text(Interval(0.01, 0.0002, 0.02, seeds=3, images=1000))
    ('0.0002', '0.0200')
    """
    digits = column.digits
    nearest = min(abs(value.low), abs(value.high))
    while value.decided and round(column.scale * nearest, digits) == 0 and digits < _MOST:
        digits += 1
    return number(column.scale * value.low, digits), number(column.scale * value.high, digits)


def bracket_text(value: Interval, column: Column = ROAD) -> str:
    """Return the ends of an interval.

    >>> bracket_text(Interval(-0.002, -0.0101, 0.006, seeds=3, images=1000))
    '[−0.010, 0.006]'
    """
    if not known(value):
        return "[unknown]"
    low, high = ends_text(value, column)
    return f"[{low}, {high}]"


def interval_text(value: Interval | None, column: Column = ROAD) -> str:
    """Return a mean with its interval; a dash where nothing was measured.

    >>> interval_text(Interval(0.113, 0.0951, 0.131, seeds=3, images=1000)), interval_text(None)
    ('0.113 [0.095, 0.131]', '–')
    """
    if value is None or math.isnan(value.mean):
        return NOTHING
    return f"{scaled(value.mean, column)} {bracket_text(value, column)}"


def scaled(value: float, column: Column) -> str:
    """Return a number in the unit and with the digits of its column."""
    return number(column.scale * value, column.digits)
