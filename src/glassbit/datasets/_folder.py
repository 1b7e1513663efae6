"""A folder of class folders: which files belong to which class and part."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from glassbit._count import counted
from glassbit._errors import DataError, GlassbitWarning
from glassbit._plain_files import no_file
from glassbit._random import derive
from glassbit._text import listed, printable
from glassbit.pictures import Walk, said_outside, walk

from ._split import stratified

TEST_SHARE = 0.2
_NOT_IMAGES = ("Thumbs.db", "desktop.ini", "__MACOSX")
_PARTS = {"train", "test", "val", "valid", "validation"}
_ALIKE = {"training", "testing", "eval", "evaluation", "dev"}
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


@dataclass(frozen=True)
class Listing:
    """The files of a data set.

    Args:
        root: the folder.
        classes: the names of the class folders, sorted; their places are the labels.
        train: file and label of every training image, sorted.
        test: of every test image.
        cut: whether the test images were chosen here, and are no folder of the user's.
    """

    root: Path
    classes: tuple[str, ...]
    train: tuple[tuple[Path, int], ...]
    test: tuple[tuple[Path, int], ...]
    cut: bool = False


def scan(root: Path) -> Listing:
    """List `ROOT/train/CLASS/*` and `ROOT/test/CLASS/*`, or `ROOT/CLASS/*` with a fifth of every class to test on.

    The names `train` and `test` may have capitals.

    Hidden files and what file managers leave behind are passed over; every other file in a class folder, or in a folder
    below it, is taken for an image.

    Raises:
        DataError: there are no classes, one class, empty classes, images that belong to none, or folders that are links
            out of the data set.
    """
    folders = _folders(root)
    _refuse_links(root, folders)
    named = _parts(root, folders)
    if "train" not in named:
        return _one_part(root, folders)
    if "test" not in named:
        raise DataError(
            f"{root}: must hold a folder test beside {named['train'].name}; got only "
            f"{listed(folder.name for folder in folders)}; make {root / 'test'} with the same class folders, or name "
            f"{named['train']}, of which a fifth is kept for testing"
        )
    beside = [folder.name for folder in folders if folder not in named.values()]
    if beside:
        text = f"{root}: {listed(beside)} beside train and test is not used; a validation part is cut from train"
        warnings.warn(text, GlassbitWarning, stacklevel=4)
    places = (named["train"], named["test"])
    walks = [_walks(place, root) for place in places]
    parts = [_files(walked) for walked in walks]
    problems = [
        f"class {name!r} has no images in {place}: add some, or remove the class from train and test"
        for place, classes in zip(places, parts, strict=True)
        for name in sorted(parts[0] | parts[1])
        if not classes.get(name)
    ]
    for place, walked in zip(places, walks, strict=True):
        problems += _strays(place) + _odd(place, walked)
    _complain(root, parts[0], problems)
    _say_what_is_outside(root, walks)
    names = tuple(sorted(parts[0]))
    train, test = (
        tuple((path, label) for label, name in enumerate(names) for path in classes[name]) for classes in parts
    )
    return Listing(root, names, train, test)


def _parts(root: Path, folders: list[Path]) -> dict[str, Path]:
    """Return the folders `train` and `test`, in any spelling. A class folder of that name holds no folders."""
    parts: dict[str, Path] = {}
    for folder in folders:
        part = folder.name.lower()
        if part not in ("train", "test") or not (_folders(folder) or part == "test"):
            continue
        if part in parts:
            raise DataError(f"{root}: must have one folder {part}; got {parts[part].name} and {folder.name}; join them")
        parts[part] = folder
    return parts


def _one_part(root: Path, folders: list[Path]) -> Listing:
    given = [folder.name for folder in folders]
    if folders and {name.lower() for name in given} <= _PARTS:
        raise DataError(
            f"{root}: train must hold class folders; got none, only {listed(given)}; make one folder per class"
        )
    if folders and {name.lower() for name in given} <= _PARTS | _ALIKE and all(map(_folders, folders)):
        raise DataError(
            f"{root}: must hold train and test, or one folder per class; got {listed(given)}, which look like parts of "
            "a data set; rename them train and test"
        )
    walks = _walks(root, root)
    classes = _files(walks)
    problems = [
        f"class {name!r} has no images: add some, or remove {printable(root / name)}"
        for name in classes
        if not classes[name]
    ]
    problems += [
        f"class {name!r} has one image: it needs two, to train and to test on"
        for name, files in classes.items()
        if len(files) == 1
    ]
    _complain(root, classes, problems + _strays(root) + _odd(root, walks))
    _say_what_is_outside(root, [walks])
    names = tuple(sorted(classes))
    every = [(path, label) for label, name in enumerate(names) for path in classes[name]]
    labels = torch.tensor([label for _, label in every])
    held = stratified(labels, fraction=TEST_SHARE, seed=derive("test split")).tolist()
    train, test = (tuple(item for item, out in zip(every, held, strict=True) if out == part) for part in (False, True))
    return Listing(root, names, train, test, cut=True)


def _complain(root: Path, classes: dict[str, list[Path]], problems: list[str]) -> None:
    if len(classes) < 2:
        inside = [folder for name in classes for folder in _folders(root / name)]
        cure = (
            f"did you mean {printable(root / next(iter(classes)))}, which holds {listed(f.name for f in inside)}?"
            if inside
            else "make one folder per class"
        )
        got = f"one class folder, {next(iter(classes))!r}" if classes else "no class folders"
        layout = "ROOT/CLASS/IMAGE or ROOT/train/CLASS/IMAGE and ROOT/test/CLASS/IMAGE"
        raise DataError(f"{root}: must hold two class folders or more ({layout}); got {got}; {cure}")
    _refuse(root, problems)


def _refuse(root: Path, problems: list[str]) -> None:
    if problems:
        lines = [f"  - {problem}" for problem in problems[:10]]
        more = [f"  ... and {len(problems) - 10} more"] if len(problems) > 10 else []
        text = f"{root}: must hold images in class folders; got {counted(len(problems), 'problem')}:"
        raise DataError("\n".join([text, *lines, *more]))


def _refuse_links(root: Path, folders: list[Path]) -> None:
    """Refuse parts and classes that are links out of the data set, or to a folder that they lie in."""
    inside = root.resolve()

    def leads_out(folder: Path) -> bool:
        target = folder.resolve()
        around = folder.parent.resolve().is_relative_to(target)
        return folder.is_symlink() and (around or not target.is_relative_to(inside))

    parts = [folder for folder in folders if folder.name.lower() in ("train", "test") and not leads_out(folder)]
    inner = [folder for part in parts for folder in _folders(part)]
    text = "a link to a folder outside of the data set, which is not followed; copy the folder"
    _refuse(root, [f"{printable(folder)}: {text}" for folder in (*folders, *inner) if leads_out(folder)])


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not _passed_over(path))


def _walks(part: Path, root: Path) -> dict[str, Walk]:
    """Return what is in each class folder of a part of the data set in `root`."""
    return {folder.name: walk(folder, root=root, skip=_passed_over) for folder in _folders(part)}


def _files(walks: dict[str, Walk]) -> dict[str, list[Path]]:
    return {name: list(walked.files) for name, walked in walks.items()}


def _odd(part: Path, walks: dict[str, Walk]) -> list[str]:
    """Return what is neither a file nor a folder: links to nothing, pipes, devices."""
    beside = [path for path in sorted(part.iterdir()) if not path.is_dir() and not _passed_over(path)]
    odd = [f"{printable(path)}: {problem}" for path in beside if (problem := no_file(path)) is not None]
    odd += [
        f"class {name!r}: its name must be printable text; rename the folder"
        for name in walks
        if not name.isprintable()
    ]
    return odd + [problem for walked in walks.values() for problem in walked.problems]


def _say_what_is_outside(root: Path, parts: Iterable[dict[str, Walk]]) -> None:
    """Links are followed, so that a data set may be made of them; those that lead out of it are said."""
    outside = [path for walks in parts for walked in walks.values() for path in walked.outside]
    if outside:
        warnings.warn(said_outside(root, outside), GlassbitWarning, stacklevel=5)


def _passed_over(path: Path) -> bool:
    return path.name.startswith(".") or path.name in _NOT_IMAGES


def _strays(root: Path) -> list[str]:
    strays = sorted(path.name for path in root.iterdir() if path.is_file() and path.suffix.lower() in _SUFFIXES)
    return [f"images directly in {root} belong to no class: {listed(strays)}"] if strays else []
