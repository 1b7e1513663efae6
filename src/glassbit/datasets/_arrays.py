"""The user's own arrays, as `.npz`."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from glassbit._count import counted
from glassbit._errors import DataError, GlassbitError
from glassbit._npz import Archive, ArrayHead
from glassbit._plain_files import open_plain
from glassbit._text import listed
from glassbit.pictures import Images

from ._labels import label_problems
from ._levels import Levels, Range, is_number, levels, look
from ._official import Arrays
from ._shapes import readings, shape_problem
from ._split import CLASSES, NAME, SHORTCUT, class_problem

KEYS = ("train_images", "train_labels", "test_images", "test_labels")
REGIONS = "test_regions"
CHUNK = 4096
_PLAIN = {
    **dict.fromkeys(("train_images", "test_images", REGIONS), "np.stack(list(images))"),
    **dict.fromkeys(("train_labels", "test_labels"), "np.array(labels, int)"),
    "classes": "np.array(classes, str)",
}
_NUMBERING = "number the classes of both parts from 0 without gaps: np.unique(labels, return_inverse=True)[1]"

Collect = Callable[[str, Images], UInt8[np.ndarray, "n c h w"]]


@dataclass(frozen=True)
class Contents:
    """What an `.npz` file holds.

    Args:
        train, test: the parts.
        classes: the class names.
        scaling: the line of NumPy that made pixels of the values, with `images` for them; empty where they were pixels.
    """

    train: Arrays
    test: Arrays
    classes: tuple[str, ...]
    scaling: str


def read_npz(source: Path | io.BytesIO, *, name: str, collect: Collect) -> Contents:
    """Read `train_images`, `train_labels`, `test_images`, `test_labels` and, where they are there, `classes` and
    `test_regions`.

    Images are `(n, h, w)`, `(n, h, w, c)` or `(n, c, h, w)` with 1 or 3 channels, uint8 or what `levels` can tell the
    meaning of; a side has 4 pixels or more, or one of them has 1. Labels are whole numbers from 0, and every class has
    training images. Regions are uint8 `(n, h, w)`: 0 background, 1 the object, 2 a shortcut.

    Args:
        source: a path or an open file.
        name: what to call it in an error.
        collect: makes an array of the images of a part, "train" or "test"; they are read a few at a time.

    Raises:
        DataError: an array is missing or not what it must be; all that is wrong, in one text.
    """
    try:
        with open_plain(source) if isinstance(source, Path) else nullcontext(source) as file:
            archive = Archive(file)
            members = archive.names
            absent = [key for key in KEYS if key not in members]
            if absent:
                got = ", ".join(sorted(members)) or "nothing"
                raise DataError(f"{name}: must hold {', '.join(KEYS)}; got {got}; add {', '.join(absent)}")
            heads = {key: archive.head(key) for key in (*KEYS, REGIONS, "classes") if key in members}
            _complain(name, _object_problems(heads))
            problems = [text for part in ("train", "test") for text in _problems(part, heads, archive)]
            known = _levels(archive, heads)
            problems += [known] if isinstance(known, str) else []
            problems += _name_problems(heads["classes"]) if "classes" in members else []
            _complain(name, problems + _region_problems(heads))
            assert isinstance(known, Levels)
            given = {part: archive.read(f"{part}_labels") for part in ("train", "test")}
            _complain(name, _number_problems(given))
            labels = {part: numbers.astype(np.int64) for part, numbers in given.items()}
            classes = _classes(archive) if "classes" in members else _numbers(int(labels["train"].max()) + 1)
            regions = archive.read(REGIONS) if REGIONS in members else None
            _complain(name, _class_problems(classes) + _label_problems(labels, len(classes)) + _region_values(regions))
            train, test = (
                collect(part, _images(archive, f"{part}_images", heads[f"{part}_images"], known))
                for part in ("train", "test")
            )
    except GlassbitError:
        raise
    except (OSError, ValueError) as error:
        raise DataError(
            f"{name}: must be a readable .npz file; got: {error}; save it again with numpy.savez"
        ) from error
    return Contents(Arrays(train, labels["train"]), Arrays(test, labels["test"], regions), classes, known.rule)


def _images(archive: Archive, key: str, head: ArrayHead, known: Levels) -> Images:
    seen = readings(head.shape)[0]
    shape = (head.shape[0], *seen.shape)

    def chunks() -> Iterator[UInt8[np.ndarray, "k c h w"]]:
        for values in archive.chunks(key, CHUNK):
            pixels = known.apply(values)
            yield (pixels if seen.arrange is None else pixels.transpose(seen.arrange)).reshape(len(values), *shape[1:])

    return Images(shape, chunks)


def _levels(archive: Archive, heads: dict[str, ArrayHead]) -> Levels | str:
    """How values become pixels, or what is wrong with them."""
    parts = [heads[f"{part}_images"] for part in ("train", "test")]
    kinds = [head.dtype for head in parts]
    if kinds[0] != kinds[1]:
        return f"train_images and test_images must have one type; got {kinds[0]} and {kinds[1]}; save both as uint8"
    if not is_number(kinds[0]):
        return f"train_images and test_images must be numbers; got {kinds[0]}; save them as uint8, 0 ... 255"
    if kinds[0] == np.uint8 or not all(head.shape and math.prod(head.shape) for head in parts):
        return levels(np.dtype(np.uint8), Range(0, 0), Range(0, 0))
    train, test = (look(archive.chunks(f"{part}_images", CHUNK)) for part in ("train", "test"))
    every = train | test
    known = levels(kinds[0], train, every)
    if isinstance(known, Levels):
        return known
    return (
        f"train_images and test_images must be uint8, 0 ... 255; got {kinds[0]} from {every.low:.6g} to "
        f"{every.high:.6g}; {known}"
    )


def _object_problems(heads: dict[str, ArrayHead]) -> list[str]:
    return [
        f"{key} holds Python objects, which are not unpickled; save a plain array, such as {_PLAIN[key]}"
        for key, head in heads.items()
        if head.dtype.hasobject
    ]


def _problems(part: str, heads: dict[str, ArrayHead], archive: Archive) -> list[str]:
    images, labels = heads[f"{part}_images"], heads[f"{part}_labels"]
    shape, problems = images.shape, []
    if len(shape) > 2 and not shape[0]:
        problems.append(f"{part}_images is empty")
    else:
        wrong = shape_problem(shape)
        problems += [f"{part}_images {wrong}"] if wrong else []
    if images.by_columns and len(shape) > 1:
        problems.append(f"{part}_images is stored by columns: save np.ascontiguousarray(images)")
    problems += label_problems(f"{part}_labels", labels, archive)
    if len(labels.shape) == 1 and shape and labels.shape[0] != shape[0]:
        problems.append(f"{part}_labels has {counted(labels.shape[0], 'label')} for {counted(shape[0], 'image')}")
    other = heads["train_images"].shape
    if part == "test" and shape[1:] != other[1:]:
        problems.append(f"test_images must have the shape of train_images; got {shape[1:]} and {other[1:]}")
    return problems


def _classes(archive: Archive) -> tuple[str, ...]:
    names = archive.read("classes")
    try:
        return tuple(item.decode() if isinstance(item, bytes) else str(item) for item in names)
    except UnicodeDecodeError as error:
        raise ValueError(f"classes must be UTF-8 text ({error}); save np.array(classes, str)") from error


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(map(str, range(count)))


def _class_problems(classes: tuple[str, ...]) -> list[str]:
    problem = class_problem(classes)
    return [] if problem is None else [problem]


def _name_problems(head: ArrayHead) -> list[str]:
    """Return what is wrong with the class names, before any of them is read."""
    if len(head.shape) != 1 or not head.shape[0]:
        cure = "np.ravel(classes)" if math.prod(head.shape) else "one name for each class, or leave classes out"
        return [f"classes must be names (k,), one for each class; got the shape {head.shape}; save {cure}"]
    if head.dtype.kind not in "USiu":
        return [f"classes must be text; got {head.dtype}; save the names as np.array(classes, str)"]
    count, longest = math.prod(head.shape), head.dtype.itemsize
    if count <= CLASSES and longest <= 16 * NAME:
        return []
    got = f"{count} of {longest} bytes each"
    return [f"classes must be at most {CLASSES} names of at most {NAME} characters; got {got}; shorten them"]


def _number_problems(labels: dict[str, np.ndarray]) -> list[str]:
    """Return what is wrong with class numbers by themselves, before there is anything for each of them."""
    return [
        f"{part}_labels must be class numbers below {CLASSES}; got {numbers.min()} ... {numbers.max()}; {_NUMBERING}"
        for part, numbers in labels.items()
        if int(numbers.max()) >= CLASSES
    ]


def _label_problems(labels: dict[str, np.ndarray], classes: int) -> list[str]:
    problems = [
        f"{part}_labels must lie in 0 ... {classes - 1}; got {numbers.min()} ... {numbers.max()}; {_NUMBERING}"
        for part, numbers in labels.items()
        if numbers.min() < 0 or numbers.max() >= classes
    ]
    absent = sorted(set(range(classes)) - set(np.unique(labels["train"]).tolist()))
    if classes < 2:
        problems.append("there must be two classes or more; got one")
    elif absent and not problems:
        problems.append(
            f"every class needs training images, but there are none of class {listed(absent)}; {_NUMBERING}"
        )
    return problems


def _region_problems(heads: dict[str, ArrayHead]) -> list[str]:
    if REGIONS not in heads:
        return []
    head, images = heads[REGIONS], heads["test_images"].shape
    if head.dtype != np.uint8 or len(head.shape) != 3:
        got = f"{head.dtype} {head.shape}"
        return [f"{REGIONS} must be uint8 (n, h, w); got {got}; save regions.astype(np.uint8), one for each image"]
    seen = readings(images)
    wanted = (*images[:1], *seen[0].shape[1:]) if seen else ()
    if wanted and head.shape != wanted:
        return [f"{REGIONS} must be {wanted}, one for each pixel of test_images; got {head.shape}"]
    return []


def _region_values(regions: np.ndarray | None) -> list[str]:
    if regions is None or regions.max() <= SHORTCUT:
        return []
    return [f"{REGIONS} must hold 0 (background), 1 (the object) or 2 (a shortcut); got {regions.max()}"]


def _complain(name: str, problems: list[str]) -> None:
    if problems:
        text = f"{name}: must hold images and labels; got {counted(len(problems), 'problem')}:"
        raise DataError("\n".join([text, *(f"  - {problem}" for problem in problems)]))
