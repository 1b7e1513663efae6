"""The page: everything that has been read and counted, put into one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from glassbit._count import counted
from glassbit.report.draw import (
    Chart,
    Grid,
    accuracy_chart,
    chosen_runs,
    forming,
    layer_chart,
    learning_chart,
    masking_charts,
    side_by_side,
    styles,
)
from glassbit.report.numbers import (
    Accuracy,
    Classes,
    Cost,
    Deployed,
    Masking,
    Shares,
    accuracies,
    classes,
    costs,
    deployments,
    fills,
    maskings,
    shares,
)
from glassbit.report.read import Group, Study, Variant
from glassbit.report.words import headlines, remarks, weights_given

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
    """All that the page shows of one network on one data set; an empty part is left out."""

    slug: str
    group: Group
    facts: str
    classes: Classes | None
    sentences: tuple[str, ...]
    accuracies: tuple[Accuracy, ...]
    owns: tuple[str, ...]
    accuracy_chart: Chart | None
    deployed: tuple[Deployed, ...]
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
    costs: tuple[Cost, ...]
    transparency: Transparency | None
    swatches: Mapping[Variant, Markup]
    solid_swatches: Mapping[Variant, Markup]

    @property
    def grids(self) -> dict[str, Grid]:
        """Every grid of maps by its name, for the files on disk."""
        found = {} if self.maps is None else {"maps-final": self.maps}
        found |= {f"maps-forming-{index}": grid for index, grid in enumerate(self.forming, 1)}
        return {f"{name}-{self.slug}" if self.slug else name: grid for name, grid in found.items()}

    @property
    def charts(self) -> tuple[Chart, ...]:
        """Every chart, for the files on disk."""
        found = [self.accuracy_chart, self.alphas, self.steps, self.learning, *self.share_charts]
        found += [chart for masking in self.masking for chart in masking.charts]
        found += self.transparency.charts if self.transparency else ()
        return tuple(chart for chart in found if chart is not None)


def section(group: Group, slug: str) -> Section:
    """Collect what the page shows of `group`; `slug` prefixes ids and file names when there are several."""
    chosen = chosen_runs(group)
    look = styles(group)
    measured = maskings(group)
    rows = shares(group)
    variants = tuple(dict.fromkeys(row.variant for row in rows))
    by_place = {(row.layer, row.variant): row for row in rows}
    layers = dict.fromkeys(row.layer for row in rows)

    def named(chart: Chart) -> Chart:
        return Chart(f"{slug}-{chart.name}" if slug else chart.name, chart.title, chart.panels, chart.legend)

    def maybe(chart: Chart | None) -> Chart | None:
        return None if chart is None else named(chart)

    share_charts = (
        layer_chart(group, "clipped", title="Share of activations clipped at alpha", y="clipped, %", scale=100.0),
        layer_chart(group, "zeros", title="Share of activations that are exactly zero", y="zero, %", scale=100.0),
    )
    table = accuracies(group)
    known = classes(group)
    said = headlines(group)
    return Section(
        slug=slug,
        group=group,
        facts=_facts(group),
        classes=known,
        sentences=(said[0], *remarks(group, table, known), *said[1:]),
        accuracies=tuple(table),
        owns=tuple(dict.fromkeys(row.own for row in table if row.own is not None and row.drop_own is not None)),
        accuracy_chart=maybe(accuracy_chart(group)),
        deployed=tuple(deployments(group)),
        maps=side_by_side(group, chosen),
        alphas=maybe(layer_chart(group, "alphas", title="Clipping level alpha, layer by layer", y="alpha")),
        steps=maybe(layer_chart(group, "steps", title="Step size, layer by layer", y="step")),
        floored=_floored(group),
        masking=tuple(
            MaskingSection(
                fill,
                tuple(row for row in measured if row.fill == fill),
                tuple(named(chart) for chart in masking_charts(group, fill)),
            )
            for fill in fills(group)
        ),
        learning=maybe(learning_chart(group)),
        shares=tuple((layer, tuple(by_place.get((layer, variant)) for variant in variants)) for layer in layers),
        share_variants=variants,
        share_charts=tuple(named(chart) for chart in share_charts if chart is not None),
        forming=tuple(forming(group, chosen)),
        forming_run=", ".join(sorted({f"seed {item.run.seed}" for item in chosen})),
        costs=tuple(costs(group)),
        transparency=transparency(group, slug),
        swatches={variant: swatch(style) for variant, style in look.items()},
        solid_swatches={variant: swatch(replace(style, dash="solid")) for variant, style in look.items()},
    )


def page(study: Study, sections: Sequence[Section], files: Sequence[str]) -> str:
    """The whole page.

    Args:
        study: what was read.
        sections: one a group.
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


def _facts(group: Group) -> str:
    images = next((run.images for run in group.runs if run.images), {})
    parts = []
    for key, text in (("train", "training"), ("test", "test")):
        if isinstance(images.get(key), int):
            parts.append(counted(images[key], f"{text} image"))
    if group.classes:
        parts.append(counted(group.classes, "class", "classes"))
    size = images.get("size")
    if isinstance(size, list) and size:
        channels = f", {counted(images['channels'], 'channel')}" if "channels" in images else ""
        parts.append(f"{' × '.join(map(str, size))} pixels{channels}")
    asked = sorted({run.asked_epochs for run in group.runs if run.asked_epochs})
    if asked:
        text = " or ".join(map(str, asked))
        more = max(run.asked_integer_epochs for run in group.runs)
        parts.append(f"{text} epoch{'' if text == '1' else 's'}" + (f" and {more} more in integers" if more else ""))
    return " · ".join(parts)


def _floored(group: Group) -> tuple[str, ...]:
    first: dict[tuple[str, str], list[int]] = {}
    for run in group.runs:
        seen: set[str] = set()
        for line in run.epochs:
            for layer in set(line.get("floored") or []) - seen:
                seen.add(layer)
                first.setdefault((run.variant.label, str(layer)), []).append(int(line["epoch"]))
    return tuple(
        f"{label}, {layer}: in {counted(len(epochs), 'run')}, first at epoch {min(epochs)}"
        for (label, layer), epochs in sorted(first.items())
    )


def _moment(text: str) -> str:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    except ValueError:
        return text
