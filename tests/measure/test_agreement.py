"""Agreement of maps against SciPy, a loop over windows, and sets of pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from glassbit._errors import UsageError
from glassbit.measure import TorchSubject, agreement, noisy_maps, random_maps, spearman
from glassbit.measure._agreement import WINDOW
from glassbit.models import cnn_bn
from glassbit.pictures._render import strengths


def two(n: int = 6, size: tuple[int, int] = (9, 11)) -> tuple[np.ndarray, np.ndarray]:
    """Heavy-tailed maps with many zeros, as a quantized network has them, and others that are related."""
    rng = np.random.default_rng(0)
    a = np.round(rng.gamma(0.5, size=(n, *size)), 2)
    return a, a * rng.lognormal(0, 0.5, a.shape) + np.round(rng.gamma(0.3, size=a.shape), 1)


def slow_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al. 2004, equation 13, a window a pixel, in float64."""
    x, y = (np.pad(strengths(one), WINDOW // 2, mode="reflect") for one in (a, b))
    values = []
    for row in range(a.shape[0]):
        for column in range(a.shape[1]):
            u, v = (one[row : row + WINDOW, column : column + WINDOW].ravel() for one in (x, y))
            (vu, cov), (_, vv) = np.cov(u, v, ddof=0)
            luminance = (2 * u.mean() * v.mean() + 0.01**2) / (u.mean() ** 2 + v.mean() ** 2 + 0.01**2)
            values.append(luminance * (2 * cov + 0.03**2) / (vu + vv + 0.03**2))
    return float(np.mean(values))


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    count = round(a.size / 10)
    first, second = (set(np.argsort(-one.ravel())[:count].tolist()) for one in (a, b))
    return len(first & second) / len(first | second)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_it_equals_the_formulas_image_by_image(dtype):
    a, b = (maps.astype(dtype) for maps in two())
    found = agreement(a, b)
    for i, (x, y) in enumerate(zip(a.astype(np.float64), b.astype(np.float64), strict=True)):
        assert found.spearman[i] == pytest.approx(stats.spearmanr(x.ravel(), y.ravel()).statistic, abs=1e-12)
        assert found.ssim[i] == pytest.approx(slow_ssim(x, y), abs=1e-9)


def test_the_overlap_is_that_of_the_two_sets_of_highest_pixels():
    rng = np.random.default_rng(1)
    a = rng.permuted(np.tile(np.arange(99.0), (20, 1)), axis=1).reshape(20, 9, 11)
    b = a + 20 * rng.random(a.shape)
    found = agreement(a, b).iou
    assert np.allclose(found, [slow_iou(x, y) for x, y in zip(a, b, strict=True)], atol=0, rtol=1e-12)
    assert 0 < found.min() < found.max() < 1


def test_a_map_agrees_fully_with_itself_and_with_its_multiples():
    a = np.random.default_rng(2).gamma(0.5, size=(4, 8, 8))
    for other in (a, 37.5 * a):
        found = agreement(a, other)
        assert np.allclose(found.spearman, 1, atol=1e-12)
        assert np.allclose(found.ssim, 1, atol=1e-12)
        assert (found.iou == 1).all()


def test_one_bright_pixel_does_not_make_maps_alike():
    """Divided by its maximum, each of these maps would be dark but for one pixel."""
    rng = np.random.default_rng(3)
    a, b = rng.random((2, 5, 12, 12))
    plain = agreement(a, b).ssim
    a[:, 0, 0] = b[:, 0, 0] = 1000.0
    assert (agreement(a, b).ssim < plain + 0.1).all()


def test_ties_at_the_edge_are_drawn_apart_and_never_by_position():
    """5 bright pixels of 10 places: the other 5 are drawn among 95 equal ones, for each map anew."""
    a = np.zeros((3000, 10, 10))
    a[:, 4, :5] = np.arange(1, 6)
    found = agreement(a, a).iou
    chance = 5 * 5 / 95
    expected = np.mean([(5 + k) / (15 - k) for k in np.random.default_rng(0).hypergeometric(5, 90, 5, 20_000)])
    assert found.mean() == pytest.approx(expected, abs=0.005)
    assert expected < (5 + 2 * chance) / (15 - 2 * chance) < 1
    assert np.array_equal(agreement(a, a, seed=1).iou, agreement(a, a, seed=1).iou)
    assert not np.array_equal(agreement(a, a, seed=1).iou, agreement(a, a, seed=2).iou)


@pytest.mark.parametrize("value", [0.0, 3.0, np.inf, np.nan])
def test_a_map_that_says_nothing_agrees_with_nothing(value):
    a, b = two(4)
    a[1] = value
    if not np.isfinite(value):
        a[1, 2:] = 1.0
    for found in (agreement(a, b), agreement(b, a), agreement(a, a)):
        for values in (found.spearman, found.ssim, found.iou):
            assert np.isnan(values).tolist() == [False, True, False, False]
    assert np.isnan(spearman(a, b)).tolist() == [False, True, False, False]


def test_many_images_are_taken_in_parts():
    a, b = two(230)
    found = agreement(a, b)
    some = agreement(a[:7], b[:7])
    assert np.array_equal(found.spearman[:7], some.spearman)
    assert np.allclose(found.ssim[:7], some.ssim, atol=1e-12)
    assert found.iou.shape == (230,)


def test_no_images_no_values():
    empty = np.zeros((0, 8, 8))
    assert agreement(empty, empty).ssim.shape == (0,)


def test_random_maps_have_the_same_pixels_and_nothing_in_common():
    a, _ = two(300)
    shuffled = random_maps(a)
    assert np.array_equal(np.sort(shuffled.reshape(300, -1)), np.sort(a.reshape(300, -1)))
    assert np.array_equal(shuffled, random_maps(a, seed=0))
    assert not np.array_equal(shuffled, random_maps(a, seed=1))
    found = agreement(a, shuffled)
    assert abs(found.spearman.mean()) < 0.02
    assert found.iou.mean() == pytest.approx(0.055, abs=0.015)
    assert not np.array_equal(shuffled[0].argsort(axis=None), shuffled[1].argsort(axis=None))


def test_noisy_maps_are_those_of_the_images_with_8_bit_noise():
    seen = []

    class Watched(TorchSubject):
        def saliency(self, images, targets):
            seen.append((images, targets))
            return images.float().sum(1)

    images = torch.full((50, 3, 16, 16), 100, dtype=torch.uint8)
    images[0] = 255
    images[1] = 0
    targets = torch.arange(50) % 4
    subject = Watched(cnn_bn(4, 3, width=1), name="net", image_shape=(3, 16, 16))
    maps = noisy_maps(subject, images, targets, sd=0.02)
    (noisy, explained) = seen[0]
    assert torch.equal(explained, targets)
    assert noisy.dtype == torch.uint8
    assert np.array_equal(maps, noisy.float().sum(1).numpy())
    off = noisy[2:].double() - 100
    assert off.mean().abs() < 0.1
    assert off.std() == pytest.approx(0.02 * 255, rel=0.02)
    assert noisy[0].min() < 255, "clipped at white, not wrapped"
    assert (noisy[0] > 200).all()
    assert (noisy[1] < 55).all()
    noisy_maps(subject, images[:5], targets[:5], sd=0.02)
    assert torch.equal(seen[1][0], noisy[:5]), "an image's noise depends on the seed alone"
    noisy_maps(subject, images, targets, sd=0.02, seed=1)
    assert not torch.equal(seen[2][0], noisy)


def test_noisy_maps_of_a_network():
    torch.manual_seed(0)
    subject = TorchSubject(cnn_bn(width=4), name="small", image_shape=(1, 28, 28))
    images = torch.randint(256, (6, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(6)
    maps = subject.saliency(images, targets).numpy()
    assert np.array_equal(noisy_maps(subject, images, targets, sd=0.0), maps)
    found = agreement(maps, noisy_maps(subject, images, targets)).spearman
    assert (agreement(maps, random_maps(maps)).spearman.max() < found).all()
    assert (found < 1).all()


def test_maps_below_the_window_are_refused():
    with pytest.raises(UsageError, match="at least 7 x 7 pixels, the window of SSIM; got 6 x 9"):
        agreement(np.zeros((2, 6, 9)), np.zeros((2, 6, 9)))
