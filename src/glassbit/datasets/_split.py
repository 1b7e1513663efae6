"""Images and labels, and the two parts of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from glassbit._arguments import shown
from glassbit._count import counted
from glassbit._errors import UsageError
from glassbit._random import derive
from glassbit._takes import TEXT, WHOLE, check_kind, instance, number, takes, whole
from glassbit._tensors import is_dense
from glassbit._text import brief, excerpt, is_name, listed

from ._mapped import announce

IN_MEMORY = 2 * 1024**3
BACKGROUND, OBJECT, SHORTCUT = 0, 1, 2
CLASSES, NAME = 2**16 - 1, 256
"""The most classes of an exported network, and the most characters of a class name."""


class Split:
    """Images and their labels; never changed after it is made.

    Args:
        images: pixels 0 ... 255, `(m, c, h, w)` uint8; may be memory-mapped.
        labels: class numbers, `(n,)` int64.
        rows: which of `images` belong to the split, `(n,)` int64, in order; all of them (and m = n) when absent.
    """

    __slots__ = ("_labels", "_rows", "_stored")

    def __init__(
        self, images: UInt8[Tensor, "m c h w"], labels: Int64[Tensor, "n"], *, rows: Int64[Tensor, "n"] | None = None
    ) -> None:
        if not is_dense(images, dims=4) or images.dtype != torch.uint8:
            raise UsageError(f"Split: images must be a dense tensor, uint8 (n, c, h, w); got {_told(images)}; pass one")
        for name, values in (("labels", labels), ("rows", labels if rows is None else rows)):
            if not is_dense(values, dims=1) or values.dtype != torch.int64:
                raise UsageError(f"Split: {name} must be a dense tensor, int64 (n,); got {_told(values)}; pass one")
        if len(images if rows is None else rows) != len(labels):
            many = counted(len(images if rows is None else rows), "image")
            raise UsageError(f"labels must be one per image; got {many} and {counted(len(labels), 'label')}")
        self._stored, self._labels, self._rows = images, labels, rows

    def __len__(self) -> int:
        return len(self._labels)

    def __repr__(self) -> str:
        return f"Split({counted(len(self), 'image')} of {tuple(self._stored.shape[1:])})"

    @property
    def images(self) -> UInt8[Tensor, "n c h w"]:
        """All images. A part of memory-mapped images is read on each use: prefer `take` and `chunks` for large data."""
        return self._stored if self._rows is None else self._stored.index_select(0, self._rows)

    @property
    def labels(self) -> Int64[Tensor, "n"]:
        """All labels."""
        return self._labels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        channels, height, width = self._stored.shape[1:]
        return channels, height, width

    @property
    def nbytes(self) -> int:
        """What `images` takes, or would take, in memory."""
        channels, height, width = self.shape
        return len(self) * channels * height * width

    def take(self, rows: Int64[Tensor, "k"]) -> UInt8[Tensor, "k c h w"]:
        """Return the images numbered `rows`, copied; nothing else is read."""
        if not isinstance(rows, Tensor) or rows.dtype not in (torch.int64, torch.int32) or rows.ndim != 1:
            raise UsageError(
                f"Split.take: rows must be a tensor, int64 (k,); got {_told(rows)}; pass numbers of images"
            )
        try:
            stored = rows if self._rows is None else self._rows[rows]
            announce(self._stored, stored)
            return self._stored.index_select(0, stored)
        except (IndexError, RuntimeError, NotImplementedError) as error:
            must, repair = f"numbers of images, 0..{len(self) - 1}", "pass rows that there are"
            raise UsageError(f"Split.take: rows must be {must}; got others ({_first_line(error)}); {repair}") from error

    @takes(count=whole(1, usual=100))
    def chunks(self, count: int) -> Iterator[tuple[UInt8[Tensor, "k c h w"], Int64[Tensor, "k"]]]:
        """Images and labels in order, `count` at a time (the last may be fewer)."""
        for start in range(0, len(self), count):
            stop = min(start + count, len(self))
            rows = torch.arange(start, stop)
            if self._rows is None:
                announce(self._stored, rows)
                yield self._stored[start:stop], self._labels[start:stop]
            else:
                yield self.take(rows), self._labels[start:stop]

    def labelled(self, labels: Int64[Tensor, "n"]) -> Split:
        """Return the same images under other labels."""
        return Split(self._stored, labels, rows=self._rows)

    @takes(limit=whole(0, usual=IN_MEMORY))
    def subset(self, rows: Int64[Tensor, "k"], *, limit: int = IN_MEMORY) -> Split:
        """Return the images numbered `rows` as a split: a copy up to `limit` bytes, a view above it."""
        channels, height, width = self.shape
        if not is_dense(rows, dims=1) or rows.dtype != torch.int64:
            raise UsageError(f"Split.subset: rows must be a tensor, int64 (k,); got {_told(rows)}; pass row numbers")
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            must, got = f"0..{len(self) - 1}", f"{int(rows.min())}..{int(rows.max())}"
            raise UsageError(f"Split.subset: rows must be {must}; got {got}; pass numbers of images")
        if len(rows) * channels * height * width <= limit:
            return Split(self.take(rows), self._labels[rows])
        return Split(self._stored, self._labels[rows], rows=rows if self._rows is None else self._rows[rows])


def _told(values: Any) -> str:
    """Return a tensor in few words, or what stands in its place."""
    dense = isinstance(values, Tensor) and is_dense(values)
    return f"{values.dtype} {tuple(values.shape)}" if dense else shown(values)


def _first_line(error: Exception) -> str:
    return excerpt(str(error).split("\n", 1)[0], 80)


def class_problem(classes: Sequence[str]) -> str | None:
    """Return what is wrong with class names, which reports and exported networks show; None if nothing is."""
    if len(classes) > CLASSES:
        return f"classes must be at most {CLASSES} names; got {len(classes)}; take fewer classes"
    odd = [name for name in classes if not is_name(name, NAME)]
    if odd:
        return (
            f"classes must be printable text of 1 to {NAME} characters; got {brief(odd[0])}; "
            f"rename {'it' if len(odd) == 1 else f'it and {len(odd) - 1} more'}"
        )
    twice = sorted(name for name, count in Counter(classes).items() if count > 1)
    return f"classes must have different names; got {listed(twice)} more than once; rename one" if twice else None


SPLIT = instance(Split, "a glassbit.datasets.Split", "make one, Split(images, labels)")
CLASS_NAMES = instance((tuple, list), "a tuple or list of names", 'pass one for each class, such as ("cat", "dog")')


@dataclass(frozen=True, eq=False)
class Dataset:
    """A named data set.

    Args:
        name: what it is called in run names and reports.
        train: the images to learn from; a validation split is cut from them.
        test: the images that are looked at once, at the end.
        classes: the name of every class, in label order.
        regions: what each pixel of the test images is, where that is known: 0 background, 1 the object that the label
            names, 2 a shortcut to the label.
        scaling: the line of NumPy, with `images` for the arrays of an `.npz` file, that made 8-bit pixels of them;
            empty where they had 8 bits. Whoever feeds the exported network does the same.

    Raises:
        UsageError: two classes have one name, a name is not printable, there is a label of no class, or the regions do
            not fit the test images.
    """

    name: str
    train: Split
    test: Split
    classes: tuple[str, ...]
    regions: UInt8[Tensor, "n h w"] | None = None
    scaling: str = ""

    def __post_init__(self) -> None:
        for name, kind, value in (
            ("name", TEXT, self.name),
            ("train", SPLIT, self.train),
            ("test", SPLIT, self.test),
            ("classes", CLASS_NAMES, self.classes),
            ("scaling", TEXT, self.scaling),
        ):
            check_kind("Dataset", name, kind, value)
        odd = class_problem(self.classes)
        if odd is not None:
            raise UsageError(odd)
        for part, split in (("train", self.train), ("test", self.test)):
            if len(split) and not 0 <= int(split.labels.min()) <= int(split.labels.max()) < len(self.classes):
                raise UsageError(
                    f"labels of {part} must be class numbers, 0..{len(self.classes) - 1}; got "
                    f"{int(split.labels.min())}..{int(split.labels.max())}; count the classes from 0, and name them all"
                )
        wanted = (len(self.test), *self.test.shape[1:])
        regions = self.regions
        if regions is not None and (
            not is_dense(regions) or regions.dtype != torch.uint8 or tuple(regions.shape) != wanted
        ):
            must = f"uint8 {wanted}, one for each pixel of the test images"
            raise UsageError(f"Dataset: regions must be {must}; got {_told(regions)}; leave them out, or pass all")

    @property
    def channels(self) -> int:
        """1 (grey) or 3 (red, green, blue)."""
        return self.train.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.train.shape[1:]

    @property
    def mean(self) -> tuple[float, ...]:
        """The mean of the training pixels for each channel, as fractions of 255."""
        return tuple(mean for mean, _ in self._moments)

    @property
    def std(self) -> tuple[float, ...]:
        """Their standard deviation, as fractions of 255; at least one grey level, so that it can divide."""
        return tuple(std for _, std in self._moments)

    @cached_property
    def _moments(self) -> tuple[tuple[float, float], ...]:
        counts = torch.zeros(self.channels, 256, dtype=torch.int64)
        for images, _ in self.train.chunks(4096):
            for channel in range(self.channels):
                counts[channel] += torch.bincount(images[:, channel].reshape(-1), minlength=256)
        level = torch.arange(256, dtype=torch.float64) / 255
        share = counts.double() / counts.sum(1, keepdim=True)
        mean = share @ level
        std = (share @ level.square() - mean.square()).clamp_min(0).sqrt().clamp_min(1 / 255)
        return tuple(zip(mean.tolist(), std.tolist(), strict=True))


DATASET = instance(Dataset, "a glassbit.datasets.Dataset", "load one, glassbit.datasets.load(name)")


@takes(train=SPLIT, fraction=number(0, 1, usual=0.1), seed=WHOLE, limit=whole(0, usual=IN_MEMORY))
def split_validation(
    train: Split, *, fraction: float = 0.1, seed: int = 0, limit: int = IN_MEMORY
) -> tuple[Split, Split]:
    """Cut a validation split from the training images, class by class; the same seed always cuts the same images.

    Args:
        train: what to cut; it is not changed.
        fraction: the share of every class to validate on, in (0, 1).
        seed: which images.
        limit: a part of more bytes than this stays a view of `train`'s images; a smaller one is copied.

    Returns:
        What is left to train on, and the validation split; both in the order of `train`.

    Raises:
        UsageError: the fraction is out of range, or no class has two images.
    """
    if not 0 < fraction < 1:
        raise UsageError(f"split_validation: fraction must be between 0 and 1; got {fraction}; pass one, such as 0.1")
    chosen = validation_rows(train, fraction=fraction, seed=seed)
    if not chosen.any():
        raise UsageError(
            "validation: a class must have two training images or more; got none; add images, or validate on others"
        )
    rest, part = (~chosen).nonzero().flatten(), chosen.nonzero().flatten()
    return train.subset(rest, limit=limit), train.subset(part, limit=limit)


def validation_rows(train: Split, *, fraction: float, seed: int) -> Tensor:
    """Mark the images that `split_validation` cuts off; bool `(n,)`."""
    return stratified(train.labels.cpu(), fraction=fraction, seed=derive("validation", seed))


@takes(train=SPLIT, seed=WHOLE, count=whole(1, usual=512))
def calibration_images(train: Split, *, seed: int, count: int = 512) -> UInt8[Tensor, "m c h w"]:
    """Return training images for calibrating activation ranges. The same seed draws the same images.

    Args:
        train: what is trained on.
        seed: which images.
        count: how many; all of them where there are fewer.
    """
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(derive("calibration", seed)))
    return train.take(order[:count])


def stratified(labels: Int64[Tensor, "n"], *, fraction: float, seed: int) -> Tensor:
    """Mark `fraction` of every class, at random; of a class with two images or more at least one, and never all.

    Returns:
        bool `(n,)`.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1 if len(labels) else 0):
        rows = (labels == label).nonzero().flatten()
        count = max(0, min(max(1, round(fraction * len(rows))), len(rows) - 1))
        chosen[rows[torch.randperm(len(rows), generator=generator)[:count]]] = True
    return chosen
