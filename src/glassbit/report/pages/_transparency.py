"""The transparency section of a group: what its measurements say, and what they are shown with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from glassbit.report.draw import Chart, Drawn, Style, orders_chart, randomisation_chart, removal_chart, tradeoff_chart
from glassbit.report.numbers import Explained
from glassbit.report.words import absent, best, images_named, lead, road_sentences
from glassbit.runs import Variant

from ._parts import Part, parts


@dataclass(frozen=True)
class Transparency:
    """All that the page shows of a group's measurements; an empty part is left out.

    Args:
        lead: the conclusions on the whole, those on quantization first.
        bits, objective: a sentence per comparison of ROAD gaps, by what is compared.
        best: the members of the Pareto front, in words.
    """

    numbers: Explained
    lead: tuple[str, ...]
    bits: tuple[str, ...]
    objective: tuple[str, ...]
    level_parts: tuple[Part, ...]
    effect_parts: tuple[Part, ...]
    absent: tuple[str, ...]
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
        fewest = min(level.seeds for level in self.numbers.levels)
        return fewest if fewest < 3 else None

    @property
    def images(self) -> str:
        """How many images, in words."""
        return images_named(self.numbers.measured.images)


def transparency(known: Explained, look: Mapping[Variant, Style], slug: str) -> Transparency:
    """Collect it; `slug` prefixes the names of charts."""
    drawn = [
        Drawn(variant.arm, watched, look[variant], variant.plan or "full precision")
        for variant, watched in known.watched.items()
    ]
    each = [replace(one, label=variant.label) for one, variant in zip(drawn, known.watched, strict=True)]
    removal = (
        removal_chart(drawn, what="accuracy", fill="linear"),
        orders_chart(each, what="accuracy", fill="linear"),
        removal_chart(drawn, what="accuracy", fill="constant"),
        removal_chart(drawn, what="probability", fill="linear"),
        removal_chart(drawn, what="probability", fill="constant"),
    )

    def named(chart: Chart | None) -> Chart | None:
        return replace(chart, name=f"{slug}-{chart.name}") if chart is not None and slug else chart

    return Transparency(
        numbers=known,
        lead=lead(known),
        bits=road_sentences(known, "bits"),
        objective=road_sentences(known, "objective"),
        level_parts=tuple(parts(level.values for level in known.levels)),
        effect_parts=tuple(parts(effect.values for effect in known.effects)),
        absent=absent(known),
        best=best(known.marks),
        tradeoff=named(tradeoff_chart(known.marks, look)),
        removal=tuple(chart for chart in map(named, removal) if chart is not None),
        randomisation=named(randomisation_chart(drawn)),
    )
