"""The saliency grids of the page: probe images against variants, and how the maps formed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from glassbit.report.read import Group, Maps, Run, Variant, epoch_maps, final_maps, formation

from ._pictures import image_uri, map_uri

_LARGE, _SMALL, _COLUMNS = 112, 64, 8


@dataclass(frozen=True)
class Cell:
    """One picture: `uri` None where nothing is stored; `right` None where the true label is not known."""

    uri: str | None
    said: str = ""
    confidence: float | None = None
    right: bool | None = None


@dataclass(frozen=True)
class Row:
    """One row of a grid: its head is a probe image with its label, or a variant."""

    head: str
    picture: str | None
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Grid:
    """Pictures in rows and columns, with the sentence that says what was picked."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Chosen:
    """The run whose maps stand for a variant."""

    variant: Variant
    run: Run


def chosen_runs(group: Group) -> list[Chosen]:
    """One run a variant, all of one seed where possible: the seed that most variants have, the lowest among equals."""
    having = {
        variant: [run for run in group.of(variant) or group.curves_of(variant) if final_maps(run) or formation(run)]
        for variant in group.variants
    }
    votes = Counter(run.seed for runs in having.values() for run in runs)
    if not votes:
        return []
    seed = min(votes, key=lambda seed: (-votes[seed], seed))
    return [
        Chosen(variant, next((run for run in runs if run.seed == seed), runs[0]))
        for variant, runs in having.items()
        if runs
    ]


def side_by_side(group: Group, chosen: list[Chosen]) -> Grid | None:
    """Rows = probe images, columns = variants, the maps after training (or the latest stored)."""
    columns = [(item, _latest(item.run)) for item in chosen]
    columns = [(item, maps) for item, maps in columns if maps is not None]
    if not columns:
        return None
    seeds = {item.run.seed for item, _ in columns}
    names = tuple(
        item.variant.label
        + ("" if item.run.finished else " (unfinished)")
        + ("" if len(seeds) == 1 else f", seed {item.run.seed}")
        for item, _ in columns
    )
    total = max(len(maps.maps) for _, maps in columns if maps)
    rows = []
    for index in range(total):
        cells = tuple(_cell(group, maps, index, _LARGE) for _, maps in columns)
        rows.append(Row(_truth(group, index), _picture(group, index, _LARGE), cells))
    return Grid(_seeds(seeds), names, tuple(rows))


def forming(group: Group, chosen: list[Chosen]) -> list[Grid]:
    """One grid a probe image: rows = variants, columns = at most eight epochs."""
    files = {item.variant: formation(item.run) for item in chosen}
    epochs = _thinned(sorted({epoch for found in files.values() for epoch in found}))
    if not epochs:
        return []
    read = {
        (variant, epoch): epoch_maps(found[epoch]) if epoch in found else None
        for variant, found in files.items()
        for epoch in epochs
    }
    total = max((len(maps.maps) for maps in read.values() if maps is not None), default=0)
    integers = {epoch for item in chosen for epoch in item.run.integer_epochs}
    columns = tuple(_moment(epoch, integers) for epoch in epochs)
    grids = []
    for index in range(total):
        rows = [
            Row(variant.label, None, tuple(_cell(group, read[variant, epoch], index, _SMALL) for epoch in epochs))
            for variant in files
            if any(read[variant, epoch] for epoch in epochs)
        ]
        head = Row(_truth(group, index), _picture(group, index, _SMALL), ())
        grids.append(Grid(head.head, columns, (head, *rows)))
    return grids


def _moment(epoch: int, integers: set[int]) -> str:
    text = "before training" if epoch == 0 else f"epoch {epoch}"
    return f"{text}, in integers" if epoch in integers else text


def _latest(run: Run) -> Maps | None:
    found = final_maps(run)
    files = formation(run)
    return found if found is not None or not files else epoch_maps(files[max(files)])


def _cell(group: Group, maps: Maps | None, index: int, side: int) -> Cell:
    if maps is None or index >= len(maps.maps):
        return Cell(None)
    prediction = int(maps.predictions[index])
    probes = group.probes
    known = probes is not None and index < len(probes.labels)
    return Cell(
        uri=map_uri(maps.maps[index], side=side),
        said=probes.named(prediction) if probes is not None else str(prediction),
        confidence=None if maps.confidence is None else float(maps.confidence[index]),
        right=prediction == int(probes.labels[index]) if known and probes is not None else None,
    )


def _truth(group: Group, index: int) -> str:
    probes = group.probes
    return (
        f"image {index + 1}"
        if probes is None or index >= len(probes.labels)
        else probes.named(int(probes.labels[index]))
    )


def _picture(group: Group, index: int, side: int) -> str | None:
    probes = group.probes
    return None if probes is None or index >= len(probes.images) else image_uri(probes.images[index], side=side)


def _seeds(seeds: set[int]) -> str:
    return f"seed {next(iter(seeds))}" if len(seeds) == 1 else "one seed an arm, as named"


def _thinned(epochs: list[int]) -> list[int]:
    if len(epochs) <= _COLUMNS:
        return epochs
    last = len(epochs) - 1
    return [epochs[round(i * last / (_COLUMNS - 1))] for i in range(_COLUMNS)]
