"""What every page that Glassbit writes must keep to."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "img", "link", "br", "hr", "input"}


class Checker(HTMLParser):
    """Collects ids, links and unbalanced tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        for key, value in attrs:
            if key == "id":
                self.ids.append(value)
            if key in ("src", "href", "srcset", "action", "data"):
                self.addresses.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "text"):
            self.text.append(data)


def checked_page(path: Path) -> tuple[str, str]:
    """The page and its text: well formed, self-contained, and free of what a program left in it by mistake."""
    page = path.read_text(encoding="utf-8")
    parser = Checker()
    parser.feed(page)
    assert parser.open == []
    assert len(parser.ids) == len(set(parser.ids))
    for address in parser.addresses:
        assert address.startswith(("#", "data:image/png;base64,"))
        assert not address.startswith("#") or address[1:] in parser.ids
    assert not re.search(
        r"https?:|//[a-z]|@import|<script|\bNaN\b|\bNone\b|\bnan\b",
        re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", page),
    )
    return page, re.sub(r"\s+", " ", " ".join(parser.text))
