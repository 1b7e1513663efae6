"""Medians and ratios of times that were taken in turns."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

Times = dict[int, float]
"""Milliseconds by round."""


@dataclass(frozen=True)
class Ratio:
    """Of the ratios of two times of the same round: median, quartiles, extremes, and how many rounds there were."""

    median: float
    lower: float
    upper: float
    least: float
    most: float
    rounds: int


def ratio(over: Times, under: Times) -> Ratio | None:
    """The ratio of times of the same round; None where no round has both."""
    ratios = [round(over[number] / under[number], 4) for number in over if number in under]
    if not ratios:
        return None
    lower, median, upper = statistics.quantiles(ratios, n=4, method="inclusive") if len(ratios) > 1 else ratios * 3
    return Ratio(median, lower, upper, min(ratios), max(ratios), len(ratios))
