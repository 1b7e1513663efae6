"""The windows of average pools against torch's own, in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from glassbit.deploy._match import _LARGEST_SUM
from glassbit.deploy._windows import Windows, adaptive, sliding
from glassbit.intgraph import (
    Flatten,
    Input,
    IntGraph,
    Linear,
    Logits,
    Preprocessing,
    Requantize,
    SumPool,
    Weights,
)


def matrix(windows: Windows, pixels: int) -> np.ndarray:
    """The means as a matrix, from the integer weights."""
    pool = SumPool("pool", "x", windows.weighted, windows.weighted)
    return pool.matrices(pixels, pixels)[0] / windows.divisor


@pytest.mark.parametrize("pixels", range(1, 41))
def test_adaptive_windows_are_those_of_torch(pixels: int):
    eye = torch.eye(pixels, dtype=torch.float64)[:, None]
    for count in range(1, 44):
        windows = adaptive(pixels, count)
        wanted = F.adaptive_avg_pool2d(eye[..., None], (count, 1))[:, 0, :, 0].T.numpy()
        assert np.allclose(matrix(windows, pixels), wanted, rtol=1e-15, atol=0)
        sizes = sorted(set(windows.sizes))
        assert sizes in ([pixels // count], [pixels // count + 1], [pixels // count + 1, pixels // count + 2])
        assert windows.kernel == (None if pixels % count else pixels // count)
        assert all(weight * (stop - first) == windows.divisor for first, stop, weight in windows.weighted)


@pytest.mark.parametrize("kernel", range(1, 6))
def test_sliding_windows_are_those_of_torch(kernel: int):
    choices = itertools.product(range(1, 10), range(1, 4), range(kernel // 2 + 1), (True, False), (True, False))
    compared = 0
    for pixels, stride, padding, ceil_mode, counted in choices:
        if pixels + 2 * padding < kernel:
            continue
        eye = torch.eye(pixels, dtype=torch.float64)[:, None, :, None].repeat(1, 1, 1, kernel)
        options = {"ceil_mode": ceil_mode, "count_include_pad": counted}
        wanted = F.avg_pool2d(eye, kernel, (stride, kernel), (padding, 0), **options)[:, 0, :, 0].T.numpy()
        windows = sliding(pixels, len(wanted), kernel, stride, padding, counted=counted)
        assert np.allclose(matrix(windows, pixels), wanted, rtol=1e-15, atol=0)
        if windows.kernel is not None:
            assert (pixels - windows.kernel) // stride + 1 == len(wanted)
        assert (windows.kernel == kernel) == (padding == 0 and windows.sizes[-1] == kernel)
        compared += 1
    assert compared > 80


MAPS = sorted({-(-pixels // 8) for pixels in range(8, 473)})
"""The sides of cnn-bn's last map, whose strides are 1, 2, 2 and 2, for images of 8 to 472 pixels per side."""


def test_every_map_of_cnn_bn_fits_also_with_8_bits():
    assert list(range(1, 60)) == MAPS
    reach = [SumPool("pool", "image", adaptive(side, 4).weighted, ((0, 1, 1),)).reach for side in MAPS]
    assert max(reach) ** 2 * 255 <= _LARGEST_SUM
    ones = np.ones(1, np.int32)
    for height, width in itertools.product(MAPS, (1, 7, 59)):
        pool = SumPool("pool", "image", adaptive(height, 4).weighted, adaptive(width, 4).weighted)
        nodes = (
            Input("image", 1, height, width, 0),
            pool,
            Requantize("means", "pool", 0 * ones, ones, 13 * ones, 0, 255),
            Flatten("flat", "means"),
            Linear("fc", "flat", Weights(np.zeros((2, 16), np.uint8), 2, "odd")),
            Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
        )
        graph = IntGraph(nodes, ("a", "b"), Preprocessing(1, height, width))
        assert graph.tensors()["pool"].shape == (1, 4, 4)
