"""Where the data sets of the catalogue are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glassbit.datasets import Entry


def found(entry: Entry, folder: Path | None = None) -> str | None:
    """Return the place of an existing data set, or None.

    Args:
        entry: of the catalogue.
        folder: where to look; None for the cache.
    """
    from glassbit.datasets import cache_folder
    from glassbit.datasets._official import find

    if entry.included:
        return "comes with Glassbit"
    paths = find(entry, folder or cache_folder()).paths
    return str(paths[0].parent) if paths else None
