"""Numbers of things, in words."""

from __future__ import annotations

import re
from pathlib import Path

from glassbit._count import counted

SOURCES = Path(__file__).parents[1] / "src" / "glassbit"


def test_one_thing_is_singular():
    assert [counted(number, "image") for number in (0, 1, 2, 1234567)] == [
        "0 images",
        "1 image",
        "2 images",
        "1,234,567 images",
    ]
    assert [counted(number, "class", "classes") for number in (1, 2)] == ["1 class", "2 classes"]


def test_no_text_has_a_plural_in_brackets():
    files = [file for file in SOURCES.rglob("*") if file.suffix in (".py", ".j2", ".yaml")]
    assert len(files) > 200
    found = [str(file) for file in files if re.search(r"\b[a-z]{4,}\(s\)", file.read_text(encoding="utf-8"))]
    assert found == []
