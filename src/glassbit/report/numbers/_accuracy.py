"""Test accuracy of every variant, and what it lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from glassbit.report.read import Group
from glassbit.runs import REFERENCE, Cost, Result, Variant

from ._statistics import Spread, paired, spread


@dataclass(frozen=True)
class Accuracy:
    """A row of the accuracy table; accuracies in per cent, drops in points (positive = lost).

    Args:
        by_seed: the test accuracy of each seed.
        drop: from the fp32 arm of the same study, paired by seed; None for fp32 itself and where no seed is shared.
        drop_own: from the full-precision arm of the same objective; only for arms that mask.
        own: the name of that arm.
        cost: of the first seed.
    """

    variant: Variant
    by_seed: Mapping[int, float]
    test: Spread
    validation: Spread | None
    drop: Spread | None
    drop_own: Spread | None
    own: str | None
    cost: Cost


def accuracies(group: Group) -> tuple[Accuracy, ...]:
    """One row for each variant that has a finished run."""
    results = {variant: by_seed for variant in group.variants if (by_seed := group.results_of(variant))}
    tested = {variant: tested_by_seed(by_seed) for variant, by_seed in results.items()}

    def drop(variant: Variant, arm: str | None) -> Spread | None:
        reference = None if arm is None else tested.get(Variant(arm))
        return None if reference is None or arm == variant.label else paired(reference, tested[variant])

    rows = []
    for variant, by_seed in results.items():
        test = spread(list(tested[variant].values()))
        assert test is not None
        own = variant.float_arm if variant.float_arm != REFERENCE else None
        held = [one.validation.accuracy if one.validation else None for one in by_seed.values()]
        rows.append(
            Accuracy(
                variant=variant,
                by_seed=tested[variant],
                test=test,
                validation=spread([percent(value) for value in held]),
                drop=drop(variant, REFERENCE),
                drop_own=drop(variant, own),
                own=own,
                cost=next(iter(by_seed.values())).cost,
            )
        )
    return tuple(rows)


def tested_by_seed(results: Mapping[int, Result]) -> dict[int, float]:
    """Test accuracy in per cent, by seed."""
    return {seed: 100.0 * result.test.accuracy for seed, result in results.items()}


def percent(value: float | None) -> float | None:
    """Return a share in per cent."""
    return None if value is None else 100.0 * value
