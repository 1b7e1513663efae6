"""Arrays that are no uint8 images: taken by a rule, or refused with a line that makes them right."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from glassbit._errors import DataError, GlassbitWarning
from glassbit.datasets import Dataset, check, load

PIXELS = np.random.default_rng(0).integers(0, 256, (18, 6, 7), np.uint8)
PIXELS[0, 0, :2] = 0, 255
LABELS = np.arange(18) % 3


def saved(path: Path, images: np.ndarray) -> Path:
    np.savez(path, train_images=images[:12], train_labels=LABELS[:12], test_images=images[12:], test_labels=LABELS[12:])
    return path


def pixels_of(data: Dataset) -> np.ndarray:
    return np.concatenate([data.train.images.numpy(), data.test.images.numpy()])


@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i2", "u2", ">u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("limit", [10**9, 0], ids=["in memory", "mapped"])
def test_whole_numbers_of_any_type_are_taken_as_they_are(tmp_path: Path, dtype: str, limit: int) -> None:
    data = load(saved(tmp_path / "x.npz", PIXELS.astype(dtype)), limit=limit)
    assert np.array_equal(pixels_of(data)[:, 0], PIXELS)
    assert data.scaling == ""


TAKEN = {
    "bool": (PIXELS > 100, (PIXELS > 100) * 255),
    "unit-f2": ((PIXELS / 255).astype("f2"), PIXELS),
    "unit-f4": ((PIXELS / 255).astype("f4"), PIXELS),
    "unit-f8": (PIXELS / 255, PIXELS),
    "u2": (PIXELS.astype("u2") * 257, PIXELS),
    "u2-between": (np.minimum(PIXELS.astype("u4") * 257 + 128, 65535).astype("u2"), PIXELS),
    "u2-big-endian": ((PIXELS.astype("u2") * 257).astype(">u2"), PIXELS),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_clear_is_taken_by_a_rule_that_is_said(tmp_path: Path, name: str) -> None:
    images, wanted = TAKEN[name]
    path = saved(tmp_path / "x.npz", images)
    with pytest.warns(
        GlassbitWarning, match=r"x.npz: its images become 8-bit pixels by `.*`, and the network reads"
    ) as told:
        data = load(path)
    assert np.array_equal(pixels_of(data)[:, 0], wanted)
    assert f"`{data.scaling}`" in str(told[0].message)
    by_hand = eval(data.scaling, {"np": np, "images": images})
    assert by_hand.dtype == np.uint8
    assert np.array_equal(by_hand, wanted)


RANDOM = np.random.default_rng(1)
REFUSED = {
    "unit, other levels": RANDOM.random((18, 6, 7)),
    "0..255, broken": RANDOM.random((18, 6, 7)) * 255,
    "standardised": RANDOM.normal(size=(18, 6, 7)),
    "-1..1": RANDOM.uniform(-1, 1, (18, 6, 7)).astype("f4"),
    "half": RANDOM.normal(size=(18, 6, 7)).astype("f2"),
    "12 bits": RANDOM.integers(0, 4096, (18, 6, 7)).astype("u2"),
    "int16": RANDOM.integers(-32768, 32768, (18, 6, 7)).astype("i2"),
    "int32": RANDOM.integers(-(2**31), 2**31, (18, 6, 7)).astype("i4"),
    "int64": RANDOM.integers(-(2**60), 2**60, (18, 6, 7)),
    "int8": PIXELS.astype("i2").__sub__(128).astype("i1"),
    "0 and 1": (PIXELS > 100).astype("i8"),
    "a NaN": np.where(np.arange(18)[:, None, None] == 3, np.nan, PIXELS.astype("f4")),
    "infinite": np.where(np.arange(18)[:, None, None] == 15, np.inf, PIXELS.astype("f8")),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_clear_is_refused_with_lines_that_make_it_right(tmp_path: Path, name: str) -> None:
    images = REFUSED[name]
    with pytest.raises(DataError) as error:
        load(saved(tmp_path / "x.npz", images))
    text = str(error.value)
    assert f"train_images and test_images must be uint8, 0 ... 255; got {images.dtype} from " in text
    lines = re.findall(r"`([^`]+)`", text)
    assert lines
    for place, line in enumerate(lines):
        right = eval(line, {"np": np, "images": images})
        data = load(saved(tmp_path / f"{place}.npz", right))
        assert np.array_equal(pixels_of(data)[:, 0], right)
        if "NaN" in text:
            continue
        assert right.dtype == np.uint8
        if place == 0 and name != "int8" and name != "0 and 1":
            assert (right.min(), right.max()) in {(0, 255), (0, 254), (1, 255), (1, 254)} or name == "-1..1"
            order = images.astype(float).ravel().argsort(kind="stable")
            assert (np.diff(right.ravel()[order].astype(int)) >= 0).all(), "a larger value has become a darker pixel"


def test_the_two_lines_for_int8_are_what_they_say(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        load(saved(tmp_path / "x.npz", REFUSED["int8"]))
    as_bytes, around_grey = re.findall(r"`([^`]+)`", str(error.value))
    assert np.array_equal(eval(as_bytes, {"np": np, "images": PIXELS.view("i1")}), PIXELS)
    assert np.array_equal(eval(around_grey, {"np": np, "images": REFUSED["int8"]}), PIXELS)


@pytest.mark.parametrize(
    "images", [PIXELS.astype("c8"), PIXELS.astype(str), PIXELS.astype("M8[s]")], ids=["complex", "text", "time"]
)
def test_no_numbers(tmp_path: Path, images: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"must be numbers; got .*; save them as uint8"):
        load(saved(tmp_path / "x.npz", images))


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("channels", [2, 4])
def test_two_and_four_channels_are_refused_with_lines_for_each_meaning(
    tmp_path: Path, axis: int, channels: int
) -> None:
    images = np.random.default_rng(2).integers(0, 256, (18, 6, 7, channels), np.uint8)
    color, opacity = images[..., : channels - 1], images[..., channels - 1 :] / 255
    wanted = np.round(opacity * color + (1 - opacity) * 255).astype(np.uint8)
    images, color, wanted = (np.ascontiguousarray(np.moveaxis(array, -1, axis)) for array in (images, color, wanted))
    with pytest.raises(DataError, match=rf"with c = 1 or 3; got .*; where channel {channels} is opacity") as error:
        load(saved(tmp_path / "x.npz", images))
    lines = re.findall(r"`([^`]+)`", str(error.value))[:2]
    for line, right in zip(lines, (wanted, color), strict=True):
        found = np.ascontiguousarray(eval(line, {"np": np, "images": images}))
        assert np.array_equal(found, right)
        assert load(saved(tmp_path / "y.npz", found)).channels == channels - 1


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((1, 30), (1, 1, 30)),
        ((30, 1), (1, 30, 1)),
        ((1, 1, 30), (1, 1, 30)),
        ((3, 1, 30), (3, 1, 30)),
        ((1, 30, 3), (3, 1, 30)),
        ((30, 1, 1), (1, 30, 1)),
        ((1, 4, 4), (1, 4, 4)),
        ((4, 4, 1), (1, 4, 4)),
    ],
)
def test_rows_of_pixels_are_images(tmp_path: Path, shape: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (18, *shape), np.uint8)
    data = load(saved(tmp_path / "x.npz", images))
    found = pixels_of(data)
    assert found.shape[1:] == wanted
    moved = (
        images if images.size == found.size and wanted[0] == 1 else np.moveaxis(images, 1 if shape[0] == 3 else -1, 1)
    )
    assert np.array_equal(found, moved.reshape(found.shape))


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((1, 30, 1), r"must say which axis is the channels; got \(12, 1, 30, 1\); save images\[:, 0\]"),
        ((3, 30), r"4 ... 2048 pixels per side, or 1 on one of the two; got \(3, 30\)"),
        ((3, 30, 3), r"pixels per side, or 1 on one of the two; got \(30, 3\)"),
        ((2, 30), "pixels per side, or 1 on one"),
        ((1, 3), "pixels per side, or 1 on one"),
        ((30,), r"got \(12, 30\); save images.reshape\(-1, HEIGHT, WIDTH\), or images\[:, None\]"),
        ((1, 4, 4, 1), r"with c = 1 or 3; got \(12, 1, 4, 4, 1\)"),
    ],
)
def test_a_shape_that_can_be_read_in_two_ways_or_in_none_is_refused(
    tmp_path: Path, shape: tuple[int, ...], text: str
) -> None:
    with pytest.raises(DataError, match=text):
        load(saved(tmp_path / "x.npz", np.zeros((18, *shape), np.uint8)))


def test_pixels_of_0_and_1_are_a_problem(tmp_path: Path) -> None:
    (problem, *_) = check(saved(tmp_path / "x.npz", (PIXELS > 100).astype(np.uint8))).problems
    assert problem.startswith("its pixels are 0 and 1 only, of 0 ... 255, which is black")
