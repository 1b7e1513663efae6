from __future__ import annotations

import pytest
import torch

from glassbit._errors import UsageError
from glassbit.datasets import Dataset, Split, split_validation


def numbered(labels: list[int], *, channels: int = 1) -> Split:
    """Images whose every pixel is the number of the image."""
    pixels = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None]
    return Split(pixels.expand(-1, channels, 4, 5).contiguous(), torch.tensor(labels))


LABELS = [0] * 40 + [1] * 20 + [2] * 2 + [3]


def test_validation_is_stratified_disjoint_and_complete() -> None:
    train, validation = split_validation(numbered(LABELS), fraction=0.25)
    assert validation.labels.bincount(minlength=4).tolist() == [10, 5, 1, 0]
    numbers = torch.cat([train.images[:, 0, 0, 0], validation.images[:, 0, 0, 0]])
    assert sorted(numbers.tolist()) == list(range(len(LABELS)))
    for part in (train, validation):
        assert part.labels.tolist() == [LABELS[number] for number in part.images[:, 0, 0, 0].tolist()]


def test_validation_follows_from_the_seed_alone() -> None:
    def chosen(seed: int) -> list[int]:
        torch.rand(1)
        return split_validation(numbered(LABELS), seed=seed)[1].images[:, 0, 0, 0].tolist()

    assert chosen(1) == chosen(1)
    assert chosen(1) != chosen(2)


def test_a_part_above_the_limit_is_a_view_with_the_same_content() -> None:
    whole = numbered(LABELS)
    for copied, viewed in zip(split_validation(whole), split_validation(whole, limit=0), strict=True):
        assert viewed._stored is whole._stored
        assert torch.equal(copied.images, viewed.images)
        rows = torch.tensor([3, 0, 3])
        assert torch.equal(copied.take(rows), viewed.take(rows))
        for a, b in zip(copied.chunks(7), viewed.chunks(7), strict=True):
            assert torch.equal(a[0], b[0])
            assert torch.equal(a[1], b[1])
        assert torch.equal(viewed.subset(rows, limit=0).images, copied.subset(rows).images)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 2.0])
def test_impossible_fractions(fraction: float) -> None:
    with pytest.raises(UsageError, match="fraction must be "):
        split_validation(numbered(LABELS), fraction=fraction)


def test_nothing_to_validate_on() -> None:
    with pytest.raises(UsageError, match="must have two training images or more; got none"):
        split_validation(numbered([0, 1, 2]))


def test_a_split_refuses_what_does_not_fit() -> None:
    images = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    with pytest.raises(UsageError, match="labels must be one per image; got 3 images and 2 labels"):
        Split(images, torch.zeros(2, dtype=torch.int64))


def test_moments_are_those_of_the_training_pixels() -> None:
    images = torch.randint(0, 256, (50, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    train = Split(images, torch.arange(50) % 2)
    data = Dataset("x", train, numbered([0, 1], channels=3), ("a", "b"))
    exact = images.double() / 255
    assert data.mean == pytest.approx(exact.mean((0, 2, 3)).tolist(), abs=1e-12)
    assert data.std == pytest.approx(exact.std((0, 2, 3), correction=0).tolist(), abs=1e-12)
    assert (data.channels, data.size) == (3, (4, 5))


def test_the_deviation_of_a_constant_can_divide() -> None:
    train = Split(torch.full((4, 1, 4, 4), 7, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
    assert Dataset("x", train, train, ("a", "b")).std == (1 / 255,)
