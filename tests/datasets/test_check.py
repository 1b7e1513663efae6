from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glassbit._errors import UsageError
from glassbit.datasets import check


def test_the_embedded_data_set_is_fine() -> None:
    report = check("fashion-mini")
    assert not report.problems
    assert report.lines[0] == "images: 6000 to train, 1000 to test, 28 x 28, grey"
    assert "    0 T-shirt/top: 600 / 100" in report.lines


def test_regions_are_counted(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 4), np.uint8)
    regions = np.zeros((2, 5, 4), np.uint8)
    regions[0, :3], regions[1, 0, :2] = 1, 2
    labels = np.array([0, 1, 0, 1])
    np.savez(
        tmp_path / "x.npz",
        train_images=images,
        train_labels=labels,
        test_images=255 - images[:2],
        test_labels=labels[:2],
        test_regions=regions,
    )
    assert "regions of the test images: 30.0% object, 5.0% shortcut, on average" in check(tmp_path / "x.npz").lines


def test_files_that_are_not_the_published_ones(tmp_path: Path, write_idx: Callable[..., object]) -> None:
    write_idx(tmp_path)
    report = check("mnist", data_dir=tmp_path)
    assert f"files: {tmp_path}" in report.lines
    assert "  train-images-idx3-ubyte: NOT as published" in report.lines
    assert len(report.problems) == 4


def test_a_missing_data_set_is_a_problem(tmp_path: Path) -> None:
    (problem,) = check("cifar10", data_dir=tmp_path).problems
    assert "cifar10: must be on this machine" in problem


def test_images_in_both_parts(tmp_path: Path, photos: Callable[..., Path]) -> None:
    photos(tmp_path / "train", cat=3, dog=3)
    photos(tmp_path / "test", cat=2, dog=2)
    for name in ("cat-00", "cat-01", "dog-00", "dog-01"):
        shutil.copy(tmp_path / f"train/{name[:3]}/{name}.png", tmp_path / f"test/{name[:3]}/{name}.png")
    report = check(str(tmp_path))
    assert report.problems == ("4 of 4 test images are among the training images too, pixel for pixel",)
    assert report.lines[0] == "images: 6 to train, 4 to test, 8 x 8, colour"


def test_an_unknown_name() -> None:
    with pytest.raises(UsageError, match="got 'nothing'"):
        check("nothing")
