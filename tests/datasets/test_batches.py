from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glassbit._errors import UsageError
from glassbit.datasets import Augment, Batches, Split
from glassbit.datasets._batches import mirror, shift
from glassbit.datasets._mapped import mapped


def numbered(count: int) -> Split:
    """Images whose first pixel is their label, which is their number."""
    images = torch.randint(0, 256, (count, 1, 6, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[:, 0, 0, 0] = torch.arange(count)
    return Split(images, torch.arange(count))


def test_an_epoch_holds_every_image_once_with_its_label() -> None:
    split = numbered(60)
    batches = Batches(split, batch_size=20, seed=0)
    seen = list(batches.epoch(1))
    assert len(seen) == len(batches) == 3
    assert sorted(torch.cat([labels for _, labels in seen]).tolist()) == list(range(60))
    for images, labels in seen:
        assert torch.equal(images, split.images[labels])


def test_what_does_not_fill_a_batch_is_left_out() -> None:
    batches = Batches(numbered(65), batch_size=20, seed=0)
    assert [len(labels) for _, labels in batches.epoch(1)] == [20, 20, 20]


def test_fewer_images_than_a_batch_are_one_batch() -> None:
    batches = Batches(numbered(7), batch_size=20, seed=0)
    assert [len(labels) for _, labels in batches.epoch(1)] == [7]
    assert len(batches) == 1


def test_an_epoch_follows_from_seed_and_number_alone() -> None:
    def epoch(seed: int, number: int) -> torch.Tensor:
        torch.rand(1)
        batches = Batches(numbered(60), batch_size=20, seed=seed, augment=Augment(flip=True, crop=2))
        return torch.cat([images for images, _ in batches.epoch(number)])

    assert torch.equal(epoch(0, 1), epoch(0, 1))
    assert not torch.equal(epoch(0, 1), epoch(0, 2))
    assert not torch.equal(epoch(0, 1), epoch(1, 1))


@given(count=st.integers(4, 70), world=st.integers(1, 4), share=st.integers(1, 6))
def test_all_ranks_together_see_what_one_process_sees(count: int, world: int, share: int) -> None:
    split = numbered(count)
    alone = [set(labels.tolist()) for _, labels in Batches(split, batch_size=share * world, seed=3).epoch(2)]
    ranks = [Batches(split, batch_size=share * world, seed=3, rank=rank, world=world) for rank in range(world)]
    steps = [[labels.tolist() for _, labels in batches.epoch(2)] for batches in ranks]
    assert len({len(labels) for labels in steps}) == 1
    for step, parts in zip(alone, zip(*steps, strict=True), strict=True):
        together = [label for part in parts for label in part]
        assert len(together) == len(set(together))
        assert set(together) <= step
        assert len(together) == len(step) - len(step) % world


def test_impossible_sizes() -> None:
    with pytest.raises(UsageError, match=r"multiple of the number of processes \(2\); got 5"):
        Batches(numbered(20), batch_size=5, seed=0, world=2)
    with pytest.raises(UsageError, match="must be at least 2, one per process; got 1"):
        Batches(numbered(1), batch_size=4, seed=0, world=2)
    with pytest.raises(UsageError, match="crop"):
        Augment(crop=-1)


@given(seed=st.integers(0, 100), padding=st.integers(0, 4), channels=st.sampled_from([1, 3]))
def test_shift_and_mirror_equal_their_slow_twins(seed: int, padding: int, channels: int) -> None:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (5, channels, 6, 7), np.uint8)
    offsets = random.integers(0, 2 * padding + 1, (2, 5))
    chosen = random.random(5) < 0.5
    shifted, mirrored = np.zeros_like(images), images.copy()
    for number in range(5):
        padded = np.pad(images[number], ((0, 0), (padding, padding), (padding, padding)))
        down, right = offsets[:, number]
        shifted[number] = padded[:, down : down + 6, right : right + 7]
        if chosen[number]:
            mirrored[number] = images[number, :, :, ::-1]
    given_images = torch.from_numpy(images)
    assert np.array_equal(shift(given_images, torch.from_numpy(offsets), padding=padding).numpy(), shifted)
    assert np.array_equal(mirror(given_images, torch.from_numpy(chosen)).numpy(), mirrored)


def test_augmented_images_are_drawn_anew_and_cover_every_place() -> None:
    split = Split(torch.full((900, 1, 5, 5), 9, dtype=torch.uint8), torch.zeros(900, dtype=torch.int64))
    (images, _), *_ = Batches(split, batch_size=900, seed=0, augment=Augment(crop=1)).epoch(1)
    blacks = {tuple((image == 0).nonzero().flatten().tolist()) for image in images[:, 0]}
    assert len(blacks) == 9


def test_mapped_images_give_the_same_batches(tmp_path_factory: pytest.TempPathFactory) -> None:
    split = numbered(40)
    path = tmp_path_factory.mktemp("mapped") / "x.npy"
    np.save(path, split.images.numpy())
    whole = Split(mapped(path), split.labels)
    rows = Split(whole.images, split.labels, rows=torch.arange(40))
    augment = Augment(flip=True, crop=1)
    wanted = [images for images, _ in Batches(split, batch_size=8, seed=0, augment=augment).epoch(1)]
    for other in (whole, rows):
        got = [images for images, _ in Batches(other, batch_size=8, seed=0, augment=augment).epoch(1)]
        assert all(torch.equal(a, b) for a, b in zip(wanted, got, strict=True))
