"""What a YAML file may not do before it is read: be huge or nested deeply, or repeat itself through aliases."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

LARGEST = 2**16
"""Characters of a file."""
_DEPTH, _EVENTS, _SCALAR = 40, 10_000, 1000
_OPENING, _CLOSING = "[{", "]}"


def yaml_problem(text: str) -> str | None:
    """Return what is wrong with a text, with its line; None if nothing is.

    Recipes are short and flat. Aliases could make a few lines stand for billions, or a list contain itself.

    Raises:
        ruamel.yaml.error.YAMLError: it is no YAML.
    """
    from ruamel.yaml import YAML

    if len(text) > LARGEST:
        return f"must have at most {LARGEST} characters; got {len(text)}; delete what it does not need"
    deep = _deep_line(text)
    if deep is not None:
        return f"line {deep}: must be nested at most {_DEPTH} times; got more; make it flatter"
    return _of_the_events(YAML(typ="rt").parse(text))


def _deep_line(text: str) -> int | None:
    """Return the line with far too many open brackets, or `- - -`: a parser's time grows with the square of them."""
    depth = 0
    for number, line in enumerate(text.splitlines(), 1):
        for char in line:
            depth += (char in _OPENING) - (char in _CLOSING)
        leading = line[: len(line) - len(line.lstrip("-?: \t"))]
        if depth > 2 * _DEPTH or sum(char in "-?:" for char in leading) > 2 * _DEPTH:
            return number
    return None


def _of_the_events(events: Iterable[Any]) -> str | None:
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, ScalarEvent

    opened: list[tuple[str | None, int]] = []
    sizes: dict[str, int] = {}
    total = 0
    for event in events:
        line = f"line {event.start_mark.line + 1}: "
        total += 1
        if isinstance(event, AliasEvent):
            if event.anchor in [anchor for anchor, _ in opened]:
                return f"{line}must not contain itself; got *{event.anchor[:60]}; write the value"
            total += sizes.get(event.anchor, 0)
        if isinstance(event, CollectionStartEvent | ScalarEvent) and event.tag and str(event.tag) != "!":
            return f"{line}must not have a tag; got {str(event.tag)[:60]!r}; delete it"
        if isinstance(event, ScalarEvent):
            if len(event.value) > _SCALAR:
                return f"{line}a value must have at most {_SCALAR} characters; got {len(event.value)}; shorten it"
            if event.anchor:
                sizes[event.anchor] = 1
        if isinstance(event, CollectionStartEvent):
            opened.append((event.anchor, total))
        if isinstance(event, CollectionEndEvent) and opened:
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = total - before
        if len(opened) > _DEPTH:
            return f"{line}must be nested at most {_DEPTH} times; got more; make it flatter"
        if total > _EVENTS:
            return f"{line}must have at most {_EVENTS} keys and values, aliases included; got more; shorten it"
    return None
