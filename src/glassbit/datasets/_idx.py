"""The IDX format of MNIST and Fashion-MNIST, plain or compressed with gzip."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from glassbit._errors import DataError
from glassbit._plain_files import read_plain

LARGEST = 2**28
"""Bytes of a file, and of what is in it; the largest official one has 47 million."""
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def find_idx(folder: Path) -> dict[str, Path]:
    """Which of the four files are in `folder`, by their official names; also spelt `train-images.idx3-ubyte`."""
    files = {}
    for name in FILES:
        spellings = (name, name.replace("-idx", ".idx"))
        paths = [folder / f"{spelling}{suffix}" for spelling in spellings for suffix in ("", ".gz")]
        for path in paths:
            if path.is_file():
                files[name] = path
                break
    return files


def content(path: Path) -> bytearray:
    """Return the bytes of a file, decompressed when they are gzip, whatever the file is called."""
    try:
        data = read_plain(path, most=LARGEST)
        if data[:2] != b"\x1f\x8b":
            return bytearray(data)
        with gzip.open(io.BytesIO(data)) as file:
            whole = bytearray(file.read(LARGEST + 1))
        if len(whole) > LARGEST:
            raise OSError(f"it holds more than {LARGEST} bytes")
        return whole
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            f"{path}: must be a readable file; got: {error}; it is damaged or cut short, get it again"
        ) from error


def read_idx(path: Path, *, dimensions: int) -> UInt8[np.ndarray, "..."]:
    """Read the unsigned bytes of an IDX file.

    The first four bytes are 0, 0, the type (8 for unsigned bytes) and the number of dimensions; each dimension follows
    as a big-endian 32-bit number, and then the data, the last dimension fastest.

    Args:
        path: the file.
        dimensions: how many the array must have.

    Raises:
        DataError: the file cannot be read, is not IDX, holds another kind of array, or is cut short.
    """
    data = content(path)
    start = 4 + 4 * dimensions
    if len(data) < start or data[:4] != bytes((0, 0, 8, dimensions)):
        raise DataError(
            f"{path}: must be an IDX file of unsigned bytes in {dimensions} dimensions, which begins with 00 00 08 "
            f"0{dimensions}; got {data[:4].hex(' ') or 'nothing'}; get the file again"
        )
    shape = tuple(int.from_bytes(data[4 + 4 * axis : 8 + 4 * axis], "big") for axis in range(dimensions))
    count = int(np.prod(shape, dtype=object))
    if len(data) - start != count or count == 0:
        raise DataError(
            f"{path}: must hold {' x '.join(map(str, shape))} = {count} bytes of data after its header; "
            f"got {len(data) - start}, so it is damaged or cut short; get it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)
