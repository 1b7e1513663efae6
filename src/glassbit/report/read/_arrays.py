"""Files of arrays: the probe images, and their saliency maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray

from glassbit._npz import read_arrays

T = TypeVar("T")


@dataclass(frozen=True)
class Unread:
    """An existing file with wrong contents; nothing of it is shown."""

    path: Path


@dataclass(frozen=True)
class Probes:
    """The images whose maps every run of one data set stores."""

    images: UInt8[np.ndarray, "p c h w"]
    labels: Int[np.ndarray, "p"]
    classes: tuple[str, ...]

    def named(self, label: int) -> str:
        """Return the class name of `label`, or the number where no name is known."""
        return self.classes[label] if 0 <= label < len(self.classes) else str(label)


@dataclass(frozen=True)
class Maps:
    """Saliency maps of the probe images, with what the network said of each image."""

    maps: Float[np.ndarray, "p h w"]
    predictions: Int[np.ndarray, "p"]
    confidence: Float[np.ndarray, "p"] | None


def read_probes(path: Path) -> Probes | Unread | None:
    """Read probe images; None where there is no file."""
    return _read(path, _probes)


def read_maps(path: Path) -> Maps | Unread | None:
    """Read maps; None where there is no file."""
    return _read(path, _maps)


def _read(path: Path, make: Callable[[dict[str, NDArray[Any]]], T]) -> T | Unread | None:
    if not path.is_file():
        return None
    try:
        return make(read_arrays(path))
    except (OSError, ValueError, KeyError, TypeError):
        return Unread(path)


def _probes(arrays: dict[str, NDArray[Any]]) -> Probes:
    images, labels = arrays["images"], arrays["labels"]
    if images.ndim != 4 or labels.shape != images.shape[:1]:
        raise ValueError("must be an image and a label each")
    classes = tuple(str(name) for name in arrays["classes"]) if "classes" in arrays else ()
    return Probes(images.astype(np.uint8), labels.astype(np.int64), classes)


def _maps(arrays: dict[str, NDArray[Any]]) -> Maps:
    maps, predictions, confidence = arrays["maps"], arrays["predictions"], arrays.get("confidence")
    each = [predictions] if confidence is None else [predictions, confidence]
    if maps.ndim != 3 or any(values.shape != maps.shape[:1] for values in each):
        raise ValueError("must be a map, a prediction and a confidence each")
    finite = np.nan_to_num(maps.astype(np.float64), posinf=0.0, neginf=0.0)
    known = None if confidence is None else confidence.astype(np.float64)
    return Maps(finite, predictions.astype(np.int64), known)
