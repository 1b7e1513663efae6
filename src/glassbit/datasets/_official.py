"""Find and read the files of the catalogue's data sets, in any layout they are published or unpacked in."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64, UInt8

from glassbit._catalogue import Entry, catalogue
from glassbit._count import counted
from glassbit._errors import DataError

from ._cifar import BATCHES, CifarFiles, find_cifar, records
from ._idx import FILES, content, find_idx, read_idx


@dataclass(frozen=True)
class Arrays:
    """Images `(n, c, h, w)` uint8 and labels `(n,)` int64 of one part, and the regions of its images where known."""

    images: UInt8[np.ndarray, "n c h w"]
    labels: Int64[np.ndarray, "n"]
    regions: UInt8[np.ndarray, "n h w"] | None = None


@dataclass(frozen=True)
class Search:
    """What was found of a data set below a folder.

    Args:
        files: IDX files by official name, a copy of CIFAR-10, or nothing usable.
        looked: the folders that were looked into.
        notes: what is missing from a copy that is not whole.
    """

    files: dict[str, Path] | CifarFiles | None
    looked: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files themselves."""
        if self.files is None:
            return ()
        if isinstance(self.files, dict):
            return tuple(self.files.values())
        if self.files.path.is_file():
            return (self.files.path,)
        return tuple(self.files.path / f"{name}{self.files.suffix}" for name in BATCHES)


def find(entry: Entry, folder: Path) -> Search:
    """Look for the data set below `folder`; files of the same names that hold another data set are not taken."""
    looked: list[Path] = []
    notes = [] if folder.is_dir() else [f"{folder} does not exist"]
    for below in entry.folders:
        place = folder if below == "." else folder / below
        looked.append(place)
        if entry.layout == "cifar":
            copy, missing = find_cifar(place)
            notes += missing
            if copy is not None:
                return Search(copy, tuple(looked))
            continue
        files = find_idx(place)
        if len(files) == len(FILES):
            other = _other(entry, files)
            if other is None:
                return Search(files, tuple(looked))
            notes.append(f"{place} holds {other.name}, not {entry.name}")
        elif files:
            notes.append(f"{place} has no {', '.join(name for name in FILES if name not in files)}")
    return Search(None, tuple(looked), tuple(notes))


def read(entry: Entry, search: Search) -> tuple[Arrays, Arrays]:
    """Read the training and the test part.

    Raises:
        DataError: a file is damaged, or images and labels do not fit together.
    """
    if isinstance(search.files, CifarFiles):
        return _read_cifar(search.files)
    assert search.files is not None
    train, test = (_read_idx(entry, search.files, part) for part in ("train", "t10k"))
    if train.images.shape[1:] != test.images.shape[1:]:
        sizes = " and ".join("x".join(map(str, part.images.shape[2:])) for part in (train, test))
        raise DataError(f"{entry.name}: training and test images must have one size; got {sizes}; get the files again")
    return train, test


def digests(entry: Entry, search: Search) -> dict[str, bool]:
    """For every file of the data set, whether its content is what was published."""
    if isinstance(search.files, CifarFiles):
        copy = search.files
        files = {f"{name}.bin": records(data, suffix=copy.suffix, source=name) for name, data in copy.read().items()}
        return {name: sha256(files[name].tobytes()) == right for name, right in entry.contents}
    assert search.files is not None
    return {name: sha256(content(search.files[name])) == right for name, right in entry.contents}


def sha256(data: bytes | bytearray) -> str:
    """Return the digest of some bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _other(entry: Entry, files: dict[str, Path]) -> Entry | None:
    """Return the other data set that these files belong to, by the digest of their test labels."""
    labels = "t10k-labels-idx1-ubyte"
    sha256_here = sha256(content(files[labels]))
    return next((other for other in catalogue() if other != entry and (labels, sha256_here) in other.contents), None)


def _read_idx(entry: Entry, files: dict[str, Path], part: str) -> Arrays:
    images = read_idx(files[f"{part}-images-idx3-ubyte"], dimensions=3)
    labels = read_idx(files[f"{part}-labels-idx1-ubyte"], dimensions=1)
    if len(images) != len(labels):
        many = f"{counted(len(images), 'image')} and {counted(len(labels), 'label')}"
        raise DataError(
            f"{files[f'{part}-images-idx3-ubyte']}: must have one label per image; got {many}; get it again"
        )
    if labels.max() >= len(entry.classes):
        file = files[f"{part}-labels-idx1-ubyte"]
        raise DataError(f"{file}: labels must be 0..{len(entry.classes) - 1}; got {labels.max()}; get it again")
    return Arrays(images[:, None], labels.astype(np.int64))


def _read_cifar(copy: CifarFiles) -> tuple[Arrays, Arrays]:
    batches = {
        name: records(data, suffix=copy.suffix, source=f"{copy.path / name}{copy.suffix}")
        for name, data in copy.read().items()
    }
    train = _pictures([batches[name] for name in BATCHES[:-1]])
    return train, _pictures([batches[BATCHES[-1]]])


def _pictures(batches: Sequence[UInt8[np.ndarray, "_ 3073"]]) -> Arrays:
    images = np.empty((sum(map(len, batches)), 3 * 32 * 32), np.uint8)
    np.concatenate([rows[:, 1:] for rows in batches], out=images)
    labels = np.concatenate([rows[:, 0] for rows in batches]).astype(np.int64)
    return Arrays(images.reshape(-1, 3, 32, 32), labels)
