"""The transparency section of a group: what its measurements say, and what they are shown with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from glassbit.report.draw import Chart, Drawn, orders_chart, randomisation_chart, removal_chart, styles, tradeoff_chart
from glassbit.report.numbers import (
    ROAD,
    ByClass,
    Effect,
    Level,
    Likeness,
    Mark,
    by_class,
    effects,
    levels,
    likenesses,
    marks,
    pictures_compared,
    title,
)
from glassbit.report.read import Group, Measured, Variant, read_measured
from glassbit.report.words import agreement_sentences, answers, images_named, looks, road_sentence, seeds_named

from ._parts import Part, parts


@dataclass(frozen=True)
class Transparency:
    """All that the page shows of a group's measurements; an empty part is left out.

    Args:
        lead: the conclusions on the whole, those on quantization first.
        bits, objective: a sentence a comparison of ROAD gaps, by what is compared.
        shares: what part of the pixels each region of a data set with known regions has.
        best: the members of the Pareto front, in words.
    """

    measured: Measured
    lead: tuple[str, ...]
    bits: tuple[str, ...]
    objective: tuple[str, ...]
    levels: tuple[Level, ...]
    level_parts: tuple[Part, ...]
    effects: tuple[Effect, ...]
    effect_parts: tuple[Part, ...]
    shares: Mapping[str, float]
    absent: tuple[str, ...]
    likenesses: tuple[Likeness, ...]
    compared: int | None
    classes: tuple[ByClass, ...]
    marks: tuple[Mark, ...]
    best: str
    tradeoff: Chart | None
    removal: tuple[Chart, ...]
    randomisation: Chart | None

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Every chart, for the files on disk."""
        return tuple(chart for chart in (self.tradeoff, *self.removal, self.randomisation) if chart is not None)

    @property
    def few(self) -> int | None:
        """The fewest seeds of a variant, where they are fewer than 3."""
        fewest = min(level.seeds for level in self.levels)
        return fewest if fewest < 3 else None

    @property
    def images(self) -> str:
        """How many images, in words."""
        return images_named(self.measured.images)


def transparency(group: Group, slug: str) -> Transparency | None:
    """Collect it; None where no run of `group` has a measurement. `slug` prefixes the names of charts."""
    measured = read_measured(group)
    if measured is None:
        return None
    means, changes, alike, found = levels(measured), effects(measured), likenesses(group), marks(measured)
    shares = measured.taken[0].measurement.facts.get("region_shares") or {}
    look = styles(group)
    drawn = [
        Drawn(variant.arm, measured.of(variant), look[variant], variant.plan or "full precision")
        for variant in measured.variants
    ]
    each = [replace(one, label=variant.label) for one, variant in zip(drawn, measured.variants, strict=True)]
    removal = (
        removal_chart(drawn, what="accuracy", fill="linear"),
        orders_chart(each, what="accuracy", fill="linear"),
        removal_chart(drawn, what="accuracy", fill="constant"),
        removal_chart(drawn, what="probability", fill="linear"),
        removal_chart(drawn, what="probability", fill="constant"),
    )

    def named(chart: Chart | None) -> Chart | None:
        return replace(chart, name=f"{slug}-{chart.name}") if chart is not None and slug else chart

    compared = [change for change in changes if ROAD.key in change.values]
    ranked = next((one for one in alike if one.key == "spearman"), None)
    return Transparency(
        measured=measured,
        lead=(
            *answers(changes),
            *(agreement_sentences(ranked, changes) if ranked else ()),
            *looks([(level.variant.label, level.values, level.seeds) for level in means], shares),
        ),
        bits=tuple(road_sentence(change) for change in compared if change.cause == "bits"),
        objective=tuple(road_sentence(change) for change in compared if change.cause == "objective"),
        levels=tuple(means),
        level_parts=tuple(parts(level.values for level in means)),
        effects=tuple(changes),
        effect_parts=tuple(parts(change.values for change in changes)),
        shares=shares,
        absent=_absent(measured),
        likenesses=tuple(alike),
        compared=pictures_compared(group),
        classes=tuple(by_class([measured.of(variant) for variant in measured.variants])),
        marks=tuple(found),
        best=_best(found),
        tradeoff=named(tradeoff_chart(found, look)),
        removal=tuple(chart for chart in map(named, removal) if chart is not None),
        randomisation=named(randomisation_chart(drawn)),
    )


def _best(found: list[Mark]) -> str:
    """The members of the front: each variant with its seeds there."""
    seeds: dict[Variant, list[int]] = {}
    for mark in found:
        if mark.best:
            seeds.setdefault(mark.variant, []).append(mark.seed)
    return "; ".join(f"{variant.label} ({seeds_named(these)})" for variant, these in seeds.items())


def _absent(measured: Measured) -> tuple[str, ...]:
    """Why a column has no numbers for some networks: a reason once, with the variants it holds for."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for item in measured.taken:
        for key, why in item.measurement.absent.items():
            found.setdefault((title(key), why), {})[item.run.variant.label] = None
    said = []
    for (name, why), labels in found.items():
        whose = "" if len(labels) == len(measured.variants) else f" ({', '.join(labels)})"
        said.append(f"{name}{whose}: {why}")
    return tuple(said)
