from __future__ import annotations

import mmap
import multiprocessing
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from glassbit._errors import DataError
from glassbit.datasets._store import Images, collect

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 5), np.uint8)


def prepare() -> Images:
    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, 10, 4):
            yield PIXELS[start : start + 4]

    return Images(PIXELS.shape, chunks)


def refuse() -> Images:
    raise AssertionError("built twice")


@pytest.mark.parametrize("limit", [PIXELS.size, PIXELS.size - 1])
def test_memory_and_file_hold_the_same(tmp_path: Path, limit: int) -> None:
    images = collect(prepare, key=("x",), cache_dir=tmp_path, limit=limit)
    assert np.array_equal(images.numpy(), PIXELS)
    assert bool(list(tmp_path.rglob("*.npy"))) == (limit < PIXELS.size)


def test_a_file_is_built_once(tmp_path: Path) -> None:
    collect(prepare, key=("x", 1), cache_dir=tmp_path, limit=0)
    assert np.array_equal(collect(refuse, key=("x", 1), cache_dir=tmp_path, limit=0).numpy(), PIXELS)
    with pytest.raises(AssertionError, match="built twice"):
        collect(refuse, key=("x", 2), cache_dir=tmp_path, limit=0)


def test_what_killed_processes_left_is_swept_by_the_next_build(tmp_path: Path) -> None:
    left, foreign = tmp_path / "images" / ".other.npy.a1b2.part", tmp_path / "images" / "mine.part"
    left.parent.mkdir()
    for path in (left, foreign):
        path.write_bytes(b"half")
    collect(prepare, key=("x",), cache_dir=tmp_path, limit=0)
    assert (left.exists(), foreign.exists()) == (False, True)


def test_the_file_cannot_be_changed_through_the_tensor(tmp_path: Path) -> None:
    collect(prepare, key=("x",), cache_dir=tmp_path, limit=0).zero_()
    again = collect(refuse, key=("x",), cache_dir=tmp_path, limit=0)
    assert torch.equal(again, torch.from_numpy(PIXELS))


def test_more_than_memory_is_mapped_for_reading_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collect(prepare, key=("x",), cache_dir=tmp_path, limit=0)
    granted, asked = mmap.mmap, []

    def refuse_copies(*arguments: int, access: int) -> mmap.mmap:
        asked.append(access)
        if access == mmap.ACCESS_COPY:
            raise OSError(12, "Cannot allocate memory")
        return granted(*arguments, access=access)

    monkeypatch.setattr(mmap, "mmap", refuse_copies)
    images = collect(refuse, key=("x",), cache_dir=tmp_path, limit=0)
    assert np.array_equal(images.numpy(), PIXELS)
    assert asked == [mmap.ACCESS_COPY, mmap.ACCESS_READ]


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def chunks() -> Iterator[np.ndarray]:
        yield PIXELS[:4]
        raise DataError("bad file")

    with pytest.raises(DataError, match="bad file"):
        collect(lambda: Images(PIXELS.shape, chunks), key=("x",), cache_dir=tmp_path, limit=0)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    assert np.array_equal(collect(prepare, key=("x",), cache_dir=tmp_path, limit=0).numpy(), PIXELS)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"got 0\.0 GB; make room, set GLASSBIT_CACHE"):
        collect(prepare, key=("x",), cache_dir=tmp_path, limit=0)


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"must be writable; got: .*set GLASSBIT_CACHE"):
        collect(prepare, key=("x",), cache_dir=tmp_path / "file", limit=0)


def build(folder: Path) -> None:
    def chunks() -> Iterator[np.ndarray]:
        with (folder / "builds").open("a") as file:
            file.write("x")
        yield PIXELS

    collect(lambda: Images(PIXELS.shape, chunks), key=("x",), cache_dir=folder, limit=0)


def test_processes_wait_for_the_one_that_builds(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=build, args=(tmp_path,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert (tmp_path / "builds").read_text() == "x"
