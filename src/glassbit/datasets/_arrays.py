"""The user's own arrays, as `.npz`."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import UInt8

from glassbit._count import counted
from glassbit._errors import DataError
from glassbit.pictures import LARGEST, SMALLEST, Images

from ._official import Arrays
from ._split import SHORTCUT

KEYS = ("train_images", "train_labels", "test_images", "test_labels")
REGIONS = "test_regions"
CHUNK = 4096

Collect = Callable[[str, Images], UInt8[np.ndarray, "n c h w"]]


def read_npz(
    source: Path | io.BufferedIOBase, *, name: str, collect: Collect
) -> tuple[Arrays, Arrays, tuple[str, ...]]:
    """Read `train_images`, `train_labels`, `test_images`, `test_labels` and, where they are there, `classes` and
    `test_regions`.

    Images are uint8, `(n, h, w)`, `(n, h, w, c)` or `(n, c, h, w)` with 1 or 3 channels; labels are whole numbers from
    0, and every class has training images. Regions are uint8 `(n, h, w)`: 0 background, 1 the object, 2 a shortcut.

    Args:
        source: a path or an open file.
        name: what to call it in an error.
        collect: makes an array of the images of a part, "train" or "test"; they are read a few at a time.

    Returns:
        The training part, the test part and the class names.

    Raises:
        DataError: an array is missing or not what it must be; all that is wrong, in one text.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            members = {item.removesuffix(".npy") for item in archive.namelist()}
            absent = [key for key in KEYS if key not in members]
            if absent:
                raise DataError(
                    f"{name} has no {', '.join(absent)}; it holds {', '.join(sorted(members)) or 'nothing'}."
                )
            heads = {key: _head(archive, key) for key in (*KEYS, REGIONS) if key in members}
            problems = [text for part in ("train", "test") for text in _problems(part, heads)]
            _complain(name, problems + _region_problems(heads))
            labels = {part: _small(archive, f"{part}_labels").astype(np.int64) for part in ("train", "test")}
            classes = _small(archive, "classes") if "classes" in members else np.arange(labels["train"].max() + 1)
            regions = _small(archive, REGIONS) if REGIONS in members else None
            _complain(name, _label_problems(labels, len(classes)) + _region_values(regions))
            train, test = (
                collect(part, _images(archive, f"{part}_images", heads[f"{part}_images"])) for part in ("train", "test")
            )
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{name} cannot be read as .npz: {error}") from error
    return Arrays(train, labels["train"]), Arrays(test, labels["test"], regions), tuple(map(str, classes))


@dataclass(frozen=True)
class _Head:
    """What an array is, before any of it is read."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[np.generic]


def _head(archive: zipfile.ZipFile, key: str) -> _Head:
    with _opened(archive, key) as file:
        return _read_head(file)


def _opened(archive: zipfile.ZipFile, key: str) -> zipfile.ZipExtFile:
    return cast(zipfile.ZipExtFile, archive.open(f"{key}.npy"))


def _read_head(file: zipfile.ZipExtFile) -> _Head:
    version = np.lib.format.read_magic(file)
    reads = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    return _Head(*reads[version](file)) if version in reads else _unknown(version)


def _unknown(version: tuple[int, int]) -> _Head:
    raise ValueError(f"an array is stored in format {version[0]}.{version[1]}, which is not read; save it again")


def _small(archive: zipfile.ZipFile, key: str) -> np.ndarray:
    with _opened(archive, key) as file:
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        return array


def _images(archive: zipfile.ZipFile, key: str, head: _Head) -> Images:
    count, *rest = head.shape
    if len(rest) == 2:
        arrange: tuple[int, ...] = (0, 1, 2)
        channels, height, width = 1, *rest
    elif rest[0] in (1, 3):
        arrange = (0, 1, 2, 3)
        channels, height, width = rest
    else:
        arrange = (0, 3, 1, 2)
        height, width, channels = rest

    def chunks() -> Iterator[UInt8[np.ndarray, "k c h w"]]:
        with _opened(archive, key) as file:
            _read_head(file)
            for start in range(0, count, CHUNK):
                some = min(CHUNK, count - start)
                data = file.read(some * channels * height * width)
                images = np.frombuffer(data, np.uint8).reshape(some, *rest).transpose(arrange)
                yield images.reshape(some, channels, height, width)

    return Images((count, channels, height, width), chunks)


def _problems(part: str, heads: dict[str, _Head]) -> list[str]:
    images, labels = heads[f"{part}_images"], heads[f"{part}_labels"]
    shape, problems = images.shape, []
    if images.dtype != np.uint8:
        cure = "; multiply by 255 and round" if images.dtype.kind == "f" else ""
        problems.append(f"{part}_images must be uint8, 0 ... 255, got {images.dtype}{cure}")
    if len(shape) != 3 and not (len(shape) == 4 and {1, 3} & {shape[1], shape[3]}):
        problems.append(f"{part}_images must be (n, h, w), (n, h, w, c) or (n, c, h, w) with c = 1 or 3, got {shape}")
    elif not shape[0]:
        problems.append(f"{part}_images is empty")
    else:
        sides = _sides(shape)
        if not all(SMALLEST <= side <= LARGEST for side in sides):
            problems.append(f"{part}_images must have {SMALLEST} ... {LARGEST} pixels a side, got {sides}")
    if images.by_columns and len(shape) > 1:
        problems.append(f"{part}_images is stored by columns: save np.ascontiguousarray(images)")
    if labels.dtype.kind not in "iu" or len(labels.shape) != 1:
        problems.append(f"{part}_labels must be whole numbers (n,), got {labels.dtype} {labels.shape}")
    elif shape and labels.shape[0] != shape[0]:
        problems.append(f"{part}_labels has {counted(labels.shape[0], 'label')} for {counted(shape[0], 'image')}")
    other = heads["train_images"].shape
    if part == "test" and shape[1:] != other[1:]:
        problems.append(f"test_images must have the shape of train_images, got {shape[1:]} and {other[1:]}")
    return problems


def _label_problems(labels: dict[str, np.ndarray], classes: int) -> list[str]:
    problems = [
        f"{part}_labels must lie in 0 ... {classes - 1}, got {found.min()} ... {found.max()}"
        for part, found in labels.items()
        if found.min() < 0 or found.max() >= classes
    ]
    absent = sorted(set(range(classes)) - set(np.unique(labels["train"]).tolist()))
    if classes < 2:
        problems.append("there must be two classes or more, got one")
    elif absent and not problems:
        problems.append(f"every class needs training images, but there are none of class {', '.join(map(str, absent))}")
    return problems


def _region_problems(heads: dict[str, _Head]) -> list[str]:
    if REGIONS not in heads:
        return []
    found, images = heads[REGIONS], heads["test_images"].shape
    if found.dtype != np.uint8 or len(found.shape) != 3:
        return [f"{REGIONS} must be uint8 (n, h, w), got {found.dtype} {found.shape}"]
    wanted = (*images[:1], *_sides(images))
    if len(wanted) == 3 and found.shape != wanted:
        return [f"{REGIONS} must be {wanted}, one for each pixel of test_images, got {found.shape}"]
    return []


def _region_values(regions: np.ndarray | None) -> list[str]:
    if regions is None or regions.max() <= SHORTCUT:
        return []
    return [f"{REGIONS} must hold 0 (background), 1 (the object) or 2 (a shortcut), got {regions.max()}"]


def _sides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Height and width of images of that shape, as far as it has them."""
    return shape[2:] if len(shape) == 4 and shape[1] in (1, 3) else shape[1:3]


def _complain(name: str, problems: list[str]) -> None:
    if problems:
        raise DataError("\n".join([f"{name} cannot be used:", *(f"  - {problem}" for problem in problems)]))
