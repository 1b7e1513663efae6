"""Batches for training: shuffled, augmented and on the device, without a loader process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Int64, UInt8
from torch import Tensor

from glassbit._arguments import shown
from glassbit._errors import UsageError
from glassbit._random import derive
from glassbit._takes import SWITCH, WHOLE, check_kind, instance, optional, takes, whole

from ._split import IN_MEMORY, SPLIT, Split

_LARGEST_CROP = 2048


@dataclass(frozen=True)
class Augment:
    """Random changes to training images.

    Args:
        flip: mirror half of the images, left to right.
        crop: pad every side with that many black pixels and cut the image out again at a random place; 0 for never.
    """

    flip: bool = False
    crop: int = 0

    def __post_init__(self) -> None:
        check_kind("Augment", "flip", SWITCH, self.flip)
        check_kind("Augment", "crop", whole(0, _LARGEST_CROP, usual=4), self.crop)


AUGMENT = instance(Augment, "an Augment", "leave it out")


class Batches:
    """The training images in batches, every epoch in another order.

    The order of an epoch follows from `(seed, epoch)` alone, and the augmentation from `(seed, epoch, rank)`, so
    nothing needs to be saved to go on where a run stopped. Images that do not fill a last batch are left out for that
    epoch.

    Args:
        split: the images.
        batch_size: images per step, over all processes; a multiple of `world`.
        seed: of the order and the augmentation.
        rank: the number of this process, 0 ... world - 1; it gets every `world`-th image.
        world: the number of processes.
        augment: none when absent.
        device: where the batches are made; up to `limit` bytes of images are kept there.
        limit: in bytes.

    Example:
        >>> from glassbit import datasets
        >>> batches = datasets.Batches(datasets.load("fashion-mini").train, batch_size=100, seed=0)
        >>> len(batches), next(batches.epoch(1))[0].shape
        (60, torch.Size([100, 1, 28, 28]))
    """

    @takes(
        split=SPLIT,
        batch_size=whole(1, usual=128),
        seed=WHOLE,
        rank=whole(0),
        world=whole(1, usual=1),
        augment=optional(AUGMENT),
        limit=whole(0, usual=IN_MEMORY),
    )
    def __init__(
        self,
        split: Split,
        *,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        augment: Augment | None = None,
        device: torch.device | str = "cpu",
        limit: int = IN_MEMORY,
    ) -> None:
        if batch_size < 1 or batch_size % world:
            raise UsageError(
                f"batch_size must be a positive multiple of the number of processes ({world}); got {batch_size}"
            )
        if len(split) < world:
            raise UsageError(
                f"training images must be at least {world}, one per process; got {len(split)}; use fewer processes"
            )
        self._device = _device(device)
        held = self._device.type != "cpu" and split.nbytes <= limit
        self._split = Split(split.images.to(self._device), split.labels) if held else split
        self._labels = split.labels.to(self._device)
        self._held = held
        self._steps = max(1, len(split) // batch_size)
        self._share = min(batch_size, len(split)) // world
        self._seed, self._rank, self._world = seed, rank, world
        self._augment = augment or Augment()

    def __len__(self) -> int:
        """Return the steps per epoch, the same on every rank."""
        return self._steps

    @takes(number=WHOLE)
    def epoch(self, number: int) -> Iterator[tuple[UInt8[Tensor, "b c h w"], Int64[Tensor, "b"]]]:
        """Images and labels of every step of epoch `number`, on the device."""
        order = torch.randperm(len(self._split), generator=_generator("order", self._seed, number))
        rows = order[self._rank :: self._world][: self._steps * self._share]
        changes = _generator("augment", self._seed, number, self._rank)
        flips = torch.rand(len(rows), generator=changes) < 0.5
        shifts = torch.randint(2 * self._augment.crop + 1, (2, len(rows)), generator=changes)
        rows_there, flips, shifts = rows.to(self._device), flips.to(self._device), shifts.to(self._device)
        for start in range(0, len(rows), self._share):
            stop = start + self._share
            if self._held:
                images = self._split.take(rows_there[start:stop])
            else:
                images = self._split.take(rows[start:stop]).to(self._device)
            if self._augment.crop:
                images = shift(images, shifts[:, start:stop], padding=self._augment.crop)
            if self._augment.flip:
                images = mirror(images, flips[start:stop])
            yield images, self._labels[rows_there[start:stop]]


def shift(images: UInt8[Tensor, "n c h w"], offsets: Int64[Tensor, "2 n"], *, padding: int) -> UInt8[Tensor, "n c h w"]:
    """Cut every image, padded with `padding` zeros a side, out again at its own `offsets` (down, right)."""
    height, width = images.shape[2:]
    padded = torch.nn.functional.pad(images, (padding, padding, padding, padding))
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images), device=images.device), :, offsets[0], offsets[1]]


def mirror(images: UInt8[Tensor, "n c h w"], chosen: Bool[Tensor, "n"]) -> UInt8[Tensor, "n c h w"]:
    """Mirror the `chosen` images, left to right."""
    return torch.where(chosen[:, None, None, None], images.flip(3), images)


def _device(device: Any) -> torch.device:
    """Return a device of torch's.

    Raises:
        UsageError: there is none of that name.
    """
    try:
        return torch.zeros(0, device=torch.device(device)).device if isinstance(device, str | torch.device) else _none()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        must = "the name of a device that this machine has"
        raise UsageError(f"Batches: device must be {must}; got {shown(device)}; use 'cpu'") from error


def _none() -> torch.device:
    raise RuntimeError


def _generator(*purpose: int | str) -> torch.Generator:
    return torch.Generator().manual_seed(derive(*purpose))
