"""The documents do what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from glassbit.backends import BACKENDS
from glassbit.cli._main import application
from glassbit.cli._texts import COMMANDS, DATA_COMMANDS, ROOT
from glassbit.recipe import parse, parse_policy

HOME = Path(__file__).parents[1]
ROOMS = [HOME / "docs", HOME / "results", HOME / "benchmarks"]
DOCUMENTS = [
    *(HOME / "README.md", HOME / "CONTRIBUTING.md"),
    *(path for room in ROOMS for path in sorted(room.rglob("*.md"))),
]
IDS = [str(path.relative_to(HOME)) for path in DOCUMENTS]


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if blocks(path, "python")], ids=lambda path: path.name)
def test_python_blocks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "document"}
    for number, code in enumerate(blocks(path, "python")):
        exec(compile(code, f"{path.name}, block {number + 1}", "exec"), names)


def test_the_objective_drops_into_a_loop_of_at_most_15_lines():
    first = blocks(HOME / "docs" / "your-own-loop.md", "python")[0]
    assert len([line for line in first.splitlines() if line.strip()]) <= 15
    assert ".total" in first


def commands() -> list[str]:
    found = [command for text in (ROOT, *COMMANDS.values(), *DATA_COMMANDS.values()) for _, command in text.examples]
    for path in DOCUMENTS:
        for block in blocks(path, "sh"):
            found += [line.removeprefix("glassbit ") for line in block.splitlines() if line.startswith("glassbit ")]
    return sorted(set(found))


@pytest.mark.parametrize("command", commands())
def test_commands_are_understood(command):
    words = shlex.split(command, comments=True)
    application().parse_args(words, exit_on_error=False, print_error=False)


def test_every_back_end_is_in_the_table_of_the_document():
    text = (HOME / "docs" / "deploy.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| back end \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert re.findall(r"^\| (.+?) \|", table, re.MULTILINE) == [backend.name for backend in BACKENDS]


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_recipes_are_valid(path):
    for text in blocks(path, "yaml"):
        if text.startswith("accuracy_drop:"):
            parse_policy(text, path.name)
        elif not text.startswith("jobs:"):  # a workflow of GitHub Actions
            parse(text, path.name)


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), target
