"""The maps that stand for each variant of a group, read once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from glassbit.runs import Variant

from ._arrays import Maps, Unread, read_maps
from ._study import Group, Run

_EPOCHS = 8
"""The most epochs that are shown side by side."""


@dataclass(frozen=True)
class Chosen:
    """The run whose maps stand for a variant.

    Args:
        latest: the maps after training, or the latest that are stored.
        forming: the maps stored while training, by epoch (0 = before training); of the epochs that are shown.
    """

    variant: Variant
    run: Run
    latest: Maps | None
    forming: Mapping[int, Maps]


@dataclass(frozen=True)
class GroupMaps:
    """The maps of a group.

    Args:
        chosen: one run per variant, all of one seed where possible.
        epochs: those that are shown.
        unread: the files that cannot be read, among those that were tried.
    """

    chosen: tuple[Chosen, ...]
    epochs: tuple[int, ...]
    unread: tuple[Unread, ...]


def group_maps(group: Group) -> GroupMaps:
    """Read one run per variant: of the seed that most variants have maps of, the lowest among equals."""
    files: dict[Path, Maps | Unread | None] = {}

    def read(path: Path) -> Maps | None:
        if path not in files:
            files[path] = read_maps(path)
        members = files[path]
        return members if isinstance(members, Maps) else None

    def final(run: Run) -> Maps | None:
        return read(run.folder / "explain.npz")

    having = {
        variant: [run for run in group.of(variant) or group.curves_of(variant) if final(run) or formation(run)]
        for variant in group.variants
    }
    votes = Counter(run.seed for runs in having.values() for run in runs)
    seed = min(votes, key=lambda seed: (-votes[seed], seed), default=None)
    stands = {v: next((run for run in runs if run.seed == seed), runs[0]) for v, runs in having.items() if runs}
    stored = {variant: formation(run) for variant, run in stands.items()}
    epochs = _thinned(sorted({epoch for paths in stored.values() for epoch in paths}))
    chosen = []
    for variant, run in stands.items():
        paths = stored[variant]
        forming = {epoch: maps for epoch in epochs if epoch in paths and (maps := read(paths[epoch])) is not None}
        latest = final(run) or (read(paths[max(paths)]) if paths else None)
        chosen.append(Chosen(variant, run, latest, forming))
    unread = tuple(members for members in files.values() if isinstance(members, Unread))
    return GroupMaps(tuple(chosen), tuple(epochs), unread)


def formation(run: Run) -> dict[int, Path]:
    """Return the files of the maps stored while training, by epoch (0 = before training)."""
    by_epoch = {}
    for path in sorted((run.folder / "probes").glob("epoch-*.npz")):
        number = path.stem.removeprefix("epoch-")
        if number.isdigit():
            by_epoch[int(number)] = path
    return by_epoch


def _thinned(epochs: list[int]) -> list[int]:
    if len(epochs) <= _EPOCHS:
        return epochs
    last = len(epochs) - 1
    return [epochs[round(i * last / (_EPOCHS - 1))] for i in range(_EPOCHS)]
