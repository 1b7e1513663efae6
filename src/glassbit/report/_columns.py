"""The columns of the transparency tables: accuracy and every metric, and how their numbers are printed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from glassbit.evidence import METRICS, Interval

from ._format import NOTHING, number

_ARROWS = {"higher": "↑", "lower": "↓", "": ""}
_MOST = 6  # digits


@dataclass(frozen=True)
class Column:
    """One quantity of a network.

    Args:
        key: its name in files; `accuracy`, or the key of a metric.
        title: its name in tables.
        better: the direction that speaks for the network; empty where neither does.
        group: the question that it answers.
        what: a sentence for the reader.
        scale: what a number is multiplied with before it is printed.
        digits: printed after the point.
    """

    key: str
    title: str
    better: Literal["higher", "lower", ""]
    group: str
    what: str
    scale: float = 1.0
    digits: int = 3

    @property
    def arrow(self) -> str:
        """The better direction."""
        return _ARROWS[self.better]

    @property
    def change(self) -> str:
        """The title of a difference: per cent differ by points."""
        return self.title.replace("%", "points")

    def judged(self, change: Interval) -> str:
        """What a difference means: `better`, `worse`, `differs` where neither direction is, or `cannot tell`."""
        if not known(change) or not change.decided:
            return "cannot tell"
        if not self.better:
            return "differs"
        return "better" if (change.low > 0) == (self.better == "higher") else "worse"


ACCURACY = Column(
    "accuracy", "accuracy, %", "higher", "accuracy", "How many of all test images are classified rightly.", 100.0, 2
)
COLUMNS = (
    ACCURACY,
    *(
        Column(m.key, m.title, m.better, f"{m.group}: ROAD" if m.key.startswith("road_") else m.group, m.what)
        for m in METRICS
    ),
)
ROAD = next(column for column in COLUMNS if column.key == "road_gap")
_TITLES = {column.key: column.title for column in COLUMNS} | {"randomisation": "randomised weights"}


def title(key: str) -> str:
    """The name of what is measured or absent under a key."""
    return _TITLES.get(key, key)


def known(value: Interval) -> bool:
    """Whether there were images enough for a mean and an interval."""
    return not math.isnan(value.mean) and not math.isnan(value.low)


def ends_text(value: Interval, column: Column = ROAD) -> tuple[str, str]:
    """The ends of a known interval, with more digits where a decided one would seem to touch 0.

    >>> ends_text(Interval(0.01, 0.0002, 0.02, seeds=3, images=1000))
    ('0.0002', '0.0200')
    """
    digits = column.digits
    nearest = min(abs(value.low), abs(value.high))
    while value.decided and round(column.scale * nearest, digits) == 0 and digits < _MOST:
        digits += 1
    return number(column.scale * value.low, digits), number(column.scale * value.high, digits)


def bracket_text(value: Interval, column: Column = ROAD) -> str:
    """The ends of an interval.

    >>> bracket_text(Interval(-0.002, -0.0101, 0.006, seeds=3, images=1000))
    '[−0.010, 0.006]'
    """
    if not known(value):
        return "[unknown]"
    low, high = ends_text(value, column)
    return f"[{low}, {high}]"


def interval_text(value: Interval | None, column: Column = ROAD) -> str:
    """A mean with its interval; a dash where nothing was measured.

    >>> interval_text(Interval(0.113, 0.0951, 0.131, seeds=3, images=1000)), interval_text(None)
    ('0.113 [0.095, 0.131]', '–')
    """
    if value is None or math.isnan(value.mean):
        return NOTHING
    return f"{scaled(value.mean, column)} {bracket_text(value, column)}"


def scaled(value: float, column: Column) -> str:
    """A number in the unit and with the digits of its column."""
    return number(column.scale * value, column.digits)
