"""What was measured is in one folder per study, and can be read again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.packed import pack, unpack

RESULTS = Path(__file__).parents[1] / "results"
FOLDERS = sorted(path for path in RESULTS.iterdir() if path.is_dir())


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_every_folder_says_command_and_versions_and_is_listed(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert re.search(r"(glassbit study|python (-m )?benchmarks|make bench)", text)
    assert re.search(r"Python 3\.\d+\.\d+, torch \d", text)
    assert f"({folder.name}/README.md)" in (RESULTS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", sorted(RESULTS.glob("*/runs.jsonl")), ids=lambda path: path.parent.name)
def test_runs_come_back_as_they_were_packed(file: Path, tmp_path: Path) -> None:
    folders = unpack(file, tmp_path / "runs")
    assert {path.name for folder in folders for path in folder.iterdir()} == {"run.json", "result.json", "log.jsonl"}
    assert pack(tmp_path / "runs", tmp_path / "again.jsonl") == len(folders)
    assert (tmp_path / "again.jsonl").read_bytes() == file.read_bytes()
    with pytest.raises(FileExistsError):
        unpack(file, tmp_path / "runs")
