"""YAML as plain values, with the line of every key."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

from glassbit._errors import RecipeError, UsageError
from glassbit._files import json_fault
from glassbit._text import brief

from ._problems import Path as Keys
from ._yaml_limits import LARGEST, yaml_problem

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
"""What YAML does not allow in a file."""


def read_text(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UsageError: it is not readable UTF-8, or far too large.
    """
    try:
        if not path.is_file():
            raise UsageError(f"{path}: must be a file; got {'a folder' if path.is_dir() else 'none that can be read'}")
        size = path.stat().st_size
        if size > 4 * LARGEST:
            raise UsageError(f"{path}: must have at most {4 * LARGEST} bytes; got {size}; delete what it does not need")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: must be a readable UTF-8 text file; got: {json_fault(error)}") from error


def yaml_values(text: str, source: str, *, example: str = "name: my-study") -> tuple[dict[str, Any], dict[Keys, int]]:
    """Plain values and the line (from 1) of every key and item.

    Args:
        text: the YAML.
        source: what errors call it.
        example: a key of such a file.

    Raises:
        RecipeError: the text is no YAML mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    odd_line = next((i for i, line in enumerate(text.split("\n"), 1) if _CONTROL.search(line)), None)
    if odd_line is not None:
        control = _CONTROL.search(text)
        assert control is not None
        raise RecipeError(
            source, [f"line {odd_line}: must be text that can be read; got {brief(control[0])}; delete the character"]
        )
    try:
        wrong = yaml_problem(text)
        if wrong is not None:
            raise RecipeError(source, [wrong])
        tree = YAML(typ="rt").load(text)
    except RecipeError:
        raise
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1
        twice = str(error.problem).split(" with value")[0].removeprefix("found ")
        raise RecipeError(
            source, [f"line {line}: keys must be different; got a {twice}; delete one of the two"]
        ) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise RecipeError(
            source, [f"{where}must be valid YAML; got: {error.problem or error.context}; check indentation and colons"]
        ) from error
    except YAMLError as error:
        reason = " ".join(str(error).split())
        raise RecipeError(source, [f"must be valid YAML; got: {reason}; correct it"]) from error
    except Exception as error:  # a date that is none, a number without an end: the parser lets anything through
        text = f"must hold readable values; got one that is not ({error}); put it in quotes, or correct it"
        raise RecipeError(source, [text]) from error
    lines: dict[Keys, int] = {}
    odd: list[str] = []
    values = _plain(tree, (), lines, odd)
    if odd:
        raise RecipeError(source, odd)
    if not isinstance(values, dict):
        raise RecipeError(
            source,
            [f"must be a mapping; got {'nothing' if values is None else 'no mapping'}; write keys, e.g. `{example}`"],
        )
    return values, lines


def _plain(node: Any, path: Keys, lines: dict[Keys, int], odd: list[str]) -> Any:
    """Plain values; what is neither text nor number, true, false, null, list or mapping goes to `odd`."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarbool import ScalarBoolean
    from ruamel.yaml.scalarfloat import ScalarFloat
    from ruamel.yaml.scalarint import ScalarInt

    if isinstance(node, CommentedMap):
        for key in node:
            lines[(*path, str(key))] = node.lc.key(key)[0] + 1 if key in (node.lc.data or {}) else lines.get(path, 1)
            if not isinstance(key, str):
                odd.append(
                    f"{place((*path, str(key)), lines)}: keys must be text; got {brief(key, 60)}; put it into quotes"
                )
        return {str(key): _plain(value, (*path, str(key)), lines, odd) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        for i in range(len(node)):
            lines[(*path, i)] = node.lc.item(i)[0] + 1
        return [_plain(value, (*path, i), lines, odd) for i, value in enumerate(node)]
    for kind, plain in ((ScalarBoolean, bool), (ScalarFloat, float), (ScalarInt, int), (str, str)):
        if isinstance(node, kind):
            return plain(node)
    if not isinstance(node, bool | int | float | None):
        odd.append(f"{place(path, lines)}: must be text or a number; got {_shown(node)}; put it into quotes")
    return node


def _shown(node: Any) -> str:
    """Return the text for a YAML value that is neither text nor number."""
    return f"the date {node}" if isinstance(node, date) else brief(node, 60)


def place(path: Keys, lines: dict[Keys, int]) -> str:
    """`line N: a.b[2]`; a list of one that was written without brackets has no index."""
    shown = ""
    written: Keys = ()
    line: int | None = None
    for part in path:
        if (*written, part) not in lines and part == 0:
            continue
        written = (*written, part)
        line = lines.get(written, line)
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    if shown.endswith(".name") and written not in lines:
        shown = shown.removesuffix(".name")
    return f"line {line if line is not None else 1}: {shown or 'recipe'}"


def line_number(problem: str) -> int:
    """Return the line that a problem begins with."""
    return int(problem.removeprefix("line ").partition(":")[0])
