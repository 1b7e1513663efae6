from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glassbit._errors import DataError, GlassbitWarning
from glassbit.datasets import Dataset, load
from glassbit.datasets._folder import scan

Photos = Callable[..., Path]


def names(root: Path) -> tuple[set[str], set[str]]:
    listing = scan(root)
    return {path.name for path, _ in listing.train}, {path.name for path, _ in listing.test}


def test_train_and_test_folders(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path / "pets/train", dog=3, cat=4)
    photos(tmp_path / "pets/test", cat=2, dog=1)
    data = load(str(tmp_path / "pets"))
    assert (data.name, data.classes) == ("pets", ("cat", "dog"))
    assert data.train.labels.tolist() == [0] * 4 + [1] * 3
    assert data.test.labels.tolist() == [0] * 2 + [1]
    assert data.train.images.shape == (7, 3, 8, 8)
    with Image.open(tmp_path / "pets/train/cat/cat-02.png") as image:
        assert np.array_equal(data.train.images[2].numpy(), np.asarray(image).transpose(2, 0, 1))


def test_class_folders_alone_keep_a_fifth_for_testing(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path / "a", cat=10, dog=5, owl=2)
    listing = scan(tmp_path / "a")
    assert [sum(label == number for _, label in listing.test) for number in range(3)] == [2, 1, 1]
    assert set(listing.train) | set(listing.test) == {
        (path, number) for number, name in enumerate(listing.classes) for path in (tmp_path / "a" / name).iterdir()
    }
    assert not set(listing.train) & set(listing.test)
    photos(tmp_path / "b", owl=2, dog=5, cat=10)
    assert names(tmp_path / "b") == names(tmp_path / "a")


def test_hidden_files_are_passed_over_and_folders_below_are_not(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path, cat=2, dog=2)
    photos(tmp_path / "cat", deep=1)
    photos(tmp_path, **{".cache": 1, "__MACOSX": 1})
    for name in (".DS_Store", "Thumbs.db", ".hidden/x.png"):
        (tmp_path / "cat" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "cat" / name).write_text("x")
    (tmp_path / "README.md").write_text("x")
    train, test = names(tmp_path)
    assert train | test == {"cat-00.png", "cat-01.png", "deep-00.png", "dog-00.png", "dog-01.png"}


def broken(tmp_path: Path) -> str:
    with pytest.raises(DataError) as error:
        load(str(tmp_path))
    return str(error.value)


def test_empty_classes(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path, cat=2, dog=2)
    (tmp_path / "owl").mkdir()
    assert f"class 'owl' has no images: add some, or remove {tmp_path / 'owl'}" in broken(tmp_path)


def test_classes_of_one_part_only(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path / "train", cat=2, dog=2)
    photos(tmp_path / "test", cat=2, owl=2)
    text = broken(tmp_path)
    assert f"class 'dog' has no images in {tmp_path / 'test'}" in text
    assert f"class 'owl' has no images in {tmp_path / 'train'}" in text


def test_one_image_cannot_be_shared(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path, cat=2, dog=1)
    assert "class 'dog' has one image: it needs two" in broken(tmp_path)


def test_one_class(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path, cat=3)
    assert "must hold two class folders or more" in broken(tmp_path)
    assert "one class folder, 'cat'" in broken(tmp_path)


def test_a_folder_too_high(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path / "pets", cat=2, dog=2)
    assert f"did you mean {tmp_path / 'pets'}, which holds cat, dog?" in broken(tmp_path)


def test_no_classes(tmp_path: Path, photo: Callable[..., Path]) -> None:
    photo(tmp_path / "a.png")
    assert "got no class folders; make one folder per class" in broken(tmp_path)


def test_parts_without_classes(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path, train=3, test=2)
    assert "train must hold class folders; got none, only test, train" in broken(tmp_path)


def test_train_without_test(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path / "train", cat=2, dog=2)
    photos(tmp_path / "val", cat=2, dog=2)
    assert "must hold a folder test beside train; got only train, val" in broken(tmp_path)


def test_a_class_called_train(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path, bus=2, car=2, train=2)
    assert scan(tmp_path).classes == ("bus", "car", "train")


def test_a_validation_folder_is_mentioned(tmp_path: Path, photos: Photos) -> None:
    for part in ("train", "test", "val"):
        photos(tmp_path / part, cat=2, dog=2)
    with pytest.warns(GlassbitWarning, match="val beside train and test is not used"):
        data = load(str(tmp_path))
    assert len(data.train) == 4


def test_images_that_belong_to_no_class(tmp_path: Path, photos: Photos, photo: Callable[..., Path]) -> None:
    photos(tmp_path / "train", cat=2, dog=2)
    photos(tmp_path / "test", cat=2, dog=2)
    for number in range(12):
        photo(tmp_path / f"train/{number:02}.png")
    text = broken(tmp_path)
    assert f"images directly in {tmp_path / 'train'} belong to no class: 00.png, 01.png" in text
    assert "09.png and 2 more" in text


@pytest.mark.parametrize("limit", [10**9, 0], ids=["in memory", "mapped"])
def test_mapped_folders_are_built_once_and_anew_after_a_change(
    tmp_path: Path, photos: Photos, photo: Callable[..., Path], limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photos(tmp_path / "pets", cat=3, dog=3)
    first = load(str(root), limit=limit)

    def pixels(data: Dataset) -> np.ndarray:
        return np.concatenate([data.train.images.numpy(), data.test.images.numpy()])

    files = set((tmp_path / "cache/images").glob("*.npy")) if limit == 0 else set()
    assert len(files) == (2 if limit == 0 else 0)
    assert np.array_equal(pixels(load(str(root), limit=limit)), pixels(first))
    photo(root / "cat/cat-00.png", seed=1, size=(8, 8))
    (root / "cat/cat-00.png").touch()
    assert not np.array_equal(pixels(load(str(root), limit=limit)), pixels(first))
    if limit == 0:
        assert len(set((tmp_path / "cache/images").glob("*.npy"))) == 4
        monkeypatch.setattr("glassbit.datasets._load.settle", None)
        load(str(root), limit=limit)


@pytest.mark.parametrize(("train", "test"), [("Train", "Test"), ("TRAIN", "test"), ("train", "Test")])
def test_the_parts_may_have_capitals(tmp_path: Path, photos: Photos, train: str, test: str) -> None:
    photos(tmp_path / train, dog=3, cat=4)
    photos(tmp_path / test, cat=2, dog=1)
    photos(tmp_path / "Val", cat=1)
    with pytest.warns(GlassbitWarning, match="Val beside train and test is not used"):
        listing = scan(tmp_path)
    assert listing.classes == ("cat", "dog")
    assert (len(listing.train), len(listing.test), listing.cut) == (7, 3, False)


def test_two_spellings_of_a_part_and_other_names_for_it_are_refused(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path / "a/train", dog=3, cat=4)
    photos(tmp_path / "a/Train", dog=3, cat=4)
    with pytest.raises(DataError, match="must have one folder train; got Train and train; join them"):
        scan(tmp_path / "a")
    photos(tmp_path / "b/Training", dog=3, cat=4)
    photos(tmp_path / "b/Testing", dog=3, cat=4)
    with pytest.raises(
        DataError, match="got Testing, Training, which look like parts of a data set; rename them train and test"
    ):
        scan(tmp_path / "b")


def test_a_class_may_be_called_train(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path, Train=3, bus=4, test=3)
    assert scan(tmp_path).classes == ("Train", "bus", "test")


def test_links_are_followed_and_those_that_lead_out_are_said(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path / "elsewhere", cat=3, owl=2)
    root = photos(tmp_path / "pets", cat=2, dog=2)
    (root / "cat/inside.png").symlink_to(root / "cat/cat-00.png")
    assert len(scan(root).train) + len(scan(root).test) == 5
    (root / "cat/far.png").symlink_to(tmp_path / "elsewhere/cat/cat-02.png")
    (root / "owl").symlink_to(root / "dog")
    with pytest.warns(GlassbitWarning) as said:
        listing = scan(root)
    assert listing.classes == ("cat", "dog", "owl")
    assert len(listing.train) + len(listing.test) == 8
    (text,) = [str(warning.message) for warning in said]
    assert text.startswith(f"{root}: 1 image is read through links that lead out of the folder: ")
    assert f"cat/far.png -> {tmp_path / 'elsewhere/cat/cat-02.png'}" in text


@pytest.mark.parametrize("link", ["train", "train/bee", "owl", "test/bee"])
@pytest.mark.parametrize("target", ["elsewhere/train", "pets", "."])
def test_folders_that_are_links_out_of_the_data_are_not_opened(
    tmp_path: Path, photos: Photos, link: str, target: str
) -> None:
    for part in ("train", "test"):
        photos(tmp_path / "elsewhere" / part, cat=3, dog=2)
        photos(tmp_path / "pets" / part, cat=3, dog=2)
    root = tmp_path / "pets"
    if link == "train":
        shutil.rmtree(root / "train")
    (root / link).symlink_to(tmp_path / target)
    assert broken(root).splitlines()[1:] == [
        f"  - {root / link}: a link to a folder outside of the data set, which is not followed; copy the folder"
    ]


def test_a_folder_that_is_itself_a_link_is_one_like_others(tmp_path: Path, photos: Photos) -> None:
    photos(tmp_path / "elsewhere", cat=3, dog=2)
    (tmp_path / "pets").symlink_to(tmp_path / "elsewhere")
    assert scan(tmp_path / "pets").classes == ("cat", "dog")


def test_what_is_no_file_is_listed_and_never_opened(tmp_path: Path, photos: Photos) -> None:
    root = photos(tmp_path / "pets", cat=2, dog=2)
    (root / "cat/lost.png").symlink_to(tmp_path / "nowhere.png")
    (root / "cat/round.png").symlink_to(root / "cat/round.png")
    (root / "owl").symlink_to(tmp_path / "nowhere")
    os.mkfifo(root / "dog/pipe.png")
    (root / "dog/more").symlink_to(root / "cat")
    lines = broken(root).splitlines()
    assert lines == [
        f"{root}: must hold images in class folders; got 5 problems:",
        f"  - {root}/owl: a link to nothing; repair or remove it",
        f"  - {root}/cat/lost.png: a link to nothing; repair or remove it",
        f"  - {root}/cat/round.png: a link to itself; repair or remove it",
        f"  - {root}/dog/more: a link to a folder, which is not followed; copy the folder",
        f"  - {root}/dog/pipe.png: a pipe, socket or device, which is not opened; remove it",
    ]


def test_a_folder_that_must_not_be_read_is_not_left_out(
    tmp_path: Path, photos: Photos, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photos(tmp_path / "pets", cat=2, dog=2)
    photos(root / "dog", closed=1)
    listed = os.scandir

    def refuse(path: object) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "scandir", refuse)
    text = broken(root)
    assert "must be readable; got: Permission denied" in text
    assert "Permission denied" in text


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\udcff"])
def test_odd_names_of_files_stay_on_their_line(tmp_path: Path, photos: Photos, name: str) -> None:
    root = photos(tmp_path / "pets", cat=2, dog=2)
    (root / "cat" / f"{name}.png").write_text("no image")
    text = broken(root)
    assert name not in text
    assert len(text.splitlines()) == 2
    assert all(line.isprintable() for line in text.splitlines())
    (root / "cat" / f"{name}.png").unlink()
    (root / name).mkdir()
    assert name not in broken(root)
