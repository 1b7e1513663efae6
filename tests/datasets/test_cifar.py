from __future__ import annotations

import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest

from glassbit._errors import DataError
from glassbit.datasets import load
from glassbit.datasets._cifar import BATCHES, records

ROWS = 12


def rows(number: int) -> np.ndarray:
    made = np.random.default_rng(number).integers(0, 256, (ROWS, 3073), np.uint8)
    made[:, 0] = np.arange(ROWS) % 10
    return made


def binary(number: int) -> bytes:
    return rows(number).tobytes()


def python(number: int, *, keys: type = bytes, protocol: int = 2) -> bytes:
    made = rows(number)
    labels = made[:, 0].tolist()
    batch = {"batch_label": "x", "labels": labels, "data": made[:, 1:].copy(), "filenames": ["a.png"] * ROWS}
    return pickle.dumps({k.encode() if keys is bytes else k: v for k, v in batch.items()}, protocol)


LAYOUTS = ["folder-bin", "folder-py", "bin", "py", "tar-bin", "tar-py", "below"]


def lay_out(root: Path, layout: str) -> None:
    packed = {f"{name}.bin": binary(n) for n, name in enumerate(BATCHES)}
    pickled = {name: python(n) for n, name in enumerate(BATCHES)}
    below = {
        "folder-bin": "cifar-10-batches-bin",
        "folder-py": "cifar-10-batches-py",
        "below": "cifar10/cifar-10-batches-py",
    }
    files = packed if layout.endswith("bin") else pickled
    if layout.startswith("tar"):
        name, inside = ("binary", "bin") if layout == "tar-bin" else ("python", "py")
        with tarfile.open(root / f"cifar-10-{name}.tar.gz", "w:gz") as archive:
            for file, data in {**files, "readme.html": b"<html>"}.items():
                member = tarfile.TarInfo(f"cifar-10-batches-{inside}/{file}")
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        return
    folder = root / below.get(layout, ".")
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        (folder / file).write_bytes(data)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_holds_the_same(tmp_path: Path, layout: str) -> None:
    lay_out(tmp_path, layout)
    data = load("cifar10", data_dir=tmp_path)
    wanted = np.concatenate([rows(number) for number in range(5)])
    assert np.array_equal(data.train.images.numpy(), wanted[:, 1:].reshape(-1, 3, 32, 32))
    assert np.array_equal(data.train.labels.numpy(), wanted[:, 0])
    assert np.array_equal(data.test.images.numpy(), rows(5)[:, 1:].reshape(-1, 3, 32, 32))
    assert data.classes[0] == "airplane"


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("keys", [bytes, str])
def test_python_batches_of_any_age(keys: type, protocol: int) -> None:
    assert np.array_equal(records(python(3, keys=keys, protocol=protocol), suffix="", source="x"), rows(3))


class Harm:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harm",)


def test_code_in_a_batch_is_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="mkdir, which no batch needs; it is refused"):
        records(pickle.dumps({"data": Harm(), "labels": [1]}), suffix="", source="bad")
    assert not Path("harm").exists()


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"data": 3, "labels": [1]},
        {"data": np.zeros((2, 3072)), "labels": [1, 2]},
        {"data": np.zeros(5, np.uint8), "labels": [1]},
    ],
)
def test_odd_pickles(value: object) -> None:
    with pytest.raises(DataError, match="odd: must be a Python batch of CIFAR-10; got: "):
        records(pickle.dumps(value, 2), suffix="", source="odd")


@pytest.mark.parametrize("data", [b"", b"x", pickle.dumps({})[:-1], os.urandom(200)])
def test_damaged_batches(data: bytes) -> None:
    for suffix in ("", ".bin"):
        with pytest.raises(DataError, match="odd"):
            records(data, suffix=suffix, source="odd")


def test_labels_out_of_range() -> None:
    with pytest.raises(DataError, match=r"labels must be 0\.\.9, as in CIFAR-10; got 77"):
        records(bytes([77]) + bytes(3072), suffix=".bin", source="odd")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    lay_out(tmp_path, "folder-bin")
    (tmp_path / "cifar-10-batches-bin/data_batch_4.bin").unlink()
    with pytest.raises(DataError, match=r"cifar-10-batches-bin has no data_batch_4\.bin"):
        load("cifar10", data_dir=tmp_path)


def test_a_damaged_archive(tmp_path: Path) -> None:
    lay_out(tmp_path, "tar-bin")
    archive = tmp_path / "cifar-10-binary.tar.gz"
    archive.write_bytes(archive.read_bytes()[:1000])
    with pytest.raises(DataError, match="must be a readable archive; got: "):
        load("cifar10", data_dir=tmp_path)
