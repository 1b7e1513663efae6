"""A folder's pair of files: JSON for the reader, and the arrays that belong to it."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from glassbit._errors import RunError, UnreadableError
from glassbit._files import is_kept_back, json_fault, read_json, replacing, write_text
from glassbit._npz import read_arrays
from glassbit._plain_files import open_plain
from glassbit._text import excerpt

LARGEST = 2**34
"""Bytes of the arrays of a measurement, most of which are maps."""
_SHOWN = 300
Array = Shaped[np.ndarray, "..."]


def save(folder: Path, name: str, *, version: int, summary: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write `name.npz`, then `name.json`, which holds the digest of the other: two files of different times do not
    pass for one.

    Args:
        folder: made when missing.
        name: of both files.
        version: of their format.
        summary: plain JSON values.
        arrays: of numbers.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
    data = buffer.getvalue()
    head = {"format": f"glassbit-{name}", "version": version, "arrays": hashlib.sha256(data).hexdigest()}
    text = json.dumps({**head, **summary}, indent=2, allow_nan=False)
    with replacing(folder / f"{name}.npz") as temporary:
        temporary.write_bytes(data)
    write_text(folder / f"{name}.json", text + "\n")


def load(folder: Path, name: str, *, version: int, again: str) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read what `save` wrote; nothing in the files is executed.

    Args:
        folder, name, version: as they were given to `save`.
        again: how to get new files, e.g. "measure the run again"; ends every error.

    Raises:
        UnreadableError: a file cannot be read now.
        RunError: a file is missing, foreign, damaged, of another version, or not of the same time as the other.
    """
    path = folder / f"{name}.json"
    try:
        summary = read_json(path)
        with open_plain(folder / f"{name}.npz", most=LARGEST) as file:
            return _checked(folder, name, version, again, summary, file)
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise RunError(f"{folder}: must hold {name}.json and {name}.npz; got no {missing}; {again}") from error
    except OSError as error:
        kind, repair = (UnreadableError, "allow it") if is_kept_back(error) else (RunError, again)
        raise kind(f"{error.filename or folder}: must be readable; got: {error.strerror}; {repair}") from error
    except ValueError as error:
        raise RunError(f"{path}: must be readable JSON; got: {json_fault(error)}; {again}") from error


def _checked(
    folder: Path, name: str, version: int, again: str, summary: Any, file: io.BufferedReader
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the summary and the arrays, where they belong together; see `load`."""
    path = folder / f"{name}.json"
    if not isinstance(summary, dict) or summary.get("format") != f"glassbit-{name}":
        kind = summary.get("format") if isinstance(summary, dict) else type(summary).__name__
        raise RunError(f"{path}: its format must be 'glassbit-{name}'; got {str(kind)[:80]!r}; {again}")
    if summary.get("version") != version:
        raise RunError(
            f"{path}: format version must be {version}; got {str(summary.get('version'))[:80]}; update Glassbit, or "
            f"{again}"
        )
    if summary.get("arrays") != hashlib.file_digest(file, "sha256").hexdigest():
        raise RunError(
            f"{folder}: {name}.npz must be the file that was written with {name}.json; got a damaged or another one; "
            f"{again}"
        )
    try:
        return summary, read_arrays(file, most=LARGEST)
    except ValueError as error:
        raise RunError(f"{folder / name}.npz: must hold arrays; got a damaged file ({error}); {again}") from error


def number(value: float) -> float | None:
    """Return a number for JSON, which has no NaN: None."""
    return None if math.isnan(value) else float(value)


def from_number(value: float | None) -> float:
    """Return what `number` made; None is NaN."""
    return math.nan if value is None else float(value)


def fault(error: Exception) -> str:
    """Return what is wrong with what was read, on one line."""
    text = f"no {error.args[0]}" if isinstance(error, KeyError) and error.args else str(error)
    return excerpt(" ".join(text.split()) or type(error).__name__, _SHOWN)


def check(*facts: tuple[str, bool]) -> None:
    """Refuse a summary of which something does not hold.

    Args:
        facts: a key, and whether its value is what it must be.

    Raises:
        ValueError: with the first key that is wrong.
    """
    for key, holds in facts:
        if not holds:
            raise ValueError(f"{key} is not what it must be")


def are(values: Any, kind: Callable[[Any], bool]) -> bool:
    """Whether they are a list of one kind."""
    return isinstance(values, list) and all(map(kind, values))


def are_of(values: Any, kind: Callable[[Any], bool]) -> bool:
    """Whether they are an object whose values are of one kind."""
    return isinstance(values, dict) and all(map(kind, values.values()))
