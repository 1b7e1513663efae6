"""Everything that is counted of one group, once, and handed on to words, charts, tables and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from glassbit.report.read import Group, Measured, read_measured, read_pairs
from glassbit.runs import Variant

from ._accuracy import Accuracy, accuracies
from ._cascades import Watched, watched
from ._classes import Classes, classes
from ._costs import PlanCost, costs
from ._deployed import Deployed, deployments
from ._effects import ByClass, Effect, Level, by_class, effects, levels
from ._likeness import Likeness, likenesses
from ._marks import Mark, marks
from ._masking import MaskingNumbers, masking_numbers
from ._training import Series, Shares, floored, series, shares


@dataclass(frozen=True)
class Explained:
    """What the measurements of a group say.

    Args:
        shares: what part of the pixels each region of a data set with known regions has.
        compared: how many images the maps are compared on, where that is known.
        classes: a row per class, an interval per variant.
        watched: the curves of each variant.
    """

    measured: Measured
    levels: tuple[Level, ...]
    effects: tuple[Effect, ...]
    shares: Mapping[str, float]
    likenesses: tuple[Likeness, ...]
    compared: int | None
    classes: tuple[ByClass, ...]
    marks: tuple[Mark, ...]
    watched: Mapping[Variant, Watched]


@dataclass(frozen=True)
class Numbers:
    """All numbers of one group.

    Args:
        series: what the logs say, over the epochs.
        floored: by variant and layer whose alpha was at its floor, the first epoch of each run where it was.
        explained: None where no run was measured.
    """

    group: Group
    accuracies: tuple[Accuracy, ...]
    deployments: tuple[Deployed, ...]
    classes: Classes | None
    costs: tuple[PlanCost, ...]
    masking: MaskingNumbers
    series: Mapping[Variant, Series]
    shares: tuple[Shares, ...]
    floored: Mapping[tuple[str, str], tuple[int, ...]]
    explained: Explained | None


def numbers(group: Group) -> Numbers:
    """Count everything."""
    return Numbers(
        group=group,
        accuracies=accuracies(group),
        deployments=deployments(group),
        classes=classes(group),
        costs=costs(group),
        masking=masking_numbers(group),
        series=series(group),
        shares=shares(group),
        floored=floored(group),
        explained=explained(group),
    )


def explained(group: Group) -> Explained | None:
    """Count what was measured; None where no run was.

    Raises:
        RunError: `agreement.json` is not what it should be.
    """
    measured = read_measured(group)
    if measured is None:
        return None
    pairs = read_pairs(group)
    taken = {variant: measured.of(variant) for variant in measured.variants}
    return Explained(
        measured=measured,
        levels=levels(measured),
        effects=effects(measured),
        shares=measured.taken[0].measurement.facts.get("region_shares") or {},
        likenesses=likenesses(group, pairs.pairs),
        compared=pairs.images,
        classes=by_class(list(taken.values())),
        marks=marks(measured),
        watched={variant: watched(these) for variant, these in taken.items()},
    )
