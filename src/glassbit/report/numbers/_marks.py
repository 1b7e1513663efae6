"""What each run pays, in accuracy and stored bits, for how faithful its maps are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glassbit.report.read import Measured, Taken
from glassbit.runs import Variant

from ._columns import ROAD
from ._pareto import front


@dataclass(frozen=True)
class Mark:
    """One run.

    Args:
        accuracy: on all test images, per cent.
        stored: bytes, every number at its bits.
        road: its mean ROAD gap.
        best: whether it is on the Pareto front: no other run is as good in all three and better in one.
    """

    variant: Variant
    seed: int
    accuracy: float
    stored: float
    road: float
    best: bool


def marks(measured: Measured) -> tuple[Mark, ...]:
    """One entry for each run of which all three are known."""
    means = [
        (item, stored, float(np.nanmean(item.measurement.values[ROAD.key])))
        for item in measured.taken
        if (stored := _stored(item)) is not None and ROAD.key in item.measurement.values
    ]
    if not means:
        return ()
    points = np.array([(item.measurement.accuracy, -stored, road) for item, stored, road in means])
    return tuple(
        Mark(item.run.variant, item.run.seed, 100 * item.measurement.accuracy, stored, road, bool(best))
        for (item, stored, road), best in zip(means, front(points), strict=True)
    )


def _stored(item: Taken) -> float | None:
    return None if item.run.result is None else float(item.run.result.cost.stored_bytes)
