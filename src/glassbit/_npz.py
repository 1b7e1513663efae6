"""`.npz` files that may come from anywhere: nothing in them is unpickled, and what is damaged is a `ValueError`."""

from __future__ import annotations

import io
import math
import zipfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from ._plain_files import open_plain
from ._text import excerpt, listed

LARGEST = 2**31
"""Bytes of a file that Glassbit keeps beside others, and of the arrays in it."""
_SHOWN = 200
_MANY = 2**16 - 1
"""Stands for a number that does not fit."""


@dataclass(frozen=True)
class ArrayHead:
    """What an array is, before any of it is read."""

    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[np.generic]


class Archive:
    """The arrays of an open `.npz` file.

    Args:
        file: an open file; stays open.

    Raises:
        ValueError: it is damaged, or holds two arrays of one name.
    """

    def __init__(self, file: BinaryIO) -> None:
        with _told("the archive"):
            self._zip = zipfile.ZipFile(file)
            members = self._zip.infolist()
            if len(members) != _count(file, self._zip):
                raise ValueError("its list of arrays is not whole")
        keys = [member.filename.removesuffix(".npy") for member in members]
        twice = [key for key, count in Counter(keys).items() if count > 1]
        if twice:
            raise ValueError(f"it holds {listed(twice, most=3)} more than once")
        self._members = dict(zip(keys, members, strict=True))
        self.size = sum(member.file_size for member in members)
        """Bytes of all arrays."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays."""
        return tuple(self._members)

    def head(self, key: str) -> ArrayHead:
        """Return what an array is; one of Python objects has no size."""
        with self._open(key) as file:
            return self._head(key, file)

    def read(self, key: str) -> NDArray[Any]:
        """Return an array.

        Raises:
            ValueError: it is damaged, or holds Python objects.
        """
        self.head(key)
        with self._open(key) as file, _told(key):
            array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
            return array

    def chunks(self, key: str, count: int) -> Iterator[NDArray[Any]]:
        """Return an array in the order of its rows, `count` at a time."""
        with self._open(key) as file:
            head = self._head(key, file)
            rows, *rest = head.shape
            for start in range(0, rows, count):
                some = min(count, rows - start)
                with _told(key):
                    data = file.read(some * math.prod(rest) * head.dtype.itemsize)
                    values = np.frombuffer(data, head.dtype).reshape(some, *rest)
                yield values

    @contextmanager
    def _open(self, key: str) -> Iterator[zipfile.ZipExtFile]:
        with _told(key):
            file = cast(zipfile.ZipExtFile, self._zip.open(self._members[key]))
        with file:
            yield file

    def _head(self, key: str, file: zipfile.ZipExtFile) -> ArrayHead:
        with _told(f"the header of {key}", memory=True):  # the parser of a nested header runs out of memory
            version = np.lib.format.read_magic(file)
            reads = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            if version not in reads:
                raise ValueError(f"format {version[0]}.{version[1]} is not read")
            head = ArrayHead(*reads[version](file))
            start = file.tell()
        needed = math.prod(head.shape) * head.dtype.itemsize
        there = self._members[key].file_size - start
        if not head.dtype.hasobject and there != needed:
            raise ValueError(f"{key} has {there} bytes; its shape {head.shape} needs {needed}")
        return head


def _count(file: BinaryIO, archive: zipfile.ZipFile) -> int:
    """How many members an archive says that it has, at its end; of very many it does not say."""
    file.seek(-22 - len(archive.comment), io.SEEK_END)  # the record at the end, whose count zipfile does not compare
    count = int.from_bytes(file.read(22)[10:12], "little")
    return len(archive.infolist()) if count == _MANY else count


def read_arrays(source: Path | BinaryIO, *, most: int = LARGEST) -> dict[str, NDArray[Any]]:
    """Read a file of arrays whole.

    Args:
        source: the path, or an open file.
        most: bytes of the file, and of the arrays in it.

    Raises:
        OSError: it cannot be opened, or is too large.
        ValueError: it is damaged, its arrays are too large, or it holds Python objects.
    """
    if isinstance(source, Path):
        with open_plain(source, most=most) as file:
            return read_arrays(file, most=most)
    archive = Archive(source)
    if archive.size > most:
        raise ValueError(f"its arrays have {archive.size} bytes; at most {most} are read")
    return {key: archive.read(key) for key in archive.names}


@contextmanager
def _told(what: str, *, memory: bool = False) -> Iterator[None]:
    """Let whatever zipfile, its decompressors and NumPy raise inside say `what` is damaged: their kinds have no end."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) and not memory:
            raise
        text = excerpt(str(error).partition("\n")[0] or type(error).__name__, _SHOWN)
        raise ValueError(f"{what} is damaged: {text}") from error
