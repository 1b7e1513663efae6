"""A page of its own on one network or on two, and the same as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from glassbit._files import write_text

from ._table import Table


def markdown_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    return Table("", (), (), tuple(titles), tuple(map(tuple, rows))).markdown()


def one_line(text: str) -> str:
    """Return a name that cannot break out of a heading or a list.

    >>> one_line("a\\n# b")
    'a # b'
    """
    return " ".join(text.split())


def write_both(folder: Path, name: str, *, markdown: Sequence[str], page: str) -> tuple[Path, Path]:
    """Write `name.md`, its blocks apart by empty lines, and `name.html`."""
    texts, html = folder / f"{name}.md", folder / f"{name}.html"
    write_text(texts, "\n\n".join(block.rstrip("\n") for block in markdown if block) + "\n")
    write_text(html, page)
    return texts, html
