from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glassbit._errors import DataError, UsageError
from glassbit.datasets import check, load, remarks

RANDOM = np.random.default_rng(0)


def arrays(**other: Any) -> dict[str, Any]:
    made = {
        "train_images": RANDOM.integers(0, 256, (12, 6, 7, 3), np.uint8),
        "train_labels": np.arange(12) % 3,
        "test_images": RANDOM.integers(0, 256, (6, 6, 7, 3), np.uint8),
        "test_labels": np.arange(6) % 3,
    }
    return {key: value for key, value in {**made, **other}.items() if value is not None}


def saved(path: Path, *, packed: bool = True, **other: Any) -> Path:
    (np.savez_compressed if packed else np.savez)(path, **arrays(**other))
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("limit", [10**9, 0], ids=["in memory", "mapped"])
def test_every_shape(tmp_path: Path, packed: bool, limit: int) -> None:
    pixels = RANDOM.integers(0, 256, (12, 3, 6, 7), np.uint8)
    shapes = {
        "first": (pixels, pixels),
        "last": (pixels.transpose(0, 2, 3, 1).copy(), pixels),
        "one": (pixels[:, 0].copy(), pixels[:, :1]),
        "one-last": (pixels[:, 0, :, :, None].copy(), pixels[:, :1]),
    }
    for name, (given, wanted) in shapes.items():
        path = saved(tmp_path / f"{name}.npz", packed=packed, train_images=given, test_images=given[:6])
        data = load(str(path), limit=limit)
        assert np.array_equal(data.train.images.numpy(), wanted)
        assert np.array_equal(data.test.images.numpy(), wanted[:6])
        assert data.name == name
        assert data.classes == ("0", "1", "2")
        assert data.train.labels.tolist() == [0, 1, 2] * 4


def test_class_names_and_a_size(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npz", classes=np.array(["ant", "bee", "cat"]))
    data = load(path, size=(8, 9), color="grey")
    assert data.classes == ("ant", "bee", "cat")
    assert data.train.images.shape == (12, 1, 8, 9)


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (
            {"test_labels": None, "classes": np.array(["a"])},
            "got classes, test_images, train_images, train_labels; add test_labels",
        ),
        (
            {"train_images": np.zeros((12, 6, 7, 3))},
            "train_images and test_images must have one type; got float64 and uint8; save both as uint8",
        ),
        ({"train_images": np.zeros((12, 42), np.uint8)}, r"must be \(n, h, w\)"),
        ({"train_images": np.zeros((12, 6, 7, 4), np.uint8)}, r"must be \(n, h, w\).*got \(12, 6, 7, 4\)"),
        ({"train_images": np.zeros((0, 6, 7, 3), np.uint8)}, "train_images is empty"),
        (
            {"train_images": np.zeros((12, 1, 1), np.uint8)},
            r"4 ... 2048 pixels per side, or 1 on one of the two; got \(1, 1\)",
        ),
        ({"train_labels": np.arange(11)}, "11 labels for 12 images"),
        ({"train_labels": np.zeros(12)}, "whole numbers"),
        ({"train_labels": np.arange(12) - 1}, r"must lie in 0 \.\.\. 10; got -1 \.\.\. 10"),
        ({"train_labels": np.zeros(12, int), "test_labels": np.zeros(6, int)}, "two classes or more"),
        ({"train_labels": np.arange(12) % 3 * 2, "test_labels": np.zeros(6, int)}, "none of class 1, 3"),
        ({"test_labels": np.arange(6)}, r"test_labels must lie in 0 \.\.\. 2; got 0 \.\.\. 5"),
        ({"test_images": np.zeros((6, 9, 9, 3), np.uint8)}, "test_images must have the shape of train_images"),
        ({"classes": np.array(["a", "b", "a"])}, "classes must have different names; got a more than once; rename one"),
        (
            {"train_labels": np.eye(3)[np.arange(12) % 3]},
            r"whole numbers .*; if they are class numbers, save labels.argmax",
        ),
        ({"classes": np.array(["a", None])}, r"classes holds Python objects.* save .*np.array\(classes, str\)"),
        ({"train_images": np.zeros((12, 6, 7, 3), np.uint8, order="F")}, "stored by columns"),
        ({"train_images": np.uint8(3)}, r"got \(\)"),
        ({"test_regions": np.zeros((6, 6, 7))}, r"test_regions must be uint8 \(n, h, w\); got float64 \(6, 6, 7\)"),
        ({"test_regions": np.zeros((6, 42), np.uint8)}, r"test_regions must be uint8 \(n, h, w\); got uint8 \(6, 42\)"),
        (
            {"test_regions": np.zeros((6, 7, 6), np.uint8)},
            r"must be \(6, 6, 7\), one for each pixel of test_images; got",
        ),
        ({"test_regions": np.full((6, 6, 7), 3, np.uint8)}, r"0 \(background\), 1 \(the object\) or 2 .*; got 3"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, other: dict[str, Any], text: str) -> None:
    path = saved(tmp_path / "x.npz", **other)
    with pytest.raises(DataError, match=text) as error:
        load(str(path))
    assert "x.npz" in str(error.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    regions = np.zeros((6, 9, 9), np.uint8)
    path = saved(
        tmp_path / "x.npz", train_images=np.zeros((12, 6, 7, 3)), test_labels=np.zeros(6), test_regions=regions
    )
    with pytest.raises(DataError) as error:
        load(str(path))
    assert str(error.value).count("\n  - ") == 3
    path = saved(tmp_path / "y.npz", test_labels=np.full(6, 7), test_regions=np.full((6, 6, 7), 7, np.uint8))
    with pytest.raises(DataError) as error:
        load(str(path))
    assert str(error.value).count("\n  - ") == 2


@pytest.mark.parametrize("key", ["train_labels", "test_labels"])
def test_class_numbers_far_apart_make_nothing_of_their_size(tmp_path: Path, key: str) -> None:
    path = saved(tmp_path / "x.npz", **{key: np.arange(12 if key == "train_labels" else 6) % 3 * 10**12})
    text = rf"{key} must be class numbers below 65535; got 0 \.\.\. 2000000000000; number .* np\.unique"
    tracemalloc.start()
    with pytest.raises(DataError, match=text):
        load(str(path))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**22


def test_of_many_absent_classes_a_few_are_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npz", train_labels=np.arange(12) % 2 * 60_000)
    with pytest.raises(DataError, match=r"none of class 1, 2, .* and 59989 more; number .* np\.unique") as error:
        load(str(path))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("name", ["\x1b[31m", "b\n", "\u202e", "", "a" * 257])
def test_class_names_that_cannot_be_shown(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / "x.npz", classes=np.array(["ant", "bee", name]))
    with pytest.raises(DataError, match=r"classes must be printable text of 1 to 256 characters; got '.*; rename it"):
        load(path)


@pytest.mark.parametrize("classes", [np.zeros(70_000, "U1"), np.array(["ant", "bee", "c" * 2000])])
def test_class_names_that_are_too_many_or_too_long_are_not_read(tmp_path: Path, classes: np.ndarray) -> None:
    path = saved(tmp_path / "x.npz", classes=classes)
    with pytest.raises(DataError, match=r"classes must be at most 65535 names of at most 256 characters; got .* each"):
        load(path)


def test_regions(tmp_path: Path) -> None:
    regions = RANDOM.integers(0, 3, (6, 6, 7), np.uint8)
    path = saved(tmp_path / "x.npz", test_regions=regions)
    for data in (load(path), load(path, limit=0), load(path, size=(6, 7)), load(path, color="grey")):
        assert data.regions is not None
        assert np.array_equal(data.regions.numpy(), regions)
    assert load(saved(tmp_path / "y.npz")).regions is None


def test_regions_are_not_resized(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npz", test_regions=np.zeros((6, 6, 7), np.uint8))
    text = r"x: its images must keep their height and width, 6 x 7, .* every pixel .* got 8 x 9; leave size out"
    with pytest.raises(UsageError, match=text):
        load(path, size=(8, 9))


@pytest.mark.parametrize("data", [b"", b"no zip", b"\x93NUMPY\x01\x00"])
def test_not_an_npz(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.npz").write_bytes(data)
    with pytest.raises(DataError, match=r"must be a readable \.npz file; got: "):
        load(str(tmp_path / "x.npz"))


@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_npz(tmp_path: Path, packed: bool) -> None:
    path = saved(tmp_path / "x.npz", packed=packed)
    data = bytearray(path.read_bytes())
    data[300:340] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"must be a readable \.npz file; got: "):
        load(str(path))


LABELS = np.arange(12) % 3


@pytest.mark.parametrize(
    ("other", "text"),
    [
        ({"train_labels": LABELS.astype(np.uint64) + np.uint64(2**63 + 5)}, "got 9223372036854775813 "),
        ({"classes": np.array([["a", "b", "c"]])}, r"classes must be names .*\(1, 3\); save np.ravel\(classes\)"),
        ({"classes": np.array([], str)}, r"got the shape \(0,\); save one name for each class, or leave classes out"),
        ({"classes": np.array("a")}, r"got the shape \(\); save np.ravel"),
        ({"classes": np.array([0.5, 1, 2])}, r"classes must be text; got float64; save .* np.array\(classes, str"),
        ({"classes": np.array([b"\xff", b"a", b"b"])}, "classes must be UTF-8 text"),
        ({"train_labels": LABELS.astype(float)}, r"save labels.ravel\(\).astype\(int\)"),
        ({"train_labels": LABELS[:, None]}, r"save labels.ravel\(\).astype\(int\)"),
        ({"train_labels": LABELS > 0}, r"save labels.ravel\(\).astype\(int\)"),
        ({"train_labels": np.array(["a", "b", "c"] * 4)}, r"save `np.searchsorted\(classes, labels\)`"),
        *(
            ({"train_labels": labels}, "from 0$|from 0\n")
            for labels in (
                LABELS.astype(complex), np.full(12, np.nan), np.full(12, 1e30), LABELS - 0.5, LABELS - 1.0,
                np.zeros(12, "V3"), np.zeros(12, [("a", int)]), np.full((12, 3), np.inf), np.zeros((2, 2, 3)) - 1,
            )
        ),
        ({"train_images": np.full(12, {})}, r"train_images holds Python objects, .* np.stack\(list\(images\)\)"),
    ],
)  # fmt: skip
def test_labels_and_classes_of_every_kind(tmp_path: Path, other: dict[str, Any], text: str) -> None:
    with pytest.raises(DataError, match=text):
        load(saved(tmp_path / "x.npz", **other))


@pytest.mark.parametrize("part", ["training", "test"])
@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
def test_a_part_of_zeros_and_ones_is_said(tmp_path: Path, part: str, kind: type) -> None:
    key = f"{part.removesuffix('ing')}_images"
    made = {name: value.astype(kind) for name, value in arrays().items() if name.endswith("images")}
    made[key] = (made[key] > 99).astype(kind)
    path = saved(tmp_path / "x.npz", **made)
    text = f"the pixels of its {part} images are 0 and 1 only"
    assert any(text in problem for problem in check(path).problems)
    assert any(text in said for said in remarks(load(path), validation=0.2, seed=0))


def test_a_damaged_cache_is_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "x.npz")
    load(path, limit=0, cache_dir=tmp_path / "cache")
    for kept in (tmp_path / "cache/images").glob("*.npy"):
        kept.write_bytes(kept.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"\.npy: must hold images that Glassbit keeps; got: .*; delete it"):
        load(path, limit=0, cache_dir=tmp_path / "cache")
