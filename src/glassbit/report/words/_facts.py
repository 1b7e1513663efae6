"""What was trained on what, and what went wrong on the way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from glassbit._count import counted
from glassbit.report.read import Group, Unread
from glassbit.runs import Images


def facts(group: Group) -> str:
    """Return the images, the classes and the epochs of a group, in a line."""
    images = next((run.head.images for run in group.runs if run.head.images), Images())
    parts = [
        counted(count, f"{text} image")
        for count, text in ((images.train, "training"), (images.test, "test"))
        if count is not None
    ]
    if group.classes:
        parts.append(counted(group.classes, "class", "classes"))
    if images.size:
        channels = "" if images.channels is None else f", {counted(images.channels, 'channel')}"
        parts.append(f"{' × '.join(map(str, images.size))} pixels{channels}")
    asked = sorted({run.asked_epochs for run in group.runs if run.asked_epochs})
    if asked:
        text = " or ".join(map(str, asked))
        more = max(run.asked_integer_epochs for run in group.runs)
        parts.append(f"{text} epoch{'' if text == '1' else 's'}" + (f" and {more} more in integers" if more else ""))
    return " · ".join(parts)


def floored_sentences(floored: Mapping[tuple[str, str], tuple[int, ...]]) -> tuple[str, ...]:
    """Where a clipping level was held at its floor."""
    return tuple(
        f"{label}, {layer}: in {counted(len(epochs), 'run')}, first at epoch {min(epochs)}"
        for (label, layer), epochs in floored.items()
    )


def unread_sentences(unread: Iterable[Unread], folder: Path) -> tuple[str, ...]:
    """Return the files of images and maps that cannot be read."""
    return tuple(
        f"{one.path.relative_to(folder) if one.path.is_relative_to(folder) else one.path}: must hold arrays of images "
        "or maps, and is damaged, so nothing of it is shown; train the run again in a new folder"
        for one in unread
    )
