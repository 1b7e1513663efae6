from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from glassbit.report.draw import image_uri, map_uri


def opened(uri):
    head, _, body = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


@pytest.mark.parametrize("channels", [1, 3])
def test_an_image_is_enlarged_by_whole_pixels(channels):
    image = np.arange(channels * 16, dtype=np.uint8).reshape(channels, 4, 4)
    pixels = np.asarray(opened(image_uri(image, side=13)))
    assert pixels.shape[:2] == (12, 12)
    expected = image.repeat(3, 1).repeat(3, 2)
    np.testing.assert_array_equal(pixels if channels == 1 else np.moveaxis(pixels, -1, 0), expected.squeeze())


def test_a_large_image_is_brought_down():
    assert opened(image_uri(np.zeros((3, 100, 50), np.uint8), side=20)).size == (10, 20)


def test_the_brightest_pixel_of_a_map_is_the_brightest_colour():
    saliency = np.zeros((5, 5))
    saliency[1, 2] = 4.0
    pixels = np.asarray(opened(map_uri(saliency, side=5)).convert("RGB")).astype(int).sum(-1)
    assert np.unravel_index(pixels.argmax(), pixels.shape) == (1, 2)
    assert (pixels == pixels.min()).sum() == 24


def test_a_map_of_zeros_is_dark_and_scale_does_not_matter():
    dark = np.asarray(opened(map_uri(np.zeros((4, 4)), side=4)).convert("RGB"))
    assert (dark == (0, 0, 4)).all()
    values = np.random.default_rng(0).random((6, 6))
    assert map_uri(values, side=6) == map_uri(1e-12 * values, side=6)
