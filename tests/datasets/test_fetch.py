from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests

from glassbit._catalogue import Download, Entry
from glassbit._errors import DataError, UsageError
from glassbit.datasets import fetch, load

FIRST, SECOND = "https://first.example/", "https://second.example/"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Web:
    """Files at addresses; everything else cannot be reached."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.asked = files, list[str]()

    def get(self, url: str, **_: object) -> requests.Response:
        self.asked.append(url)
        if url not in self.files:
            raise requests.ConnectionError("no route")
        response = requests.Response()
        response.status_code, response.raw = 200, io.BytesIO(self.files[url])
        return response


@pytest.fixture
def served(tmp_path: Path, write_idx: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> Web:
    """A small "mnist" at a first address, which is the only one that can be reached."""
    write_idx(tmp_path / "made")
    files = {path.name: path.read_bytes() for path in (tmp_path / "made").iterdir()}
    small = Entry(
        name="mnist",
        title="",
        layout="idx",
        classes=tuple("0123456789"),
        channels=1,
        side=8,
        train=30,
        test=20,
        homepage="",
        downloads=tuple(Download(name, sha256(data), (FIRST + name, SECOND + name)) for name, data in files.items()),
        contents=tuple((name, sha256(data)) for name, data in files.items()),
        folders=("mnist", "."),
    )
    for module in ("_fetch", "_load"):
        monkeypatch.setattr(f"glassbit.datasets.{module}.entry", {"mnist": small}.get)
    web = Web({FIRST + name: data for name, data in files.items()})
    monkeypatch.setattr(requests, "get", web.get)
    return web


def test_a_name_is_downloaded_once_and_then_offline(tmp_path: Path, served: Web) -> None:
    data = load("mnist", progress=True)
    assert (len(data.train), len(data.test)) == (30, 20)
    assert len(served.asked) == 4
    assert [path.parent for path in fetch("mnist")] == [tmp_path / "cache/mnist"] * 4
    load("mnist", download=False)
    assert len(served.asked) == 4


def test_another_place_is_tried(served: Web) -> None:
    name = "t10k-labels-idx1-ubyte"
    served.files[SECOND + name] = served.files.pop(FIRST + name)
    load("mnist")
    assert served.asked.count(SECOND + name) == 1


def test_a_wrong_file_is_refused_and_another_place_tried(tmp_path: Path, served: Web) -> None:
    name = "t10k-labels-idx1-ubyte"
    right = served.files[FIRST + name]
    served.files[FIRST + name] = right[:-1] + b"x"
    with pytest.raises(DataError, match="the file is not the published one"):
        load("mnist")
    assert not (tmp_path / "cache/mnist" / name).exists()
    served.files[SECOND + name] = right
    load("mnist")


def test_offline_says_which_where_and_how(tmp_path: Path, served: Web) -> None:
    served.files.clear()
    with pytest.raises(DataError) as error:
        load("mnist")
    text = str(error.value)
    assert "mnist: must be on this machine" in text
    assert str(tmp_path / "cache/mnist") in text
    assert text.count(": the server cannot be reached") == 2
    assert "glassbit data fetch mnist" in text


def test_without_leave_nothing_is_downloaded(served: Web) -> None:
    with pytest.raises(DataError, match="mnist: must be on this machine"):
        load("mnist", download=False)
    assert not served.asked


def test_with_a_data_folder_nothing_is_downloaded(tmp_path: Path, served: Web) -> None:
    with pytest.raises(DataError, match="mnist: must be on this machine"):
        load("mnist", data_dir=tmp_path)
    assert not served.asked


@pytest.mark.parametrize("right", [True, False])
def test_cifar_is_unpacked_and_its_content_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, right: bool
) -> None:
    random = np.random.default_rng(0)
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    batches = {name: bytes(1) + random.bytes(3072) for name in names}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, data in batches.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    item = Download("cifar-10-binary.tar.gz", sha256(packed.getvalue()), (FIRST + "x",))
    contents = tuple((name, sha256(data if right else b"")) for name, data in batches.items())
    small = Entry("cifar10", "", "cifar", tuple("abcdefghij"), 3, 32, 5, 1, "", (item,), contents, (".",))
    for module in ("_fetch", "_load"):
        monkeypatch.setattr(f"glassbit.datasets.{module}.entry", {"cifar10": small}.get)
    monkeypatch.setattr(requests, "get", Web({FIRST + "x": packed.getvalue()}).get)
    if not right:
        with pytest.raises(DataError, match=r"data_batch_1\.bin must be the published file"):
            fetch("cifar10")
        return
    assert {path.name for path in fetch("cifar10")} == set(names)
    assert len(load("cifar10").train) == 5
    assert not list((tmp_path / "cache").rglob("*.tar.gz*"))


def test_nothing_to_fetch() -> None:
    assert fetch("fashion-mini") == ()
    with pytest.raises(UsageError, match=r"name must be one of fashion-mini, mnist.*; got 'emnist'"):
        fetch("emnist")


def test_pooch_keeps_its_own_voice(served: Web) -> None:
    level = pooch.get_logger().level
    load("mnist")
    assert pooch.get_logger().level == level
