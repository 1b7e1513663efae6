"""Means and differences of measurements, each with its interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from glassbit.evidence import Interval, Measurement, difference, interval
from glassbit.report.read import Measured
from glassbit.runs import Variant

from ._columns import ACCURACY, COLUMNS, ROAD, Column

DRAWS = 2_000  # an interval's ends are known to 3 % of its half width, and a large study takes seconds


@dataclass(frozen=True)
class Level:
    """What a variant has: an interval per column, by key; only those that every one of its runs has."""

    variant: Variant
    values: Mapping[str, Interval]
    seeds: int


@dataclass(frozen=True)
class Effect:
    """What a variant has more than its reference, over the seeds of both: an interval per column, by key.

    Args:
        cause: what the two differ in: the bits (the reference is the full precision of the same objective), or the
            objective (the reference is cross-entropy at the same plan).
    """

    variant: Variant
    reference: Variant
    cause: Literal["bits", "objective"]
    values: Mapping[str, Interval]
    seeds: int


@dataclass(frozen=True)
class ByClass:
    """One class of the images measured: accuracy and ROAD gap, an interval per network; None where there is none."""

    name: str
    images: int
    accuracy: tuple[Interval | None, ...]
    road: tuple[Interval | None, ...]


def levels(measured: Measured) -> tuple[Level, ...]:
    """One entry per variant."""
    taken = {variant: measured.of(variant) for variant in measured.variants}
    return tuple(Level(variant, level(these), len(these)) for variant, these in taken.items())


def level(taken: Sequence[Measurement]) -> dict[str, Interval]:
    """Return the interval of every column that all of `taken`, networks of one kind, have."""
    intervals = {}
    for column in COLUMNS:
        values = stacked(taken, column)
        if values is not None:
            intervals[column.key] = interval(values, draws=DRAWS)
    return intervals


def effects(measured: Measured) -> tuple[Effect, ...]:
    """Every quantized variant against its full precision, and every masking one against cross-entropy."""
    all_effects = []
    for variant in measured.variants:
        for cause, reference in references(variant).items():
            if reference not in measured.variants:
                continue
            ours, theirs = measured.paired(variant, reference)
            values = {}
            for column in COLUMNS if ours else ():
                more, less = stacked(ours, column), stacked(theirs, column)
                if more is not None and less is not None:
                    values[column.key] = difference(less, more, draws=DRAWS)
            if values:
                all_effects.append(Effect(variant, reference, cause, values, len(ours)))
    return tuple(all_effects)


def references(variant: Variant) -> dict[Literal["bits", "objective"], Variant]:
    """Return what a variant is compared with, by what the two differ in.

    >>> references(Variant("sgt+pact", "w4a4"))
    {'bits': Variant(arm='sgt', plan=None), 'objective': Variant(arm='pact', plan='w4a4')}
    """
    by_cause: dict[Literal["bits", "objective"], Variant] = {}
    if variant.float_arm is not None:
        by_cause["bits"] = Variant(variant.float_arm, None)
    if variant.plain_arm is not None:
        by_cause["objective"] = Variant(variant.plain_arm, variant.plan)
    return by_cause


def by_class(networks: Sequence[Sequence[Measurement]]) -> tuple[ByClass, ...]:
    """Return a row per class, an interval per network; each network has one or more trainings, on the same images."""
    labels, classes = networks[0][0].labels, networks[0][0].classes
    rows = []
    for index, name in enumerate(classes):
        here = labels == index
        right, road = [], []
        for taken in networks:
            hits = np.stack([one.predictions == one.labels for one in taken])[:, here]
            right.append(interval(hits.astype(np.float64), draws=DRAWS) if here.any() else None)
            gaps = stacked(taken, ROAD)
            road.append(interval(gaps[:, here], draws=DRAWS) if gaps is not None and here.any() else None)
        rows.append(ByClass(name, int(here.sum()), tuple(right), tuple(road)))
    return tuple(rows)


def stacked(taken: Sequence[Measurement], column: Column) -> Float[np.ndarray, "s n"] | None:
    """Return the values of a column, trainings x images; None if a training lacks it."""
    if column is ACCURACY:
        return np.stack([one.correct for one in taken]).astype(np.float64)
    if not all(column.key in one.values for one in taken):
        return None
    return np.stack([one.values[column.key] for one in taken]).astype(np.float64)
