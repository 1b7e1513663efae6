from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glassbit._catalogue import Entry
from glassbit._errors import DataError
from glassbit.datasets import _official, catalogue, load

Write = Callable[..., dict[str, np.ndarray]]
Idx = Callable[[np.ndarray], bytes]


@pytest.mark.parametrize("below", ["", "mnist", "MNIST/raw", "MNIST", "raw"])
@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("dot", [False, True])
def test_every_layout_of_mnist(tmp_path: Path, write_idx: Write, below: str, pack: bool, dot: bool) -> None:
    arrays = write_idx(tmp_path / below, pack=pack, dot=dot)
    data = load("mnist", data_dir=tmp_path)
    assert np.array_equal(data.train.images[:, 0].numpy(), arrays["train-images-idx3-ubyte"])
    assert np.array_equal(data.test.labels.numpy(), arrays["t10k-labels-idx1-ubyte"])
    assert (data.name, data.classes, data.channels) == ("mnist", tuple("0123456789"), 1)


def test_each_takes_its_own_folder(tmp_path: Path, write_idx: Write) -> None:
    digits = write_idx(tmp_path / "MNIST/raw", seed=1)
    clothes = write_idx(tmp_path / "FashionMNIST/raw", seed=2)
    for name, arrays in (("mnist", digits), ("fashion-mnist", clothes)):
        assert np.array_equal(load(name, data_dir=tmp_path).test.images[:, 0].numpy(), arrays["t10k-images-idx3-ubyte"])


def test_the_files_of_another_data_set_are_not_taken(
    tmp_path: Path, write_idx: Write, idx: Idx, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = write_idx(tmp_path)
    labels = "t10k-labels-idx1-ubyte"
    digits, clothes = (
        Entry(name, "", "idx", tuple("0123456789"), 1, 8, 30, 20, "", folders=(".",), contents=((labels, digest),))
        for name, digest in (("mnist", _official.sha256(idx(arrays[labels]))), ("fashion-mnist", "0"))
    )
    monkeypatch.setattr(_official, "catalogue", lambda: (digits, clothes))
    assert _official.find(digits, tmp_path).files is not None
    search = _official.find(clothes, tmp_path)
    assert search.files is None
    assert search.notes == (f"{tmp_path} holds mnist, not fashion-mnist",)


def test_missing_files_say_which_where_and_how(tmp_path: Path, write_idx: Write) -> None:
    write_idx(tmp_path / "mnist")
    (tmp_path / "mnist/t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(DataError) as error:
        load("mnist", data_dir=tmp_path)
    text = str(error.value)
    assert "mnist: must be on this machine" in text
    assert "train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte" in text
    assert str(tmp_path / "MNIST/raw") in text
    assert f"{tmp_path / 'mnist'} has no t10k-labels-idx1-ubyte" in text
    assert "glassbit data fetch mnist" in text
    assert "--data-dir FOLDER" in text
    assert "https://ossci-datasets.s3.amazonaws.com/mnist/t10k-labels-idx1-ubyte.gz" in text


def test_a_data_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        load("cifar10", data_dir=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "array", "text"),
    [
        (
            "t10k-labels-idx1-ubyte",
            np.zeros(19, np.uint8),
            "must have one label per image; got 20 images and 19 labels",
        ),
        ("t10k-labels-idx1-ubyte", np.full(20, 10, np.uint8), "labels must be 0..9; got 10; get it again"),
        ("t10k-images-idx3-ubyte", np.zeros((20, 9, 8), np.uint8), "must have one size; got 8x8 and 9x8"),
        ("t10k-images-idx3-ubyte", np.zeros(20, np.uint8), "in 3 dimensions"),
    ],
)
def test_files_that_do_not_fit_together(
    tmp_path: Path, write_idx: Write, idx: Idx, name: str, array: np.ndarray, text: str
) -> None:
    write_idx(tmp_path)
    (tmp_path / name).write_bytes(idx(array))
    with pytest.raises(DataError, match=text):
        load("mnist", data_dir=tmp_path)


def test_the_catalogue_is_complete() -> None:
    entries = catalogue()
    assert [entry.name for entry in entries] == [
        "fashion-mini",
        "mnist",
        "fashion-mnist",
        "cifar10",
        "clutter",
        "clutter-shortcut",
        "clutter-shuffled",
    ]
    assert [entry.included for entry in entries] == [True, False, False, False, True, True, True]
    for entry in entries[1:]:
        digests = [digest for _, digest in entry.contents] + [item.sha256 for item in entry.downloads]
        assert all(len(digest) == 64 and int(digest, 16) for digest in digests)
        assert len(set(digests)) == len(digests)
        assert all(url.endswith(item.name) for item in entry.downloads for url in item.urls)
