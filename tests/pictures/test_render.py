"""Pictures as bytes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glassbit._errors import UsageError
from glassbit.pictures import colored, overlay, to_rgb, write_png
from glassbit.pictures._panel import Column, panel
from glassbit.pictures._render import enlarged, strengths


def test_colours_stay_and_grey_is_repeated() -> None:
    image = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
    assert np.array_equal(to_rgb(image), image.transpose(1, 2, 0))
    assert np.array_equal(to_rgb(image[:1]), np.repeat(image[0][..., None], 3, 2))


def test_bytes_and_floats_look_the_same() -> None:
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert np.array_equal(to_rgb(image), to_rgb(image.astype(np.float32) / 255))


def test_other_numbers_of_channels_are_shown_as_their_mean() -> None:
    image = np.stack([np.zeros((2, 2)), np.ones((2, 2))])
    assert (to_rgb(image) == 128).all()


def test_the_strongest_hundredth_does_not_hide_the_rest() -> None:
    values = np.full((20, 20), 0.5)
    values[0, 0] = 1e6
    assert strengths(values).min() == 1.0


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_an_empty_or_broken_map_is_dark(value: float) -> None:
    assert not strengths(np.full((4, 4), value)).any()


def test_a_map_of_one_pixel_is_seen() -> None:
    values = np.zeros((50, 50))
    values[3, 4] = 1e-12
    assert strengths(values)[3, 4] == 1.0


@pytest.mark.parametrize("colors", ["inferno", "viridis"])
def test_colours_are_those_of_matplotlib(colors: str) -> None:
    from matplotlib import colormaps

    ramp = np.linspace(0, 1, 1025).reshape(1, 1025)
    expected = colormaps[colors](strengths(ramp), bytes=True)[..., :3]
    assert np.array_equal(colored(ramp, colors=colors), expected)


def test_an_overlay_shows_the_image_where_the_map_is_low_and_the_map_where_it_is_high() -> None:
    image = np.full((3, 2, 2), 100, np.uint8)
    saliency = np.array([[0.0, 1.0], [0.0, 1.0]])
    found = overlay(image, saliency, opacity=1.0)
    assert (found[:, 0] == 100).all()
    assert np.array_equal(found[:, 1], colored(saliency)[:, 1])
    assert (overlay(image, saliency, opacity=0.0) == 100).all()


def test_an_overlay_refuses_an_impossible_opacity() -> None:
    with pytest.raises(UsageError, match=r"opacity must be a number, 0\.\.1"):
        overlay(np.zeros((1, 4, 5)), np.zeros((4, 5)), opacity=2.0)


def test_an_unknown_colour_map_is_refused() -> None:
    with pytest.raises(UsageError, match=r"colour map such as inferno.*got 'beige'"):
        colored(np.zeros((2, 2)), colors="beige")


def test_small_pictures_grow_by_a_whole_factor_and_large_ones_shrink() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (28, 20, 3), dtype=np.uint8)
    grown = enlarged(picture, 100)
    assert grown.size == (60, 84)
    assert np.array_equal(np.asarray(grown)[1::3, 1::3], picture)
    assert max(enlarged(np.zeros((300, 500, 3), dtype=np.uint8), 100).size) == 100


def test_png_files_are_whole(tmp_path: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    write_png(tmp_path / "deep" / "a.png", picture)
    with Image.open(tmp_path / "deep" / "a.png") as image:
        assert np.array_equal(np.asarray(image), picture)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]


@pytest.mark.parametrize("shape", [(28, 28), (12, 40), (40, 12), (300, 200), (1, 1)])
def test_a_panel_has_a_column_a_method(shape: tuple[int, int]) -> None:
    picture = np.zeros((*shape, 3), dtype=np.uint8)
    column = Column("gradient", picture, picture, "a note")
    sizes = [
        panel(picture, ["a name that is much too long to fit below an image" * 3], [column] * n).size for n in (1, 3)
    ]
    assert sizes[0][1] == sizes[1][1]
    assert sizes[1][0] - sizes[0][0] == 2 * 206
