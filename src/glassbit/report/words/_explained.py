"""What the measurements of a group say, part by part."""

from __future__ import annotations

from glassbit.report.numbers import ROAD, Explained, Mark, title
from glassbit.runs import Variant

from ._conclusions import agreement_sentences, answers, looks, road_sentence
from ._format import seeds_named


def lead(known: Explained) -> tuple[str, ...]:
    """Return the conclusions on the whole, those on quantization first."""
    ranked = next((one for one in known.likenesses if one.key == "spearman"), None)
    return (
        *answers(known.effects),
        *(agreement_sentences(ranked, known.effects) if ranked else ()),
        *looks([(level.variant.label, level.values, level.seeds) for level in known.levels], known.shares),
    )


def road_sentences(known: Explained, cause: str) -> tuple[str, ...]:
    """Return a sentence per comparison of ROAD gaps between networks that differ in `cause`."""
    compared = [effect for effect in known.effects if ROAD.key in effect.values]
    return tuple(road_sentence(effect) for effect in compared if effect.cause == cause)


def best(marks: tuple[Mark, ...]) -> str:
    """Return the members of the Pareto front: each variant with its seeds there."""
    seeds: dict[Variant, list[int]] = {}
    for mark in marks:
        if mark.best:
            seeds.setdefault(mark.variant, []).append(mark.seed)
    return "; ".join(f"{variant.label} ({seeds_named(these)})" for variant, these in seeds.items())


def absent(known: Explained) -> tuple[str, ...]:
    """Why a column has no numbers for some networks: a reason once, with the variants it holds for."""
    absent_keys: dict[tuple[str, str], dict[str, None]] = {}
    for item in known.measured.taken:
        for key, why in item.measurement.absent.items():
            absent_keys.setdefault((title(key), why), {})[item.run.variant.label] = None
    said = []
    for (name, why), labels in absent_keys.items():
        whose = "" if len(labels) == len(known.measured.variants) else f" ({', '.join(labels)})"
        said.append(f"{name}{whose}: {why}")
    return tuple(said)
