"""What the labels of the user's arrays must be, and how other ones become so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from glassbit._npz import Archive, ArrayHead

from ._split import CLASSES

_NAMES = "`np.searchsorted(classes, labels)` with `classes = np.unique(train_labels)`, and classes with them"


def label_problems(key: str, head: ArrayHead, archive: Archive) -> list[str]:
    """Return what is wrong with labels by their type and shape, with a repair that works; nothing where all is well.

    Args:
        key: of the array.
        head: what it is.
        archive: where it is read, to see which repair works.
    """
    if head.dtype.kind in "iu" and len(head.shape) == 1:
        return []
    return [f"{key} must be whole numbers (n,); got {head.dtype} {head.shape}; {_repair(key, head, archive)}"]


def _repair(key: str, head: ArrayHead, archive: Archive) -> str:
    none = "save the number of each image's class, from 0"
    if head.dtype.kind in "SU" and len(head.shape) == 1:
        return f"if they are class names, save {_NAMES}"
    if head.dtype.kind not in "biuf":
        return none
    labels = archive.read(key)
    if len(head.shape) == 2 and head.shape[1] > 1:
        return "if they are class numbers, save labels.argmax(1)" if _finite(labels) else none
    if len(head.shape) <= 2 and _are_numbers(labels):
        return "if they are class numbers, save labels.ravel().astype(int)"
    return none


def _finite(labels: NDArray[np.generic]) -> bool:
    return bool(np.isfinite(labels).all())


def _are_numbers(labels: NDArray[np.generic]) -> bool:
    """Whether they become class numbers when they are cast, and lose nothing."""
    values = labels.astype(np.float64)
    return _finite(values) and bool(((values == np.round(values)) & (values >= 0) & (values < CLASSES)).all())
