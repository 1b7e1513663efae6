"""Hold images in memory, or in a memory-mapped file when they are too many."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from glassbit._errors import DataError
from glassbit._files import replacing, sweep
from glassbit.pictures import Images

from ._lock import locked
from ._mapped import mapped

FORMAT = 1


def collect(
    prepare: Callable[[], Images], *, key: Sequence[object], cache_dir: Path, limit: int
) -> UInt8[Tensor, "n c h w"]:
    """All images as one tensor: in memory up to `limit` bytes, otherwise memory-mapped.

    The mapped file is built once, by one process while others wait, and appears when it is whole.

    Args:
        prepare: inspects the images; not called when a mapped file for `key` exists.
        key: everything that the pixels depend on.
        cache_dir: for mapped files.
        limit: in bytes.

    Raises:
        DataError: the images cannot be made, or the disk has no room for them.
    """
    digest = hashlib.sha256("\n".join(map(str, (FORMAT, *key))).encode(errors="surrogateescape")).hexdigest()
    path = cache_dir / "images" / f"{digest[:24]}.npy"
    if path.is_file():
        return mapped(path)
    images = prepare()
    if images.nbytes <= limit:
        whole = np.empty(images.shape, np.uint8)
        start = 0
        for chunk in images.chunks():
            whole[start : start + len(chunk)] = chunk
            start += len(chunk)
        return torch.from_numpy(whole)
    with locked(path):
        if not path.is_file():
            _build(path, images)
    return mapped(path)


def _build(path: Path, images: Images) -> None:
    sweep(path.parent)  # what killed processes left of other images, too
    free = shutil.disk_usage(path.parent).free
    if free < images.nbytes:
        raise DataError(
            f"{path.parent}: must have {images.nbytes / 1e9:.1f} GB free for the images; got {free / 1e9:.1f} GB; make "
            "room, set GLASSBIT_CACHE to a folder on another disk, or ask for a smaller size"
        )
    header = {"descr": "|u1", "fortran_order": False, "shape": images.shape}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for chunk in images.chunks():
            file.write(np.ascontiguousarray(chunk, np.uint8).data)
