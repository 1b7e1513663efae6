"""The files below a folder that may come from anywhere: what is no plain file is named, and never opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from glassbit._count import counted
from glassbit._plain_files import no_file
from glassbit._text import listed, printable


@dataclass(frozen=True)
class Walk:
    """What is below a folder.

    Args:
        files: plain files, sorted; also those that a link names.
        outside: those of them that a link names and that lie outside of the folder.
        problems: what cannot be read, a line each: links to nothing or to folders, pipes, devices.
    """

    files: tuple[Path, ...]
    outside: tuple[Path, ...]
    problems: tuple[str, ...]


def walk(folder: Path, *, root: Path | None = None, skip: Callable[[Path], bool]) -> Walk:
    """List what is below `folder`, in every folder that is not a link.

    Args:
        folder: where to look; it may be a link itself.
        root: links that lead out of it are `outside`; `folder` when left out.
        skip: files and folders to pass over.

    Raises:
        OSError: a folder cannot be read.
    """
    inside = (root or folder).resolve()
    is_inside = folder.resolve().is_relative_to(inside)
    files: list[Path] = []
    outside: list[Path] = []
    problems: list[str] = []
    for parent, folders, names in os.walk(folder, onerror=_raise):
        kept = [name for name in folders if not skip(Path(parent, name))]
        links = [Path(parent, name) for name in kept if Path(parent, name).is_symlink()]
        problems += [f"{printable(path)}: a link to a folder, which is not followed; copy the folder" for path in links]
        folders[:] = [name for name in kept if Path(parent, name) not in links]
        for path in [Path(parent, name) for name in names]:
            problem = None if skip(path) else no_file(path)
            if problem is not None:
                problems.append(f"{printable(path)}: {problem}")
            elif not skip(path):
                files.append(path)
                if not (path.resolve().is_relative_to(inside) if path.is_symlink() else is_inside):
                    outside.append(path)
    return Walk(tuple(sorted(files)), tuple(sorted(outside)), tuple(sorted(problems)))


def said_outside(root: Path, outside: Sequence[Path]) -> str:
    """Return a sentence on images that are read through links.

    Args:
        root: the folder that the user named.
        outside: files in it that lie elsewhere, see `Walk`; at least one.
    """
    count = counted(len(outside), "image is", "images are")
    places = listed((f"{path.relative_to(root)} -> {path.resolve()}" for path in outside), most=3)
    return f"{printable(root)}: {count} read through links that lead out of the folder: {places}"


def _raise(error: OSError) -> None:
    raise error
