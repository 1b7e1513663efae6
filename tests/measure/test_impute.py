"""Noisy linear imputation against a dense solve written from the paper, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from glassbit.measure import noisy_linear


def dense(image: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The means that the removed pixels of one channel take, in [0, 255]; one equation a pixel, kept ones included."""
    height, width = hole.shape
    system, right = np.eye(height * width), image.astype(np.float64).ravel()
    for y in range(height):
        for x in range(width):
            if not hole[y, x]:
                continue
            weights = np.zeros((height, width))
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    if (dy, dx) != (0, 0) and 0 <= y + dy < height and 0 <= x + dx < width:
                        weights[y + dy, x + dx] = 1 / 12 if dy and dx else 1 / 6
            system[y * width + x] -= weights.ravel() / weights.sum()
            right[y * width + x] = 0.0
    return np.linalg.solve(system, right).reshape(height, width)


def no_noise(images: np.ndarray) -> np.ndarray:
    return np.zeros(images.shape, np.float32)


def random_images(n: int, channels: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, channels, height, width), np.uint8)


def holes(n: int, height: int, width: int, share: float) -> np.ndarray:
    """Random pixels; in every second image everything but a corner of the same size, whose border is the image's."""
    removed = np.random.default_rng(1).random((n, height, width)) < share
    removed[1::2] = True
    removed[1::2, : max(1, height // 3), : max(1, width // 2)] = False
    return removed


@pytest.mark.parametrize(("height", "width"), [(9, 7), (1, 6), (6, 1), (2, 2), (3, 12)])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_it_equals_a_dense_solve(height: int, width: int, share: float) -> None:
    images, removed = random_images(8, 2, height, width), holes(8, height, width, share)
    removed[:, 0, 0] = False
    found = noisy_linear(images, removed, noise=no_noise(images))
    for image, hole, filled in zip(images, removed, found, strict=True):
        for channel, values in zip(image, filled, strict=True):
            assert np.abs(values - dense(channel, hole)).max() <= 0.5 + 1e-9
            assert np.array_equal(values[~hole], channel[~hole])


def test_noise_is_in_units_of_the_range_and_the_result_is_clipped_and_rounded() -> None:
    images, removed = random_images(6, 3, 8, 8), holes(6, 8, 8, 0.6)
    noise = np.random.default_rng(2).normal(0, 0.3, images.shape)
    found = noisy_linear(images, removed, noise=noise)
    clipped = 0
    for image, hole, filled, added in zip(images, removed, found, noise, strict=True):
        for channel, values, more in zip(image, filled, added, strict=True):
            wanted = dense(channel, hole) + np.where(hole, 255 * more, 0)
            clipped += np.count_nonzero((wanted < 0) | (wanted > 255))
            assert np.abs(values - wanted.clip(0, 255)).max() <= 0.5 + 1e-9
    assert clipped > 20


def test_a_ramp_is_continued_through_holes() -> None:
    """Each pixel of a linear ramp is the mean of its eight neighbours already."""
    ramp = (np.add.outer(5 * np.arange(12), 7 * np.arange(12)) + 20).astype(np.uint8)
    removed = np.zeros((1, 12, 12), np.bool_)
    removed[0, 2:10, 1:11] = True
    assert np.array_equal(noisy_linear(ramp[None, None], removed, noise=np.zeros((1, 1, 12, 12))), ramp[None, None])


def test_an_image_without_a_pixel_left_is_its_mean() -> None:
    images = random_images(2, 3, 6, 5)
    removed = np.ones((2, 6, 5), np.bool_)
    mean = np.broadcast_to(images.mean((2, 3), keepdims=True), images.shape)
    assert np.array_equal(noisy_linear(images, removed, noise=no_noise(images)), mean.round())
    noise = np.full(images.shape, 0.1)
    assert np.array_equal(noisy_linear(images, removed, noise=noise), (mean + 25.5).round())


def test_nothing_removed_is_nothing_changed() -> None:
    images = random_images(3, 1, 6, 5)
    found = noisy_linear(images, np.zeros((3, 6, 5), np.bool_), noise=np.ones(images.shape))
    assert np.array_equal(found, images)
    assert not np.shares_memory(found, images)


def test_one_pixel_left_is_everywhere() -> None:
    images = random_images(1, 2, 32, 32)
    removed = np.ones((1, 32, 32), np.bool_)
    removed[0, 17, 4] = False
    found = noisy_linear(images, removed, noise=no_noise(images))
    assert np.array_equal(found, np.broadcast_to(images[:, :, 17:18, 4:5], images.shape))
