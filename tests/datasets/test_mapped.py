"""Images in files: what is read is what was written, and the kernel hears of all of it before."""

from __future__ import annotations

import gc
import mmap
from pathlib import Path

import numpy as np
import pytest
import torch

from glassbit.datasets import Batches, Split
from glassbit.datasets import _mapped as module
from glassbit.datasets._mapped import mapped

IMAGES = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (300, 3, 10, 7), np.uint8))
LABELS = torch.zeros(300, dtype=torch.int64)

pytestmark = pytest.mark.skipif(not hasattr(mmap, "MADV_RANDOM"), reason="this system takes no advice on memory")


class Advised:
    """A file's pages that note which were announced."""

    def __init__(self, length: int) -> None:
        self.length, self.calls = length, []

    def __len__(self) -> int:
        return self.length

    def madvise(self, advice: int, start: int, length: int) -> None:
        assert advice == mmap.MADV_WILLNEED
        assert start % mmap.PAGESIZE == 0
        assert start + length <= self.length
        self.calls.append(range(start, start + length))


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[torch.Tensor, Advised, int]:
    """Mapped images, what was announced of them, and where they begin in the file."""
    np.save(tmp_path / "x.npy", IMAGES.numpy())
    images = mapped(tmp_path / "x.npy")
    advised = Advised((tmp_path / "x.npy").stat().st_size)
    monkeypatch.setitem(module._FILES, images.data_ptr(), advised)
    return images, advised, advised.length - IMAGES.nbytes


def covered(advised: Advised, offset: int, rows: list[int]) -> bool:
    """Whether every byte of these images was announced."""
    announced = {place for call in advised.calls for place in call}
    return announced.issuperset(place for row in rows for place in range(offset + row * 210, offset + (row + 1) * 210))


def test_every_image_of_a_batch_is_announced_before_it_is_read(watched) -> None:
    images, advised, offset = watched
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    split = Split(images, LABELS[:100], rows=order[:100])
    for _ in Batches(split, batch_size=25, seed=0).epoch(1):
        pass
    assert covered(advised, offset, order[:100].tolist())
    assert not covered(advised, offset, order[100:].tolist())


@pytest.mark.parametrize("view", [False, True])
def test_images_in_order_are_announced_in_one_call_a_chunk(watched, view: bool) -> None:
    images, advised, offset = watched
    split = Split(images, LABELS, rows=torch.arange(300) if view else None)
    read = torch.cat([chunk for chunk, _ in split.chunks(128)])
    assert torch.equal(read, IMAGES)
    assert len(advised.calls) == 3
    assert covered(advised, offset, list(range(300)))


@pytest.mark.parametrize("rows", [[], [4], [4, 5, 6, 2, 3, 9, 8], [299, 0]])
def test_runs_of_neighbours_are_one_call(watched, rows: list[int]) -> None:
    images, advised, offset = watched
    assert torch.equal(Split(images, LABELS).take(torch.tensor(rows, dtype=torch.int64)), IMAGES[rows])
    assert len(advised.calls) == {0: 0, 1: 1, 7: 4, 2: 2}[len(rows)]
    assert covered(advised, offset, rows)


def test_long_runs_are_announced_in_pieces_that_a_kernel_takes_whole(watched, monkeypatch) -> None:
    images, advised, offset = watched
    monkeypatch.setattr(module, "_PIECE", mmap.PAGESIZE)
    Split(images, LABELS).take(torch.arange(7, 300))
    assert {len(call) for call in advised.calls[:-1]} == {mmap.PAGESIZE}
    assert covered(advised, offset, list(range(7, 300)))


def test_pages_are_given_up_with_the_images(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", IMAGES.numpy())
    images = mapped(tmp_path / "x.npy")
    place = images.data_ptr()
    assert place in module._FILES
    del images
    gc.collect()
    assert place not in module._FILES
