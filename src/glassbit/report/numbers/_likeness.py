"""How alike the maps of a group's networks are, between the anchors that say what that is worth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glassbit.report.read import MEASURES, Group, Pair
from glassbit.runs import Variant


@dataclass(frozen=True)
class Range:
    """A mean over n pairs of runs, and the lowest and highest of them."""

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Likeness:
    """One measure of agreement between the variants of a group.

    Args:
        key, title: of the measure.
        variants: in order.
        cells: a row and a column per variant, symmetric; on the diagonal the ceiling, a network against itself under
            input noise.
        seeds: each variant against itself from another seed.
        zero: each variant against its own map with its pixels shuffled.
    """

    key: str
    title: str
    variants: tuple[Variant, ...]
    cells: tuple[tuple[Range | None, ...], ...]
    seeds: tuple[Range | None, ...]
    zero: tuple[Range | None, ...]

    def between(self, variant: Variant, reference: Variant) -> Range | None:
        """Return the agreement of two variants; the ceiling where they are the same."""
        if not {variant, reference} <= set(self.variants):
            return None
        return self.cells[self.variants.index(variant)][self.variants.index(reference)]

    def floor(self, variant: Variant) -> Range | None:
        """Return the agreement of two trainings of `variant`."""
        return self.seeds[self.variants.index(variant)] if variant in self.variants else None

    def relative(self, value: Range, reference: Variant) -> float | None:
        """Where `value` lies between random (0) and the ceiling (1) of `reference`; None where these are not known."""
        ceiling = self.between(reference, reference)
        zero = None if ceiling is None else self.zero[self.variants.index(reference)]
        if ceiling is None or zero is None or ceiling.mean <= zero.mean:
            return None
        return (value.mean - zero.mean) / (ceiling.mean - zero.mean)


def likenesses(group: Group, pairs: Sequence[Pair]) -> tuple[Likeness, ...]:
    """One entry for each measure that some pair of runs of the group has."""
    by_id = {run.id: run.variant for run in group.runs}
    rows = []
    for key, title in MEASURES.items():
        values: dict[tuple[str, frozenset[Variant]], list[float]] = defaultdict(list)
        for pair in pairs:
            if key in pair.values:
                values[pair.kind, frozenset((by_id[pair.a], by_id[pair.b]))].append(pair.values[key])
        if values:
            rows.append(_likeness(group, key, title, values))
    return tuple(rows)


def _likeness(
    group: Group, key: str, title: str, values: Mapping[tuple[str, frozenset[Variant]], Sequence[float]]
) -> Likeness:
    having = {variant for _, pair in values for variant in pair}
    variants = tuple(variant for variant in group.variants if variant in having)

    def at(kind: str, *pair: Variant) -> Range | None:
        similarity = values.get((kind, frozenset(pair)))
        return (
            None
            if similarity is None
            else Range(sum(similarity) / len(similarity), min(similarity), max(similarity), len(similarity))
        )

    return Likeness(
        key=key,
        title=title,
        variants=variants,
        cells=tuple(tuple(at("ceiling" if a == b else "between", a, b) for b in variants) for a in variants),
        seeds=tuple(at("seeds", variant) for variant in variants),
        zero=tuple(at("zero", variant) for variant in variants),
    )
