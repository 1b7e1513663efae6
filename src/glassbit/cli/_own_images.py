"""Image files that are named on the command line."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path

from glassbit._errors import DataError, GlassbitWarning
from glassbit._plain_files import no_file
from glassbit._text import printable


def image_files(places: Iterable[Path], argument: str) -> tuple[list[Path], tuple[str, ...]]:
    """Return the files at `places`, and what to call them: a file by its name, a file of a folder by its path in there.

    Args:
        places: images, and folders of images; hidden files, and files in hidden folders, are passed over.
        argument: the name of the argument, for the error.

    Raises:
        DataError: there are none.
    """
    from glassbit.pictures import said_outside, walk

    files: list[Path] = []
    names: list[str] = []
    for place in places:
        if not place.is_dir():
            wrong = no_file(place)
            if wrong:
                got, _, repair = wrong.partition("; ")
                must, repair = f"{argument}: must be an image or a folder of images", repair or "check the path"
                raise DataError(f"{must}; got {printable(place)}: {got}; {repair}")
            files.append(place)
            names.append(printable(place.name))
            continue
        below = walk(place, skip=lambda path: path.name.startswith("."))
        _say_what_is_left_out(place, below.problems)
        if below.outside:
            warnings.warn(said_outside(place, below.outside), GlassbitWarning, stacklevel=2)
        if not below.files:
            raise DataError(
                f"{argument}: must be an image or a folder of images; got {printable(place)} without files; add some"
            )
        files += below.files
        names += [printable(path.relative_to(place)) for path in below.files]
    return files, tuple(names)


def _say_what_is_left_out(place: Path, problems: tuple[str, ...]) -> None:
    if problems:
        more = f"\n  ... and {len(problems) - 10} more" if len(problems) > 10 else ""
        lines = "".join(f"\n  - {problem}" for problem in problems[:10])
        warnings.warn(f"{printable(place)}: not read:{lines}{more}", GlassbitWarning, stacklevel=3)
