"""What the logs say: every value over the epochs, and the shares of activations at the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from glassbit.report.read import Group
from glassbit.runs import Epoch, Variant

from ._accuracy import percent
from ._statistics import Points, Spread, spread

_PARTS = ("train", "validation", "alphas", "steps", "clipped", "zeros")
Series = Mapping[str, Mapping[str, Points]]
"""Part of a line of the log -> key -> mean over seeds after each epoch that has the value."""


@dataclass(frozen=True)
class Shares:
    """Clipped and exactly-zero shares of one layer's activations in the last epoch, in per cent."""

    variant: Variant
    layer: str
    clipped: Spread | None
    zeros: Spread | None


def series(group: Group) -> dict[Variant, Series]:
    """Return the curves of every variant whose runs logged an epoch."""
    runs = {variant: curves for variant in group.variants if (curves := group.curves_of(variant))}
    return {variant: _series([epoch for run in curves for epoch in run.epochs]) for variant, curves in runs.items()}


def shares(group: Group) -> tuple[Shares, ...]:
    """One row per layer and variant, from the last epoch of each finished run that was not in deployed arithmetic;
    only quantizers clip.
    """
    rows = []
    for variant in group.variants:
        floats = [[epoch for epoch in run.epochs if not epoch.deployed] for run in group.of(variant)]
        last = [epochs[-1] for epochs in floats if epochs]
        layers = dict.fromkeys(name for epoch in last for part in ("clipped", "zeros") for name in epoch.series(part))
        for layer in layers:
            clipped, zeros = (
                spread([percent(epoch.series(part).get(layer)) for epoch in last]) for part in ("clipped", "zeros")
            )
            rows.append(Shares(variant, layer, None if variant.plan is None else clipped, zeros))
    return tuple(rows)


def floored(group: Group) -> dict[tuple[str, str], tuple[int, ...]]:
    """By variant and layer whose alpha was at its floor, the first epoch of each run where it was."""
    first: dict[tuple[str, str], list[int]] = {}
    for run in group.runs:
        seen: set[str] = set()
        for epoch in run.epochs:
            for layer in set(epoch.floored or ()) - seen:
                seen.add(layer)
                first.setdefault((run.variant.label, layer), []).append(epoch.epoch)
    return {key: tuple(epochs) for key, epochs in sorted(first.items())}


def _series(epochs: Iterable[Epoch]) -> dict[str, dict[str, Points]]:
    values: dict[str, dict[str, dict[int, list[float | None]]]] = {part: {} for part in _PARTS}
    for epoch in epochs:
        for part in _PARTS:
            for key, value in epoch.series(part).items():
                values[part].setdefault(key, {}).setdefault(epoch.epoch, []).append(value)
    return {part: {key: _means(curves) for key, curves in keys.items()} for part, keys in values.items()}


def _means(by_epoch: Mapping[int, list[float | None]]) -> Points:
    means = ((epoch, spread(values)) for epoch, values in sorted(by_epoch.items()))
    return tuple((epoch, mean) for epoch, mean in means if mean is not None)
