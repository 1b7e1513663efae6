"""CIFAR-10's binary and Python batches, in a folder or still in their archive."""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from glassbit._errors import DataError
from glassbit._plain_files import read_plain

LARGEST = 2**28
"""Bytes of a batch; official ones have 31 million."""
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
RECORD = 1 + 3 * 32 * 32
ARCHIVES = {"cifar-10-binary.tar.gz": ".bin", "cifar-10-python.tar.gz": ""}
_FOLDERS = {"cifar-10-batches-bin": ".bin", "cifar-10-batches-py": "", ".": ".bin"}


@dataclass(frozen=True)
class CifarFiles:
    """Where a copy of CIFAR-10 is.

    Args:
        path: a folder or an archive.
        suffix: ".bin" for binary batches, nothing for Python's.
    """

    path: Path
    suffix: str

    def read(self) -> dict[str, bytes]:
        """Return the bytes of the six batches."""
        return read_archive(self.path, self.suffix) if self.path.is_file() else self._read_folder()

    def _read_folder(self) -> dict[str, bytes]:
        paths = {name: self.path / f"{name}{self.suffix}" for name in BATCHES}
        try:
            return {name: read_plain(path, most=LARGEST) for name, path in paths.items()}
        except OSError as error:
            raise DataError(f"{error.filename}: must be readable; got: {error.strerror}; get it again") from error


def find_cifar(folder: Path) -> tuple[CifarFiles | None, list[str]]:
    """Return the copy of CIFAR-10 in `folder`, if it is whole; otherwise what is missing from a copy that is not."""
    missing: list[str] = []
    for place, suffix in (*_FOLDERS.items(), (".", "")):
        path = folder / place
        absent = [f"{name}{suffix}" for name in BATCHES if not (path / f"{name}{suffix}").is_file()]
        if not absent:
            return CifarFiles(path, suffix), []
        if len(absent) < len(BATCHES):
            missing.append(f"{path} has no {', '.join(absent)}")
    for name, suffix in ARCHIVES.items():
        if (folder / name).is_file():
            return CifarFiles(folder / name, suffix), []
    return None, missing


def read_archive(path: Path, suffix: str) -> dict[str, bytes]:
    """Return the bytes of the six batches in an official `.tar.gz`.

    Raises:
        DataError: the archive is damaged, or a batch is not in it.
    """
    batches = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name.removesuffix(suffix)
                file = archive.extractfile(member) if name in BATCHES and member.isfile() else None
                if file is not None and member.size > LARGEST:
                    raise OSError(f"{name} has {member.size} bytes; at most {LARGEST} are read")
                if file is not None:
                    batches[name] = file.read()
    except (OSError, EOFError, tarfile.TarError, zlib.error) as error:
        raise DataError(f"{path}: must be a readable archive; got: {error}; get it again") from error
    absent = [f"{name}{suffix}" for name in BATCHES if name not in batches]
    if absent:
        raise DataError(f"{path}: must be the official archive; got one without {', '.join(absent)}; get it again")
    return batches


def records(data: bytes, *, suffix: str, source: str) -> UInt8[np.ndarray, "n 3073"]:
    """Return a batch as rows of a label and 3 x 32 x 32 pixels, which is what the binary layout holds.

    Args:
        data: the bytes of the batch.
        suffix: ".bin" or nothing, as in `CifarFiles`.
        source: what to call the batch in an error.

    Raises:
        DataError: the batch is damaged or not CIFAR-10's.
    """
    if suffix == ".bin":
        if not data or len(data) % RECORD:
            raise DataError(
                f"{source}: must hold a whole number of {RECORD}-byte records; got {len(data)} bytes; get it again"
            )
        rows = np.frombuffer(bytearray(data), np.uint8).reshape(-1, RECORD)
    else:
        rows = _from_pickle(data, source=source)
    if rows[:, 0].max() > 9:
        raise DataError(f"{source}: labels must be 0..9, as in CIFAR-10; got {rows[:, 0].max()}; get it again")
    return rows


def _from_pickle(data: bytes, *, source: str) -> UInt8[np.ndarray, "n 3073"]:
    try:
        value = _Reader(io.BytesIO(data), encoding="bytes").load()
        batch = {key.decode() if isinstance(key, bytes) else key: item for key, item in value.items()}
        pixels, labels = batch["data"].array(), np.array(batch["labels"], np.uint8)
        return np.concatenate([labels[:, None], pixels.reshape(len(labels), RECORD - 1)], axis=1)
    except Exception as error:  # a damaged pickle can raise anything
        text = f"{source}: must be a Python batch of CIFAR-10; got: {error or type(error).__name__}; get it again"
        raise DataError(text) from error


class _Array:
    """Stands for a NumPy array while a batch is read, so that no code named by the file is ever run."""

    def __init__(self) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._state = state

    def array(self) -> UInt8[np.ndarray, "..."]:
        _, shape, kind, by_columns, data = self._state
        if kind.code not in ("u1", b"u1"):
            raise ValueError(f"pixels must be unsigned bytes (u1); got {kind.code}")
        return np.frombuffer(data, np.uint8).reshape(shape, order="F" if by_columns else "C")


class _Kind:
    """Stands for a NumPy data type."""

    def __init__(self, code: str | bytes, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        pass


class _Reader(pickle.Unpickler):
    """An unpickler for containers, numbers, texts and plain arrays, and nothing else."""

    def find_class(self, module: str, name: str, /) -> Any:
        match module, name:
            case (("numpy.core.multiarray" | "numpy._core.multiarray"), "_reconstruct"):
                return lambda *_: _Array()
            case "numpy", "ndarray":
                return _Array
            case "numpy", "dtype":
                return _Kind
            case "_codecs", "encode":
                return lambda text, *_: text.encode("latin1")
        raise ValueError(f"it asks for {module}.{name}, which no batch needs; it is refused unread")
