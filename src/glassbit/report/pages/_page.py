"""The page: everything that has been read and counted, put into one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup

from glassbit.report.draw import (
    Chart,
    Grid,
    accuracy_chart,
    forming,
    layer_chart,
    learning_chart,
    masking_charts,
    side_by_side,
    styles,
)
from glassbit.report.numbers import Masking, Numbers, Shares
from glassbit.report.read import Group, Study, group_maps
from glassbit.report.words import facts, floored_sentences, headlines, remarks, unread_sentences, weights_given
from glassbit.runs import Variant

from ._templates import environment, swatch
from ._transparency import Transparency, transparency


@dataclass(frozen=True)
class MaskingSection:
    """What the page shows of one fill."""

    fill: str
    rows: tuple[Masking, ...]
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Section:
    """All that the page shows of one network on one data set; an empty part is left out.

    Args:
        unread: the files of images and maps that cannot be read.
        sentences: what the numbers say, the most important first.
        owns: the arms in full precision that a column of drops is measured from.
        shares: the layers, each with its shares per variant of `share_variants`.
    """

    slug: str
    numbers: Numbers
    facts: str
    unread: tuple[str, ...]
    sentences: tuple[str, ...]
    owns: tuple[str, ...]
    accuracy_chart: Chart | None
    maps: Grid | None
    alphas: Chart | None
    steps: Chart | None
    floored: tuple[str, ...]
    masking: tuple[MaskingSection, ...]
    learning: Chart | None
    shares: tuple[tuple[str, tuple[Shares | None, ...]], ...]
    share_variants: tuple[Variant, ...]
    share_charts: tuple[Chart, ...]
    forming: tuple[Grid, ...]
    forming_run: str
    transparency: Transparency | None
    swatches: Mapping[Variant, Markup]
    solid_swatches: Mapping[Variant, Markup]

    @property
    def group(self) -> Group:
        """The runs."""
        return self.numbers.group

    @property
    def grids(self) -> dict[str, Grid]:
        """Every grid of maps by its name, for the files on disk."""
        named = {} if self.maps is None else {"maps-final": self.maps}
        named |= {f"maps-forming-{index}": grid for index, grid in enumerate(self.forming, 1)}
        return {f"{name}-{self.slug}" if self.slug else name: grid for name, grid in named.items()}

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Every chart, for the files on disk."""
        candidates = [self.accuracy_chart, self.alphas, self.steps, self.learning, *self.share_charts]
        candidates += [chart for masking in self.masking for chart in masking.charts]
        candidates += self.transparency.charts if self.transparency else ()
        return tuple(chart for chart in candidates if chart is not None)


def section(known: Numbers, slug: str, folder: Path) -> Section:
    """Collect what the page shows of a group.

    Args:
        known: its numbers.
        slug: prefixes ids and file names when there are several groups.
        folder: of the study, from which files are named.
    """
    group, look, maps = known.group, styles(known.group), group_maps(known.group)
    variants = tuple(dict.fromkeys(row.variant for row in known.shares))
    by_place = {(row.layer, row.variant): row for row in known.shares}

    def named(chart: Chart) -> Chart:
        return replace(chart, name=f"{slug}-{chart.name}" if slug else chart.name)

    def maybe(chart: Chart | None) -> Chart | None:
        return None if chart is None else named(chart)

    share_charts = (
        layer_chart(known, "clipped", look, title="Share of activations clipped at alpha", y="clipped, %", scale=100.0),
        layer_chart(known, "zeros", look, title="Share of activations that are exactly zero", y="zero, %", scale=100.0),
    )
    said = headlines(known)
    return Section(
        slug=slug,
        numbers=known,
        facts=facts(group),
        unread=unread_sentences((*group.unread, *maps.unread), folder),
        sentences=(said[0], *remarks(known), *said[1:]),
        owns=tuple(dict.fromkeys(row.own for row in known.accuracies if row.own is not None and row.drop_own)),
        accuracy_chart=maybe(accuracy_chart(known, look)),
        maps=side_by_side(group, maps),
        alphas=maybe(layer_chart(known, "alphas", look, title="Clipping level alpha, layer by layer", y="alpha")),
        steps=maybe(layer_chart(known, "steps", look, title="Step size, layer by layer", y="step")),
        floored=floored_sentences(known.floored),
        masking=tuple(
            MaskingSection(
                fill,
                tuple(row for row in known.masking.rows if row.fill == fill),
                tuple(named(chart) for chart in masking_charts(known, fill, look)),
            )
            for fill in known.masking.fills
        ),
        learning=maybe(learning_chart(known, look)),
        shares=tuple(
            (layer, tuple(by_place.get((layer, variant)) for variant in variants))
            for layer in dict.fromkeys(row.layer for row in known.shares)
        ),
        share_variants=variants,
        share_charts=tuple(named(chart) for chart in share_charts if chart is not None),
        forming=tuple(forming(group, maps)),
        forming_run=", ".join(sorted({f"seed {item.run.seed}" for item in maps.chosen})),
        transparency=None if known.explained is None else transparency(known.explained, look, slug),
        swatches={variant: swatch(style) for variant, style in look.items()},
        solid_swatches={variant: swatch(replace(style, dash="solid")) for variant, style in look.items()},
    )


def page(study: Study, sections: Sequence[Section], files: Sequence[str]) -> str:
    """Return the whole page.

    Args:
        study: what was read.
        sections: one per group.
        files: the names of the tables and figures beside the page, relative to it.
    """
    finished = sum(run.finished for run in study.runs)
    seeds = sorted({run.seed for run in study.runs})
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            study=study,
            sections=sections,
            files=files,
            counts={len(group.of(variant)) for group in study.groups for variant in group.variants} - {0},
            started=_moment(study.started),
            continued=list(dict.fromkeys(run.variant.label for run in study.runs if run.continues)),
            finished=finished,
            total=len(study.runs) + sum(item.id not in {run.id for run in study.runs} for item in study.missing),
            seeds=seeds,
            failed=[item for item in study.missing if item.failed],
            waiting=[item for item in study.missing if not item.failed],
            plain=_plain,
            weights_given=weights_given,
        )
    )


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return text
