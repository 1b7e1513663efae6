"""How alike the maps of a group's networks are, between the anchors that say what that is worth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassbit._errors import RunError
from glassbit._files import read_object
from glassbit.report.read import Group, Variant

_AGAIN = "remove it and measure the study again"
KINDS = ("between", "seeds", "ceiling", "zero")
MEASURES = {
    "spearman": "Spearman rank correlation",
    "ssim": "SSIM, 7 × 7 window",
    "iou": "overlap (IoU) of the top 10 % of the pixels",
    "predictions": "share of images with the same prediction",
}


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
        cells: a row and a column a variant, symmetric; on the diagonal the ceiling, a network against itself under
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
        """The agreement of two variants; the ceiling where they are the same."""
        if not {variant, reference} <= set(self.variants):
            return None
        return self.cells[self.variants.index(variant)][self.variants.index(reference)]

    def floor(self, variant: Variant) -> Range | None:
        """The agreement of two trainings of `variant`."""
        return self.seeds[self.variants.index(variant)] if variant in self.variants else None

    def relative(self, value: Range, reference: Variant) -> float | None:
        """Where `value` lies between random (0) and the ceiling (1) of `reference`; None where these are not known."""
        ceiling = self.between(reference, reference)
        zero = None if ceiling is None else self.zero[self.variants.index(reference)]
        if ceiling is None or zero is None or ceiling.mean <= zero.mean:
            return None
        return (value.mean - zero.mean) / (ceiling.mean - zero.mean)


def likenesses(group: Group) -> list[Likeness]:
    """One entry for each measure that the study's `agreement.json` has for runs of the group.

    Raises:
        RunError: the file is not what it should be.
    """
    by_id = {run.id: run.variant for run in group.runs if run.finished}
    pairs = [pair for pair in _pairs(_beside(group)) if pair["a"] in by_id and pair["b"] in by_id]
    found = []
    for key, title in MEASURES.items():
        values: dict[tuple[str, frozenset[Variant]], list[float]] = defaultdict(list)
        for pair in pairs:
            if pair.get(key) is not None:
                values[pair["kind"], frozenset((by_id[pair["a"]], by_id[pair["b"]]))].append(float(pair[key]))
        if values:
            found.append(_likeness(group, key, title, values))
    return found


def pictures_compared(group: Group) -> int | None:
    """How many images the maps are compared on, where `agreement.json` says so."""
    path = _beside(group)
    count = read_object(path, _AGAIN).get("images") if path.is_file() else None
    return count if isinstance(count, int) else None


def _likeness(
    group: Group, key: str, title: str, values: Mapping[tuple[str, frozenset[Variant]], Sequence[float]]
) -> Likeness:
    having = {variant for _, pair in values for variant in pair}
    variants = tuple(variant for variant in group.variants if variant in having)

    def at(kind: str, *pair: Variant) -> Range | None:
        found = values.get((kind, frozenset(pair)))
        return None if found is None else Range(sum(found) / len(found), min(found), max(found), len(found))

    return Likeness(
        key=key,
        title=title,
        variants=variants,
        cells=tuple(tuple(at("ceiling" if a == b else "between", a, b) for b in variants) for a in variants),
        seeds=tuple(at("seeds", variant) for variant in variants),
        zero=tuple(at("zero", variant) for variant in variants),
    )


def _beside(group: Group) -> Path:
    return group.runs[0].folder.parent.parent / "agreement.json"


def _pairs(path: Path) -> list[Mapping[str, Any]]:
    if not path.is_file():
        return []
    pairs = read_object(path, _AGAIN).get("pairs")
    if isinstance(pairs, list) and all(map(_whole, pairs)):
        return pairs
    raise RunError(f"{path}: must list pairs, each with a, b and a kind of {', '.join(KINDS)}; {_AGAIN}")


def _whole(pair: Any) -> bool:
    return isinstance(pair, dict) and {"a", "b", "kind"} <= pair.keys() and pair["kind"] in KINDS
