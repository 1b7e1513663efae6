"""Progress where nobody draws a bar."""

from __future__ import annotations

import sys

import pytest

from glassbit._progress import bar


@pytest.mark.parametrize(
    ("total", "size", "line"),
    [(None, False, "maps\n"), (12345, False, "maps (12,345)\n"), (12_300_000, True, "maps (12.3 MB)\n")],
)
def test_without_a_terminal_one_line_says_what_begins(total, size, line, capsys):
    with bar("maps", total, show=True, size=size) as advance:
        assert capsys.readouterr() == ("", line)
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_it_can_be_silent(capsys):
    with bar("maps", 3, show=False) as advance:
        advance(1)
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_it_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with bar("maps", 3, show=True) as advance:
        advance(3)
    out, err = capsys.readouterr()
    assert out == ""
    assert "maps (3)" not in err
