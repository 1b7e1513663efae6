"""The columns of the transparency tables: accuracy and every metric, and how their numbers are printed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from glassbit.evidence import METRICS, Interval

_ARROWS = {"higher": "↑", "lower": "↓", "": ""}


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
        """Return what a difference means: `better`, `worse`, `differs` where neither direction is, or `cannot tell`."""
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
    """Return the name of what is measured or absent under a key."""
    return _TITLES.get(key, key)


def known(value: Interval) -> bool:
    """Whether there were images enough for a mean and an interval."""
    return not math.isnan(value.mean) and not math.isnan(value.low)
