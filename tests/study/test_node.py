from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from glassbit.study import _node
from glassbit.study._node import attend, look

VERSION = metadata.version("glassbit")


def test_a_node_that_sees_everything_has_no_problem(tmp_path: Path) -> None:
    (tmp_path / "token").touch()
    assert look(str(tmp_path / "token"), str(tmp_path), VERSION) == ()


def test_a_node_names_everything_that_it_lacks(tmp_path: Path) -> None:
    away = tmp_path / "away"
    assert look(str(tmp_path / "s" / "token"), str(away), "99") == (
        f"must have glassbit 99 installed; got {VERSION}; install that version",
        f"must see the study's folder {tmp_path / 's'}; got no such folder; use storage that every node sees (--out)",
        f"must see the current folder {away}; got no such folder; start the study in a folder that every node sees",
    )


def test_a_node_that_joined_later_and_is_blind_fails_the_run(tmp_path: Path) -> None:
    message, result = attend({"out": str(tmp_path)}, str(tmp_path / "token"), str(tmp_path), None)
    assert message is not None
    assert message.endswith(f"does not see the study's folder {tmp_path}")
    assert result == {}


def trained_by(code: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[str | None, dict[str, Any]]:
    """What `attend` says of a process that executes `code` in place of a run."""

    def begin(job: dict[str, Any], environment: dict[str, str], *, here: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=here)

    monkeypatch.setattr(_node, "begin", begin)
    (tmp_path / "token").touch()
    return attend({"out": str(tmp_path)}, str(tmp_path / "token"), str(tmp_path), "/caches/mine")


def test_the_process_gets_the_cache_and_not_what_slurm_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "2")  # Fabric would wait for the other
    code = "import json, os; json.dump(dict(os.environ), open('result.json', 'w'))"
    message, result = trained_by(code, monkeypatch, tmp_path)
    assert message is None
    assert result["GLASSBIT_CACHE"] == "/caches/mine"
    assert "SLURM_NTASKS" not in result


def test_a_run_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "failure.txt").write_text("tiny.npz: must exist\n\nTraceback")
    assert trained_by("exit(1)", monkeypatch, tmp_path) == ("tiny.npz: must exist", {})


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_killed_process_takes_its_worker_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(_node.os, "kill", lambda *words: killed.append(words))
    trained_by("import os; os.kill(os.getpid(), 9)", monkeypatch, tmp_path)
    assert killed == [(_node.os.getpid(), 9)]
    killed.clear()
    trained_by("import os; os.kill(os.getpid(), 15)", monkeypatch, tmp_path)
    assert killed == []


def test_what_goes_to_a_node_loads_nothing_but_the_standard_library() -> None:
    names = [Path(_node.__file__), Path(_node.__file__).with_name("_process.py")]
    code = (
        "import sys, types, importlib.util as u\n"
        "package = types.ModuleType('glassbit.study'); package.__path__ = []\n"
        "sys.modules |= {'glassbit': types.ModuleType('glassbit'), 'glassbit.study': package}\n"
        f"for path in {[str(path) for path in reversed(names)]}:\n"
        "    name = 'glassbit.study.' + path.rpartition('/')[2][:-3]\n"
        "    spec = u.spec_from_file_location(name, path); module = u.module_from_spec(spec)\n"
        "    sys.modules[name] = module; spec.loader.exec_module(module)\n"
        "foreign = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)\n"
        "import json; print(json.dumps(sorted(foreign)))\n"
    )
    said = subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True).stdout
    assert json.loads(said) == ["__main__", "glassbit"]
