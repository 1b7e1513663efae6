"""The saliency grids of the page: probe images against variants, and how the maps formed."""

from __future__ import annotations

from dataclasses import dataclass

from glassbit.report.read import Group, GroupMaps, Maps

from ._pictures import image_uri, map_uri

_LARGE, _SMALL = 112, 64


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


def side_by_side(group: Group, maps: GroupMaps) -> Grid | None:
    """Rows = probe images, columns = variants, the maps after training (or the latest stored)."""
    columns = [(item, item.latest) for item in maps.chosen if item.latest is not None]
    if not columns:
        return None
    seeds = {item.run.seed for item, _ in columns}
    names = tuple(
        item.variant.label
        + ("" if item.run.finished else " (unfinished)")
        + ("" if len(seeds) == 1 else f", seed {item.run.seed}")
        for item, _ in columns
    )
    total = max(len(latest.maps) for _, latest in columns)
    rows = []
    for index in range(total):
        cells = tuple(_cell(group, latest, index, _LARGE) for _, latest in columns)
        rows.append(Row(_truth(group, index), _picture(group, index, _LARGE), cells))
    return Grid(_seeds(seeds), names, tuple(rows))


def forming(group: Group, maps: GroupMaps) -> list[Grid]:
    """One grid per probe image: rows = variants, columns = epochs."""
    total = max((len(one.maps) for item in maps.chosen for one in item.forming.values()), default=0)
    integers = {epoch for item in maps.chosen for epoch in item.run.integer_epochs}
    columns = tuple(_moment(epoch, integers) for epoch in maps.epochs)
    grids = []
    for index in range(total):
        rows = [
            Row(
                item.variant.label,
                None,
                tuple(_cell(group, item.forming.get(epoch), index, _SMALL) for epoch in maps.epochs),
            )
            for item in maps.chosen
            if item.forming
        ]
        head = Row(_truth(group, index), _picture(group, index, _SMALL), ())
        grids.append(Grid(head.head, columns, (head, *rows)))
    return grids


def _moment(epoch: int, integers: set[int]) -> str:
    text = "before training" if epoch == 0 else f"epoch {epoch}"
    return f"{text}, in integers" if epoch in integers else text


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
