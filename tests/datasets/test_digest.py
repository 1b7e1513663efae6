from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from glassbit.datasets import Split, _digest, digest, load


def random_split(count: int = 5) -> Split:
    images = torch.randint(0, 256, (count, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Split(images, torch.arange(count) % 3)


def test_it_is_sha_256_of_a_head_the_pixels_and_the_labels() -> None:
    split = random_split()
    head = b"glassbit split 1: 5 uint8 3 4 6 int64\n"
    labels = b"".join(int(label).to_bytes(8, "little") for label in split.labels)
    assert digest(split) == hashlib.sha256(head + bytes(split.images.flatten().tolist()) + labels).hexdigest()


def test_it_does_not_depend_on_how_the_images_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    split = random_split()
    rows = torch.tensor([4, 1, 0])
    other_memory = split.images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert not other_memory.is_contiguous()
    assert digest(Split(other_memory, split.labels)) == digest(split)
    assert digest(split.subset(rows, limit=0)) == digest(split.subset(rows))
    whole = digest(split)
    monkeypatch.setattr(_digest, "BYTES", 1)
    assert digest(split) == whole


def test_mapped_images_have_the_digest_of_those_in_memory(photos: Callable[..., Path], tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", a=4, b=4)
    in_memory, on_disk = (load(folder, cache_dir=tmp_path / "cache", limit=limit) for limit in (2**30, 0))
    assert list((tmp_path / "cache" / "images").glob("*.npy"))
    assert digest(in_memory.train) == digest(on_disk.train)


def test_a_pixel_a_label_the_shape_and_the_order_each_change_it() -> None:
    split = random_split()
    pixel, label = split.images.clone(), split.labels.clone()
    pixel[2, 1, 3, 5] ^= 1
    label[4] = 0
    others = (
        Split(pixel, split.labels),
        Split(split.images, label),
        Split(split.images.reshape(5, 3, 6, 4), split.labels),
        Split(split.images.flip(0), split.labels.flip(0)),
        split.subset(torch.arange(4)),
    )
    assert len({digest(split), *map(digest, others)}) == 1 + len(others)
