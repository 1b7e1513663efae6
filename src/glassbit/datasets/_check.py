"""Look a data set over before anything is trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import UInt8
from torch import Tensor

from glassbit._catalogue import entry
from glassbit._count import counted
from glassbit._errors import DataError
from glassbit._resize import Resize
from glassbit._takes import FOUND, SWITCH, optional, takes
from glassbit.pictures import Color

from ._cache import cache_folder
from ._load import NAME, load, locate
from ._official import digests
from ._repeats import faint, majority, marks, shared, two_labels
from ._split import OBJECT, SHORTCUT, Dataset


@dataclass(frozen=True)
class Report:
    """What `check` found.

    Args:
        lines: what the data set is, for a person to read.
        problems: what must be repaired; none if all is well.
    """

    lines: tuple[str, ...]
    problems: tuple[str, ...]


@takes(name=NAME, data_dir=optional(FOUND), cache_dir=optional(FOUND), progress=SWITCH)
def check(
    name: str | Path,
    *,
    data_dir: Path | str | None = None,
    size: int | tuple[int, int] | None = None,
    resize: Resize = "crop",
    color: Color = "auto",
    cache_dir: Path | str | None = None,
    progress: bool = False,
) -> Report:
    """Read a data set whole, compare the files of the catalogue with what was published, and count.

    Args:
        name: and the rest as for `load`; nothing is downloaded.

    Raises:
        UsageError: an unknown name, or an option out of range.
    """
    known = entry(name) if isinstance(name, str) else None
    lines: list[str] = []
    problems: list[str] = []
    try:
        if known is not None and not known.included:
            search = locate(known, data_dir=data_dir, cache_dir=cache_folder(cache_dir), download=False)
            lines.append(f"files: {search.paths[0].parent}")
            for file, right in digests(known, search).items():
                lines.append(f"  {file}: {'as published' if right else 'NOT as published'}")
                if not right:
                    problems.append(f"{file} is not the published file (its SHA-256 differs): get it again")
        data = load(
            name,
            data_dir=data_dir,
            size=size,
            resize=resize,
            color=color,
            cache_dir=cache_dir,
            download=False,
            progress=progress,
        )
    except DataError as error:
        return Report(tuple(lines), (*problems, str(error)))
    return Report((*lines, *_summary(data)), (*problems, *_repeated(data)))


def _summary(data: Dataset) -> list[str]:
    height, width = data.size
    numbers = [f"{value:.4f}" for value in (*data.mean, *data.std)]
    counts = [split.labels.bincount(minlength=len(data.classes)).tolist() for split in (data.train, data.test)]
    color = "grey" if data.channels == 1 else "colour"
    regions = [] if data.regions is None else [_shares(data.regions)]
    return [
        f"images: {len(data.train)} to train, {len(data.test)} to test, {width} x {height}, {color}",
        *regions,
        f"mean {' '.join(numbers[: data.channels])}, standard deviation {' '.join(numbers[data.channels :])}",
        majority(data),
        f"classes: {len(data.classes)} (images to train / test)",
        *(f"  {label:>3} {name}: {counts[0][label]} / {counts[1][label]}" for label, name in enumerate(data.classes)),
    ]


def _shares(regions: UInt8[Tensor, "n h w"]) -> str:
    object_, shortcut = (f"{(regions == region).double().mean().item():.1%}" for region in (OBJECT, SHORTCUT))
    return f"regions of the test images: {object_} object, {shortcut} shortcut, on average"


def _repeated(data: Dataset) -> list[str]:
    """Images under several labels, test images that are training images too, and pixels of 0 and 1."""
    marked = marks(data.train), marks(data.test)
    count = int(shared(*marked).sum())
    both = (
        f"{count} of {counted(len(data.test), 'test image')} are among the training images too, pixel for pixel"
        if count
        else ""
    )
    return [text for text in (faint(data), both, two_labels(data, marked)) if text]
