"""Duplicate images, and classes with too large a share."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, UInt64

from glassbit._count import counted
from glassbit._takes import WHOLE, number, takes
from glassbit._text import listed

from ._split import DATASET, Dataset, Split, validation_rows

_CHUNK = 1024
_MAJORITY = 0.5
_TIMES = 1.5
_RARE = 10

Marks = UInt64[np.ndarray, " n"]


def marks(split: Split) -> Marks:
    """Return a number for each image that two images share where they are equal, pixel for pixel.

    The first eight bytes of BLAKE2b: among a million images, two different ones share a number once in 30 million data
    sets. Images beyond memory are read once, in order.
    """
    values = np.empty(len(split), np.uint64)
    place = 0
    for images, _ in split.chunks(_CHUNK):
        for image in images.contiguous().cpu().numpy():
            values[place] = int.from_bytes(hashlib.blake2b(image.data, digest_size=8).digest(), "little")
            place += 1
    return values


def shared(train: Marks, test: Marks) -> Bool[np.ndarray, " n"]:
    """Which test images are training images too."""
    return np.isin(test, train)


def two_labels(data: Dataset, marked: tuple[Marks, Marks]) -> str:
    """Return a sentence on images that stand under several labels, or nothing.

    Args:
        data: the data set.
        found: the marks of its training and of its test images.
    """
    every = np.concatenate(marked)
    labels = np.concatenate([split.labels.cpu().numpy() for split in (data.train, data.test)])
    pairs = np.unique(np.stack([every, labels.astype(np.uint64)]), axis=1)
    images, counts = np.unique(pairs[0], return_counts=True)
    several = images[counts > 1]
    if not len(several):
        return ""
    names = [data.classes[label] for label in pairs[1][pairs[0] == several[0]].tolist()]
    count = int(np.isin(every, several).sum())
    stand = counted(len(several), "image stands", "images stand")
    return (
        f"{stand} under two labels or more, pixel for pixel ({count} files or rows in all; the first is "
        f"{' and '.join(names[:3])}): keep the right one of each"
    )


@takes(data=DATASET, validation=number(0, 1, usual=0.1), seed=WHOLE)
def remarks(data: Dataset, *, validation: float, seed: int) -> tuple[str, ...]:
    """Return what a user should know of the images before a network is trained on them; nothing where all is well.

    Args:
        data: the data set.
        validation: the share of the training images that is kept apart.
        seed: of that choice.
    """
    marked = marks(data.train), marks(data.test)
    both = int(shared(*marked).sum())
    texts = [faint(data), two_labels(data, marked)]
    if both:
        texts.append(
            f"{both} of {len(data.test)} test images are among the training images too, pixel for pixel: the test "
            "accuracy counts what was learned by heart"
        )
    held = validation_rows(data.train, fraction=validation, seed=seed).numpy()
    again = int(shared(marked[0][~held], marked[0][held]).sum())
    if again:
        texts.append(
            f"{again} of {int(held.sum())} validation images are among the images that are trained on too, pixel for "
            "pixel: the best epoch may be chosen too late"
        )
    return tuple(f"{data.name}: {text}" for text in (*texts, _imbalance(data)) if text)


def faint(data: Dataset) -> str:
    """Return a sentence on a part whose brightest pixel is 1 of 255, or nothing."""
    dark = {
        name: all(int(images.max()) <= 1 for images, _ in part.chunks(_CHUNK))
        for name, part in (("training", data.train), ("test", data.test))
    }
    parts = [name for name, is_dark in dark.items() if is_dark]
    if not parts:
        return ""
    whose = "its pixels" if len(parts) == len(dark) else f"the pixels of its {parts[0]} images"
    return (
        f"{whose} are 0 and 1 only, of 0 ... 255, which is black: where they were made of floats in [0, 1], make "
        "them again with np.round(images * 255).astype(np.uint8)"
    )


def majority(data: Dataset) -> str:
    """Return the most frequent class of each part, in a line."""
    return "most frequent class: " + ", ".join(
        f"{data.classes[label]} with {share:.1%} of the {part} images"
        for part, (label, share) in (("training", _most(data.train)), ("test", _most(data.test)))
    )


def _imbalance(data: Dataset) -> str:
    label, share = _most(data.test)
    if share >= max(_MAJORITY, _TIMES / len(data.classes)):
        return (
            f"{share:.1%} of the test images are {data.classes[label]}, and a network that always answers that has "
            "this accuracy: read the accuracy of each class"
        )
    counts = data.train.labels.bincount(minlength=len(data.classes))
    rare = [data.classes[i] for i in (counts * _RARE < counts.max()).nonzero().flatten().tolist()]
    if rare:
        return (
            f"{listed(rare)}: less than a tenth of the training images of {data.classes[int(counts.argmax())]}; read "
            "the accuracy of each class"
        )
    return ""


def _most(split: Split) -> tuple[int, float]:
    counts = split.labels.bincount()
    return int(counts.argmax()), float(counts.max()) / len(split)


def lost(data_classes: Sequence[str], labels: np.ndarray, kept: Bool[np.ndarray, " n"]) -> tuple[str, ...]:
    """Return the classes that have no image left among those that are kept."""
    gone = set(np.unique(labels).tolist()) - set(np.unique(labels[kept]).tolist())
    return tuple(data_classes[label] for label in sorted(gone))
