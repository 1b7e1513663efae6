"""Class by class: accuracy, what is mistaken for what, and how much always giving one answer would score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from glassbit.report.read import Group, Run
from glassbit.runs import Variant

from ._statistics import Spread, spread

_SHOWN = 20
"""A matrix of more classes is not drawn; `tables/confusion.csv` has it."""


@dataclass(frozen=True)
class ClassRow:
    """One class: its name, its test images, and the accuracy of each variant on them in per cent."""

    name: str
    images: int
    accuracies: tuple[Spread | None, ...]


@dataclass(frozen=True, eq=False)
class Confusion:
    """Test images of a variant by true class (rows) and predicted class (columns), summed over seeds."""

    variant: Variant
    counts: NDArray[np.int64]

    @property
    def drawn(self) -> bool:
        """Whether it is small enough for the page."""
        return len(self.counts) <= _SHOWN

    @property
    def shares(self) -> NDArray[np.float64]:
        """The counts as shares of each true class."""
        whole = self.counts.sum(1, keepdims=True)
        shares: NDArray[np.float64] = self.counts / np.maximum(whole, 1)
        return shares


@dataclass(frozen=True)
class Classes:
    """What is known class by class of one group.

    Args:
        names: of the classes.
        variants: those that were counted.
        rows: one per class.
        confusions: one per variant.
        majority: the most frequent class and its share of the test images.
    """

    names: tuple[str, ...]
    variants: tuple[Variant, ...]
    rows: tuple[ClassRow, ...]
    confusions: tuple[Confusion, ...]
    majority: tuple[str, float]


def classes(group: Group) -> Classes | None:
    """Class by class, over the finished runs that counted; None where none did, as runs of older versions."""
    counted = {
        variant: [counts for run in group.of(variant) if (counts := confusion(run)) is not None]
        for variant in group.variants
    }
    counted = {variant: per_class for variant, per_class in counted.items() if per_class}
    if not counted:
        return None
    images = next(iter(counted.values()))[0].sum(1)
    counted = {
        variant: same
        for variant, per_class in counted.items()
        if (same := [counts for counts in per_class if np.array_equal(counts.sum(1), images)])
    }
    names = _names(group, len(images))
    rows = [
        ClassRow(name, int(images[index]), tuple(_accuracy(per_class, index) for per_class in counted.values()))
        for index, name in enumerate(names)
    ]
    most = int(images.argmax())
    return Classes(
        names=names,
        variants=tuple(counted),
        rows=tuple(rows),
        confusions=tuple(Confusion(variant, np.sum(per_class, axis=0)) for variant, per_class in counted.items()),
        majority=(names[most], float(images[most] / max(1, images.sum()))),
    )


def confusion(run: Run) -> Int[np.ndarray, "k k"] | None:
    """Return the confusion matrix in `result.json`, or None where there is none."""
    counts = np.array((run.result.test.confusion if run.result else None) or [], np.int64)
    return counts if counts.ndim == 2 and counts.shape[0] == counts.shape[1] and counts.sum() else None


def _accuracy(confusions: Sequence[NDArray[np.int64]], index: int) -> Spread | None:
    return spread([100.0 * row[index] / row.sum() for row in (counts[index] for counts in confusions) if row.sum()])


def _names(group: Group, number: int) -> tuple[str, ...]:
    known = next((run.images.classes for run in group.runs if run.images.classes), None)
    if known is None and group.probes is not None:
        known = group.probes.classes
    names = tuple(map(str, known or ()))
    return names if len(names) == number else tuple(map(str, range(number)))
