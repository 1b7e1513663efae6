"""Help texts, pinned. After a wanted change: WRITE_SNAPSHOTS=1 pytest tests/cli/test_help.py, then read the diff."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from glassbit.cli._main import application
from glassbit.cli._texts import COMMANDS, DATA_COMMANDS

SNAPSHOTS = Path(__file__).parent / "snapshots"
PAGES = ["", *COMMANDS, *(f"data {name}" for name in DATA_COMMANDS)]
WIDTH = 88


def page(command: str) -> str:
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, color_system=None, force_terminal=False, legacy_windows=False)
    application()([*command.split(), "--help"], console=console)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines()) + "\n"


@pytest.mark.parametrize("command", PAGES, ids=lambda command: command or "glassbit")
def test_help_is_pinned(command):
    path = SNAPSHOTS / f"{command.replace(' ', '-') or 'glassbit'}.txt"
    if os.environ.get("WRITE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(page(command), encoding="utf-8")
    assert page(command) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", PAGES, ids=lambda command: command or "glassbit")
def test_help_shows_examples(command):
    assert "Examples:\n  # " in page(command)
    assert f"  glassbit {command}".rstrip() in page(command)
