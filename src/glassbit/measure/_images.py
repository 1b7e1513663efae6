"""The test images that everything is measured on."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from glassbit._errors import UsageError
from glassbit._inputs import check_images, check_labels
from glassbit._random import derive
from glassbit._takes import instance, takes, whole
from glassbit._tensors import is_dense
from glassbit.datasets import Dataset

from ._subject import Subject

DATASET = instance(Dataset, "a glassbit.datasets.Dataset", 'load one, glassbit.datasets.load("fashion-mini")')
SUBJECT = instance(
    Subject, "a TorchSubject or an ArtifactSubject", "wrap the network, glassbit.measure.TorchSubject(model, ...)"
)
MOST_SAMPLES = 10_000
"""Draws for each image."""


@dataclass(frozen=True)
class Images:
    """A fixed draw from a test set, the same for every network of that data set.

    Args:
        rows: their numbers in the test set, ascending.
        pixels: uint8.
        labels: the true classes.
        regions: 0 background, 1 the object, 2 a planted shortcut; None where the data set does not say.
        digest: SHA-256 of pixels and labels, to tell draws apart.
    """

    rows: Int64[np.ndarray, " n"]
    pixels: UInt8[Tensor, "n c h w"]
    labels: Int64[Tensor, " n"]
    regions: UInt8[np.ndarray, "n h w"] | None
    digest: str


def check_bytes(metric: str, images: Tensor) -> None:
    """Refuse images that no device would receive.

    Raises:
        UsageError: they are not uint8 (n, c, h, w).
    """
    if not is_dense(images, dims=4) or images.dtype != torch.uint8:
        got = f"{images.dtype} {tuple(images.shape)}" if is_dense(images) else f"a {type(images).__name__}"
        raise UsageError(
            f"{metric}: images must be uint8 (n, c, h, w), as a device would receive them; got {got}; "
            "floats in [0, 1] are (images * 255).round().to(torch.uint8)"
        )


def check_asked(metric: str, subject: Subject, images: Tensor, targets: Tensor) -> Int64[Tensor, " n"]:
    """Return the targets as int64 on the CPU, when images and targets are ones that a network can be asked about.

    Raises:
        UsageError: images that are not uint8 or of another shape, or targets that are no classes.
    """
    check_bytes(metric, images)
    check_images(metric, images, shape=subject.image_shape, empty=True)
    return check_labels(metric, targets, len(images), subject.classes, name="targets", meta=False).cpu()


@takes(data=DATASET, count=whole(1, usual=1000))
def draw(data: Dataset, count: int) -> Images:
    """Draw `count` test images without replacement, or take them all where there are fewer.

    Raises:
        UsageError: `count` is not a positive number, or `data` no data set.
    """
    generator = torch.Generator().manual_seed(derive("measured images"))
    rows = torch.randperm(len(data.test), generator=generator)[:count].sort().values
    pixels, labels = data.test.take(rows), data.test.labels[rows]
    digest = hashlib.sha256(pixels.contiguous().numpy().tobytes() + labels.numpy().tobytes()).hexdigest()
    regions = None if data.regions is None else data.regions[rows].numpy()
    return Images(rows.numpy(), pixels, labels, regions, digest)
