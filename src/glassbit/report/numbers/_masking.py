"""Accuracy as pixels are removed, and the areas between the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glassbit.report.read import Group
from glassbit.runs import Result, Variant

from ._statistics import Points, Spread, area, mean_curve, spread

_Curve = Mapping[float, float]


@dataclass(frozen=True)
class Removal:
    """One fill and variant: by order, the mean curve over seeds of accuracy (a fraction) over the removed fraction.

    Args:
        curves: as measured.
        normalised: each curve divided by the run's own accuracy at nothing removed.
    """

    fill: str
    variant: Variant
    curves: Mapping[str, Points]
    normalised: Mapping[str, Points]


@dataclass(frozen=True)
class Masking:
    """A row of the masking table: areas of accuracy (a fraction) over the removed fraction.

    Args:
        area: random-order curve minus salient-order curve.
        normalised: the same, each curve divided by the run's own accuracy at nothing removed.
        least: least-salient-first curve minus salient-order curve; None where it was not measured.
        images: how many images each curve is measured on.
        reach: the largest removed fraction measured.
    """

    variant: Variant
    fill: str
    area: Spread
    normalised: Spread | None
    least: Spread | None
    images: int | None
    reach: float


@dataclass(frozen=True)
class MaskingNumbers:
    """All that is known of removed pixels.

    Args:
        fills: in the order of the results.
        removals: for each fill and variant with a finished run.
        rows: for those with an area.
    """

    fills: tuple[str, ...]
    removals: tuple[Removal, ...]
    rows: tuple[Masking, ...]


def masking_numbers(group: Group) -> MaskingNumbers:
    """Collect the curves of every run once, and what follows from them."""
    finished = [run.result for run in group.runs if run.result is not None]
    fills = tuple(dict.fromkeys(fill for one in finished if one.masking for fill in one.masking.accuracy))
    removals, rows = [], []
    for fill in fills:
        for variant in group.variants:
            results = list(group.results_of(variant).values())
            raw = [masking_curves(result, fill) for result in results]
            scaled = [_normalised(curves) for curves in raw]
            removals.append(Removal(fill, variant, _means(raw), _means(scaled)))
            gap = spread([_between(curves, "random") for curves in raw])
            if gap is None:
                continue
            rows.append(
                Masking(
                    variant=variant,
                    fill=fill,
                    area=gap,
                    normalised=spread([_between(curves, "random") for curves in scaled]),
                    least=spread([_between(curves, "least") for curves in raw]),
                    images=next((one.masking.n for one in results if one.masking and one.masking.n is not None), None),
                    reach=max(max(curve, default=0.0) for curves in raw for curve in curves.values()),
                )
            )
    return MaskingNumbers(fills, tuple(removals), tuple(rows))


def masking_curves(result: Result, fill: str) -> dict[str, _Curve]:
    """Curves of one run: order -> removed fraction -> accuracy (a fraction); empty where nothing was measured."""
    if result.masking is None:
        return {}
    fractions = [float(fraction) for fraction in result.masking.fractions]
    orders = result.masking.accuracy.get(fill, {})
    return {order: dict(zip(fractions, map(float, values), strict=False)) for order, values in orders.items()}


def _normalised(curves: Mapping[str, _Curve]) -> dict[str, _Curve]:
    """Divided by the run's own accuracy at nothing removed; empty where that is 0 or was not measured."""
    clean = next((curve[0.0] for curve in curves.values() if curve.get(0.0)), None)
    if clean is None:
        return {}
    return {order: {x: y / clean for x, y in curve.items()} for order, curve in curves.items()}


def _means(runs: Sequence[Mapping[str, _Curve]]) -> dict[str, Points]:
    orders = dict.fromkeys(order for curves in runs for order in curves)
    return {order: mean_curve([curves[order] for curves in runs if order in curves]) for order in orders}


def _between(curves: Mapping[str, _Curve], upper: str) -> float | None:
    if upper not in curves or "salient" not in curves:
        return None
    x = sorted(curves[upper].keys() & curves["salient"].keys())
    if len(x) < 2:
        return None
    return area(x, [curves[upper][point] for point in x], [curves["salient"][point] for point in x])
