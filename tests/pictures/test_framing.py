from __future__ import annotations

import numpy as np
import pytest

from glassbit._errors import UsageError
from glassbit.pictures import Framing


def half(height: int, width: int) -> np.ndarray:
    """Black at the left, white at the right."""
    pixels = np.zeros((1, height, width), np.uint8)
    pixels[:, :, width // 2 :] = 255
    return pixels


def test_crop_cuts_two_sides_off_the_middle() -> None:
    made = Framing.of(size=8, resize="crop", color="auto").apply_pixels(half(8, 16))
    assert np.array_equal(made, half(8, 8))


def test_pad_shows_everything_between_black_bars() -> None:
    made = Framing.of(size=(16, 8), resize="pad", color="auto").apply_pixels(np.full((1, 8, 8), 200, np.uint8))
    assert np.array_equal(made[0, :4], np.zeros((4, 8)))
    assert np.array_equal(made[0, 4:12], np.full((8, 8), 200))
    assert np.array_equal(made[0, 12:], np.zeros((4, 8)))


def test_stretch_distorts() -> None:
    made = Framing.of(size=(4, 8), resize="stretch", color="auto").apply_pixels(half(16, 8))
    assert np.array_equal(made, half(4, 8))


def test_colours() -> None:
    colour = np.zeros((3, 4, 4), np.uint8)
    colour[1] = 255
    grey = Framing.of(size=None, resize="crop", color="grey").apply_pixels(colour)
    assert np.array_equal(grey, np.full((1, 4, 4), 150))
    back = Framing.of(size=None, resize="crop", color="rgb").apply_pixels(grey)
    assert np.array_equal(back, np.full((3, 4, 4), 150))


@pytest.mark.parametrize("shape", [(1, 4, 5), (3, 4, 5)])
def test_what_is_right_already_is_kept(shape: tuple[int, int, int]) -> None:
    assert Framing().keeps(shape)
    assert Framing(size=(4, 5)).keeps(shape)
    assert not Framing(size=(5, 4)).keeps(shape)
    assert Framing(color="rgb").keeps(shape) == (shape[0] == 3)


@pytest.mark.parametrize("size", [0, 3, -8, 2049, (8, 3), (8, 8, 8), ()])
def test_absurd_sizes(size: int | tuple[int, int]) -> None:
    with pytest.raises(UsageError, match=r"size must be a number of pixels.*from 4 to 2048"):
        Framing.of(size=size, resize="crop", color="auto")


def test_unknown_words() -> None:
    with pytest.raises(UsageError, match="resize must be 'stretch' or 'crop' or 'pad'; got 'squash'"):
        Framing.of(size=8, resize="squash", color="auto")
    with pytest.raises(UsageError, match="color must be 'auto' or 'grey' or 'rgb'; got 'gray'"):
        Framing.of(size=8, resize="crop", color="gray")
