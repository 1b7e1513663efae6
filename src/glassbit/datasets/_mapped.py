"""Images in a file that is read where it is used, in any order, even when memory cannot hold it."""

from __future__ import annotations

import io
import math
import mmap
import os
import warnings
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from glassbit._errors import DataError
from glassbit._plain_files import open_plain

_PIECE = 128 * 1024
"""Bytes: what a kernel reads ahead at least. Of a longer piece it may read the beginning only."""

_FILES: WeakValueDictionary[int, mmap.mmap] = WeakValueDictionary()
"""The files behind tensors, by the address of their images."""


def mapped(path: Path) -> UInt8[Tensor, "n c h w"]:
    """Return the array in a `.npy` file, read from the disk when it is used; the file cannot be changed through it.

    Raises:
        DataError: it cannot be read, or is not what `collect` keeps.
    """
    try:
        with open_plain(path) as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            start = file.tell()
            if dtype != np.uint8 or os.fstat(file.fileno()).st_size != start + math.prod(shape):
                raise ValueError("it is cut short")
            pages = _pages(file)
    except Exception as error:  # what a damaged header makes NumPy raise has no end
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error).partition("\n")[0]
        text = f"{path}: must hold images that Glassbit keeps; got: {why}; delete it, and call again"
        raise DataError(text) from error
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        images = torch.from_numpy(np.frombuffer(pages, dtype, offset=start).reshape(shape))
    if hasattr(mmap, "MADV_RANDOM"):  # otherwise every image brings its neighbours along, megabytes of them
        pages.madvise(mmap.MADV_RANDOM)
        _FILES[images.data_ptr()] = pages
    return images


def _pages(file: io.BufferedReader) -> mmap.mmap:
    try:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError:  # Linux grants no private copy of more than memory and swap together
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def announce(images: UInt8[Tensor, "n c h w"], rows: Int64[Tensor, " k"]) -> None:
    """Have the disk read the images numbered `rows`, all at a time instead of one after the other.

    Images that lie in memory already cost a microsecond each, images of no file nothing.
    """
    pages = _FILES.get(images.data_ptr())
    if pages is None or not len(rows):
        return
    apart = rows.diff() != 1
    firsts = torch.cat([rows[:1], rows[1:][apart]])
    lasts = torch.cat([rows[:-1][apart], rows[-1:]])
    size = images[0].nbytes
    offset = len(pages) - images.nbytes
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        start, stop = offset + first * size, offset + (last + 1) * size
        for page in range(start - start % mmap.PAGESIZE, stop, _PIECE):
            pages.madvise(mmap.MADV_WILLNEED, page, min(_PIECE, stop - page))
