from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glassbit._errors import DataError, GlassbitWarning
from glassbit.datasets import Dataset, Split, check, load, remarks
from glassbit.datasets._repeats import marks

Photos = Callable[..., Path]


def dataset(train: list[tuple[int, int]], test: list[tuple[int, int]], classes: str = "abc") -> Dataset:
    """Images of one grey each: (grey, label)."""
    parts = []
    for part in (train, test):
        greys = torch.tensor([grey for grey, _ in part], dtype=torch.uint8)
        images = greys[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
        parts.append(Split(images, torch.tensor([label for _, label in part])))
    return Dataset("x", *parts, tuple(classes))


def said(data: Dataset) -> tuple[str, ...]:
    return remarks(data, validation=0.25, seed=0)


BALANCED = [(grey, grey % 3) for grey in range(30)]
TESTED = [(100 + grey, grey % 3) for grey in range(9)]


def test_nothing_is_said_where_all_is_well() -> None:
    assert said(dataset(BALANCED, TESTED)) == ()


def test_equal_images_share_a_mark_and_others_do_not() -> None:
    split = dataset(BALANCED, [(5, 0), (6, 0), (200, 0)]).test
    again = Split(split.images[[0, 0, 1]], split.labels)
    assert marks(again)[0] == marks(again)[1] != marks(again)[2]
    assert len(set(marks(split).tolist())) == 3


def test_one_image_under_two_labels() -> None:
    data = dataset([*BALANCED, (3, 1), (3, 2), (4, 0)], TESTED)
    (text, *_) = said(data)
    assert text.startswith("x: 2 images stand under two labels or more, pixel for pixel (5 files or rows in all; ")
    assert text.endswith("): keep the right one of each")
    across = said(dataset(BALANCED, [*TESTED, (3, 1)]))
    assert across[0].startswith("x: 1 image stands under two labels or more, pixel for pixel (2 files or rows in all; ")
    assert across[1].startswith("x: 1 of 10 test images are among the training images too, pixel for pixel")


def test_copies_in_the_validation_part() -> None:
    (text,) = said(dataset(BALANCED * 2, TESTED))
    assert "validation images are among the images that are trained on too" in text


def test_a_class_that_is_there_too_often_or_hardly() -> None:
    (text,) = said(dataset(BALANCED, [*TESTED, *[(200 + grey, 1) for grey in range(9)]]))
    assert text.startswith(
        "x: 66.7% of the test images are b, and a network that always answers that has this accuracy"
    )
    rare = [(grey, 0) for grey in range(60)] + [(60 + grey, 1) for grey in range(5)] + [(70 + g, 2) for g in range(60)]
    (text,) = said(dataset(rare, [(200, 0), (201, 1), (202, 2)]))
    assert text.startswith("x: b: less than a tenth of the training images of a; read the accuracy of each class")
    two = [(grey, grey % 2) for grey in range(20)]
    assert (
        said(dataset(two, [(100, 0), (101, 0), (102, 1)], "ab")) == ()
    )  # two of three is not yet much for two classes
    assert said(dataset(two, [(100, 0), (101, 0), (102, 0), (103, 1)], "ab"))


def test_copies_on_both_sides_of_a_split_made_here_stay_on_one(tmp_path: Path, photos: Photos) -> None:
    folder = photos(tmp_path / "x", cat=20, dog=20)
    before = load(folder)
    assert (len(before.train), len(before.test)) == (32, 8)
    for path in sorted((folder / "cat").iterdir())[:10]:  # in another format, so the bytes differ
        Image.open(path).save(folder / "cat" / f"zz-{path.stem}.bmp")
    with pytest.warns(
        GlassbitWarning, match=r"x: (\d+) of 10 images that were kept for testing are training images too"
    ):
        data = load(folder)
    assert not set(marks(data.train).tolist()) & set(marks(data.test).tolist())
    assert len(data.train) == 40
    assert 4 < len(data.test) < 10
    with pytest.warns(GlassbitWarning, match="are left out of the test part"):
        mapped = load(folder, limit=0)
    assert torch.equal(mapped.test.images, data.test.images)
    with pytest.warns(GlassbitWarning, match="are left out of the test part"):
        assert not check(folder).problems


def test_a_class_that_loses_all_its_test_images_is_named_and_nothing_but_copies_is_refused(tmp_path: Path) -> None:
    for name, greys in (("cat", [1, 1]), ("dog", [2, 3]), ("owl", [4, 5])):
        (tmp_path / name).mkdir()
        for place, grey in enumerate(greys):
            Image.fromarray(np.full((8, 8), grey, np.uint8)).save(tmp_path / name / f"{place}.png")
    with pytest.warns(GlassbitWarning, match="it has no image of cat any more"):
        load(tmp_path)
    for name in ("dog", "owl"):
        shutil.copy(tmp_path / name / "0.png", tmp_path / name / "1.png")
    with pytest.raises(DataError, match="test images must not all be training images too"):
        load(tmp_path)


def test_check_names_copies_labels_and_the_most_frequent_class(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path / "train", cat=6, dog=3)
    photos(tmp_path / "test", cat=2, dog=2)
    shutil.copy(tmp_path / "train/cat/cat-05.png", tmp_path / "train/dog/x.png")
    shutil.copy(tmp_path / "train/cat/cat-00.png", tmp_path / "test/cat/cat-00.png")
    for name in ("cat-01", "dog-00", "dog-01"):
        (tmp_path / f"test/{name[:3]}/{name}.png").unlink()
    photos(tmp_path / "other", cow=3)
    for number in range(3):
        shutil.move(tmp_path / f"other/cow/cow-{number:02}.png", tmp_path / f"test/dog/{number}.png")
    shutil.rmtree(tmp_path / "other")
    report = check(tmp_path)
    assert (
        "most frequent class: cat with 60.0% of the training images, dog with 75.0% of the test images" in report.lines
    )
    first, second = report.problems
    assert first == "1 of 4 test images are among the training images too, pixel for pixel"
    assert second.endswith("(2 files or rows in all; the first is cat and dog): keep the right one of each")
