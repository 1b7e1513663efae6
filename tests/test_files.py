"""Files are whole or absent, also where the disk is full or a writer was killed; left-overs are swept."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from glassbit import _files, runs
from glassbit._errors import DiskError, GlassbitError, RunError, UnreadableError
from glassbit._files import (
    LARGEST,
    append_line,
    check_file,
    check_folder,
    read_json,
    read_lines,
    read_object,
    replacing,
    sweep,
    write_json,
    write_text,
)

WRITER = """
import sys, time
from pathlib import Path
from glassbit._files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    time.sleep(100)
"""
posix = pytest.mark.skipif(sys.platform == "win32", reason="locks and signals of POSIX")


def parts(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.endswith(".part")]


@posix
def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        write_text(path, "whole")
        sweep(tmp_path)
        assert len(parts(tmp_path)) == 1
        writer.send_signal(signal.SIGKILL)
    assert len(parts(tmp_path)) == 1
    write_text(tmp_path / "other.json", "whole")  # of another file: not its business
    assert len(parts(tmp_path)) == 1
    write_text(path, "again")
    assert parts(tmp_path) == []
    assert path.read_text() == "again"


def test_a_folder_of_ours_is_swept_of_every_left_over_and_of_nothing_else(tmp_path: Path) -> None:
    for name in (".last.pt.x.part", ".log.y.part", "download.part", ".hidden", "kept.txt"):
        (tmp_path / name).write_text("half")
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "download.part", "kept.txt"]
    sweep(tmp_path / "absent")


def test_without_locks_a_left_over_stays_for_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "_lock", lambda handle: None)
    new, old = tmp_path / ".a.new.part", tmp_path / ".a.old.part"
    for path, age in ((new, 60), (old, 25 * 3600)):
        path.write_text("half")
        os.utime(path, (time.time() - age,) * 2)
    sweep(tmp_path)
    assert parts(tmp_path) == [".a.new.part"]


def test_a_file_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, seen = _files._lock, []

    def late(handle: int) -> bool | None:
        if not seen:
            seen.append(handle)
            for path in tmp_path.glob(".*.part"):
                path.unlink()
        return lock(handle)

    if sys.platform == "win32":
        pytest.skip("an open file cannot be removed there")
    monkeypatch.setattr(_files, "_lock", late)
    write_text(tmp_path / "a.txt", "whole")
    assert (tmp_path / "a.txt").read_text() == "whole"
    assert parts(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (errno.ENOSPC, "the disk is full; make room, and call again"),
        (errno.EDQUOT, "the quota is used up; make room, and call again"),
        (errno.EACCES, "permission denied; allow writing there, or choose another folder"),
        (errno.EROFS, "the disk is read-only; choose another folder"),
        (errno.EIO, f"{os.strerror(errno.EIO)}; choose another folder"),
    ],
)
def test_a_disk_that_refuses_is_named_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, text: str
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    write_text(tmp_path / "a.json", "before")
    monkeypatch.setattr("os.fsync", refuse)
    for write in (lambda path: write_json(path, 1), lambda path: append_line(path, 1)):
        path = tmp_path / "a.json"
        with pytest.raises(DiskError) as caught:
            write(path)
        assert str(caught.value) == f"{path}: must be writable; got: {text}"
        assert (caught.value.errno, caught.value.filename) == (number, str(path))
        assert isinstance(caught.value, GlassbitError)
    assert (tmp_path / "a.json").read_text().startswith("before")
    assert parts(tmp_path) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_disk_in_the_middle_of_writing(tmp_path: Path) -> None:
    def write() -> None:
        with replacing(tmp_path / "a.npz"), Path("/dev/full").open("w") as full:
            full.write("x")
            full.flush()

    with pytest.raises(DiskError, match=r"a.npz: must be writable; got: the disk is full"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_place_of_a_file_and_a_file_in_that_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(DiskError, match=r"taken: must be writable; got: a folder is in its place; delete or rename it"):
        write_text(tmp_path / "taken", "text")
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"file/a: must be writable; got: a (part of its path|file is in the place)"):
        write_text(tmp_path / "file" / "a", "text")
    with pytest.raises(DiskError, match="the name is too long; choose a shorter one"):
        write_text(tmp_path / ("a" * 250), "text")


def test_an_error_about_another_file_goes_through(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="photo"), replacing(tmp_path / "a"):
        (tmp_path / "photo").read_bytes()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("read", [read_json, read_lines])
def test_json_that_is_nested_too_deeply_is_no_json(tmp_path: Path, read) -> None:
    (tmp_path / "a").write_text("[" * 100_000 + "\n")
    with pytest.raises(ValueError, match="nested too deeply"):
        read(tmp_path / "a")


def test_a_folder_is_looked_at_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    check_folder(tmp_path / "a" / "b")
    check_file(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()
    for place in ("file", "gone"):
        with pytest.raises(DiskError, match=rf"{place}: must be writable; got: a file is in the place of its folder"):
            check_folder(tmp_path / place)
        with pytest.raises(
            DiskError, match=r"a/b: must be writable; got: a part of its path is a file; choose another"
        ):
            check_folder(tmp_path / place / "a" / "b")
        with pytest.raises(DiskError, match=r"must be writable; got: a (part of its path|file is in the place)"):
            check_file(tmp_path / place / "model.onnx")
    with pytest.raises(DiskError, match="a folder is in its place; delete or rename it"):
        check_file(tmp_path)
    with pytest.raises(DiskError, match="the name is too long; choose a shorter one"):
        check_folder(tmp_path / ("a" * 300))


def test_a_folder_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    with pytest.raises(
        DiskError, match="must be writable; got: permission denied; allow writing there, or choose another"
    ):
        check_folder(tmp_path / "a")


@pytest.mark.parametrize("name", ["run.json", "log.jsonl"])
def test_a_huge_file_is_not_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    os.truncate(path, 5 * 2**30)
    text = rf"{name}.*; got: it has {5 * 2**30} bytes; at most {LARGEST} are read; repair it"
    with pytest.raises(RunError, match=text):
        runs.read_log(path, repair="repair it") if name == "log.jsonl" else read_object(path, "repair it")


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "run.json").write_text("{}")

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnreadableError, match=r"run\.json: must be readable; got: Permission denied; allow it"):
        read_object(tmp_path / "run.json", "repair it")
