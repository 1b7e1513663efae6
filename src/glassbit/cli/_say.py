"""Lines for the person in front of the terminal: results on stdout, everything else on stderr."""

from __future__ import annotations

import importlib
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import TextIO

from glassbit._errors import GlassbitWarning
from glassbit._text import bounded, excerpt, printable

_FORMAT = warnings.formatwarning


def line(text: object = "", *, keep: str = "") -> None:
    """Print a line of the result on stdout. Control characters are escaped, in names and paths too.

    Args:
        text: of the line.
        keep: characters that stay as they are; the ends of lines, for a text of several.
    """
    print(printable(text, keep=keep), flush=True)


def block(text: str) -> None:
    """Print a message on stderr. Control characters are escaped, except line ends; long words are cut."""
    print(printable(bounded(text), keep="\n"), file=sys.stderr, flush=True)


def warn(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
    *,
    speak: Callable[[object], str] = str,
) -> None:
    """Show a warning: our own as a sentence in the words of the command, others as Python does."""
    if not issubclass(category, GlassbitWarning):
        text = printable(bounded(_FORMAT(_shown(message), category, filename, lineno, line)), keep="\n\t")
        (file or sys.stderr).write(text)
    elif is_first_process():
        block(f"note: {speak(message)}")


def _shown(message: Warning | str) -> str:
    """Return the text of a warning that may be anybody's."""
    try:
        return excerpt(message, 2000, keep="\n\t")
    except Exception:  # noqa: BLE001 (a user's warning may raise anything)
        return "its text cannot be shown"


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, left: int = 1, total: Sequence[str] | None = None
) -> list[str]:
    """Aligned lines.

    Args:
        heads: of the columns.
        rows: the cells.
        left: that many columns are aligned left, the others right.
        total: a last row below a rule.
    """
    cells = [list(heads), *map(list, rows), *([list(total)] if total else [])]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = [
        "  ".join(
            f"{cell:<{width}}" if i < left else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    rule = "  ".join("-" * width for width in widths)
    lines.insert(1, rule)
    if total:
        lines.insert(-1, rule)
    return lines


def silence_libraries() -> None:
    """Keep what Fabric says about its processes off the terminal; its import, which turns it on, comes first."""
    importlib.import_module("lightning_fabric")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def command_line() -> str:
    """Return what was called, for the record."""
    return shlex.join(["glassbit", *sys.argv[1:]])


def is_first_process() -> bool:
    """Whether this is the process that speaks, of those that train one network together."""
    return all(os.environ.get(name, "0") == "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
