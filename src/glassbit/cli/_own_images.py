"""Image files that are named on the command line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from glassbit._errors import DataError


def image_files(places: Iterable[Path], argument: str) -> tuple[list[Path], tuple[str, ...]]:
    """The files at `places`, and what to call them: a file by its name, a file of a folder by its path in there.

    Args:
        places: images, and folders of images; hidden files are passed over.
        argument: the name of the argument, for the error.

    Raises:
        DataError: there are none.
    """
    files: list[Path] = []
    names: list[str] = []
    for place in places:
        found = [place] if place.is_file() else sorted(path for path in _below(place) if not path.name.startswith("."))
        if not found:
            what = "holds no files" if place.is_dir() else "does not exist"
            raise DataError(f"{argument}: must be an image or a folder of images; {place} {what}")
        files += found
        names += [path.name if path == place else str(path.relative_to(place)) for path in found]
    return files, tuple(names)


def _below(folder: Path) -> list[Path]:
    return [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
