"""One table as two files: CSV with every digit, Markdown as people read it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from glassbit._text import printable
from glassbit.report.numbers import Spread
from glassbit.report.words import NOTHING

_FORMULAS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


@dataclass(frozen=True)
class Table:
    """A table twice: `rows` of numbers for the CSV file, `texts` for the Markdown file."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    titles: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]

    def csv(self) -> str:
        """Comma-separated, a header line, empty where there is no value; text never begins as a formula does."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([["" if value is None else _no_formula(value) for value in row] for row in self.rows])
        return buffer.getvalue()

    def markdown(self) -> str:
        """Return a Markdown table, columns of numbers aligned right."""
        escaped = [[text.replace("|", "\\|").replace("\n", " ") for text in row] for row in (self.titles, *self.texts)]
        numeric = [all(_numeric(row[i]) for row in self.texts) for i in range(len(self.titles))]
        rule = ["---:" if flag else "---" for flag in numeric]
        lines = [escaped[0], rule, *escaped[1:]]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _no_formula(value: Any) -> Any:
    """Text that a spreadsheet would run, behind a quotation mark; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULAS) else text


def pair(value: Spread | None) -> tuple[float | None, float | None]:
    return (None, None) if value is None else (value.mean, value.sd)


def texts(values: Sequence[Any]) -> tuple[str, ...]:
    return tuple(NOTHING if value is None else str(value) for value in values)


def _numeric(text: str) -> bool:
    return text == NOTHING or text[:1].isdigit() or text[:1] == "\u2212"
