"""The files of a run or a study, looked over before a report believes them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from glassbit._errors import RunError
from glassbit._files import json_fault, read_lines, read_object
from glassbit._text import printable

from ._shape import Epoch, check


def mapping(path: Path, kind: type[BaseModel], repair: str) -> Mapping[str, Any]:
    """A JSON object whose texts are printable.

    Args:
        path: the file.
        kind: a model of `_shape`.
        repair: ends the message.

    Raises:
        RunError: it is not of its kind.
    """
    value: dict[str, Any] = _printable(read_object(path, repair))
    check(kind, value, path, repair)
    return value


def logged(path: Path, repair: str) -> list[Mapping[str, Any]]:
    """The lines of a log; none where there is no file.

    Raises:
        RunError: they are not what a run logs.
    """
    try:
        lines = read_lines(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: must be lines of JSON, and is not ({json_fault(error)}); {repair}") from error
    for line in lines:
        check(Epoch, line, path, repair)
    return lines


def arrays(path: Path, needed: tuple[str, ...]) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file; None where it is missing, damaged, or lacks some of those that are needed."""
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            found = {key: archive[key] for key in archive.files}
    except Exception:  # noqa: BLE001 (what a damaged file makes NumPy raise has no end)
        return None
    return found if all(key in found for key in needed) else None


def _printable(value: Any) -> Any:
    """JSON whose texts can be put on a page: no control characters but ends of lines and tabs."""
    if isinstance(value, str):
        return printable(value, keep="\n\t\u00a0")
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return {printable(key): _printable(item) for key, item in value.items()} if isinstance(value, dict) else value
