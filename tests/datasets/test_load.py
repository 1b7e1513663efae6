from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glassbit._errors import DataError, UsageError
from glassbit.datasets import cache_folder, load


def test_the_embedded_data_set() -> None:
    data = load("fashion-mini", download=False)
    assert data.train.images.shape == (6000, 1, 28, 28)
    assert data.train.labels.bincount().tolist() == [600] * 10
    assert data.test.labels.bincount().tolist() == [100] * 10
    assert data.classes[9] == "Ankle boot"
    assert data.mean == pytest.approx((0.2869,), abs=1e-4)


def test_the_embedded_data_set_is_small_and_licensed() -> None:
    folder = importlib.resources.files("glassbit.datasets")
    assert len((folder / "fashion_mini.npz").read_bytes()) <= 4_000_000
    assert "Zalando" in (folder / "fashion_mini.LICENSE").read_text(encoding="utf-8")


def test_a_size_and_colours_for_the_embedded_one() -> None:
    data = load("fashion-mini", size=(12, 10), color="rgb")
    assert data.train.images.shape == (6000, 3, 12, 10)
    assert data.train.images[:, 0].equal(data.train.images[:, 2])


def test_framed_arrays_above_the_limit_are_mapped(tmp_path: Path, write_idx: Callable[..., object]) -> None:
    write_idx(tmp_path / "data")
    mapped, held = (load("mnist", data_dir=tmp_path / "data", size=6, limit=limit) for limit in (0, 10**9))
    assert np.array_equal(mapped.train.images.numpy(), held.train.images.numpy())
    assert len(list((tmp_path / "cache/images").glob("*.npy"))) == 2


def test_close_names_are_suggested() -> None:
    with pytest.raises(
        UsageError, match=r"must be one of fashion-mini, .*; got 'FashionMNIST'; did you mean 'fashion-mnist'\?"
    ):
        load("FashionMNIST")
    with pytest.raises(UsageError, match="one of fashion-mini, mnist, fashion-mnist, cifar10"):
        load("zzz")


@pytest.mark.parametrize("name", ["./nothing", "photos/of", "x.npz", "~/nothing-there"])
def test_paths_that_do_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"must be an existing folder of class folders or \.npz file; got no such path"):
        load(name)


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    (tmp_path / "x.zip").touch()
    with pytest.raises(DataError, match=r"must be a folder of class folders or an \.npz file; got another kind"):
        load(str(tmp_path / "x.zip"))


def test_a_relative_path_starts_at_the_data_folder(tmp_path: Path, photos: Callable[..., Path]) -> None:
    photos(tmp_path / "deep/pets", cat=2, dog=2)
    assert load("deep/pets", data_dir=tmp_path).name == "pets"
    assert load(str(tmp_path / "deep/pets"), data_dir=tmp_path / "other").name == "pets"


def test_a_folder_called_like_a_known_data_set(
    tmp_path: Path, photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    photos(tmp_path / "mnist", cat=2, dog=2)
    monkeypatch.chdir(tmp_path)
    assert load("./mnist").classes == load(Path("mnist")).classes == ("cat", "dog")


def test_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "cache"
    assert cache_folder("x") == Path("x")
    monkeypatch.delenv("GLASSBIT_CACHE")
    assert cache_folder().name == "glassbit"
    assert cache_folder("~") == Path.home()
