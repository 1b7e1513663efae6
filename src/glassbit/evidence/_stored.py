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

from glassbit._errors import RunError
from glassbit._files import json_fault, read_json, replacing, write_text

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
        RunError: a file is missing, foreign, damaged, of another version, or not of the same time as the other.
    """
    path = folder / f"{name}.json"
    try:
        summary = read_json(path)
        data = (folder / f"{name}.npz").read_bytes()
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise RunError(f"{folder}: must hold {name}.json and {name}.npz; no {missing}; {again}") from error
    except OSError as error:
        raise RunError(f"{error.filename}: must be readable; got: {error.strerror}; {again}") from error
    except ValueError as error:
        raise RunError(f"{path}: must be readable JSON, and is not ({json_fault(error)}); {again}") from error
    if not isinstance(summary, dict) or summary.get("format") != f"glassbit-{name}":
        found = summary.get("format") if isinstance(summary, dict) else type(summary).__name__
        raise RunError(f"{path}: its format must be 'glassbit-{name}'; got {str(found)[:80]!r}; {again}")
    if summary.get("version") != version:
        raise RunError(
            f"{path}: format version {str(summary.get('version'))[:80]}; this Glassbit reads version {version}; update "
            f"Glassbit, or {again}"
        )
    if summary.get("arrays") != hashlib.sha256(data).hexdigest():
        raise RunError(f"{folder}: {name}.npz is damaged, or not of the same time as {name}.json; {again}")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return summary, {key: file[key] for key in file.files}
    except Exception as error:
        raise RunError(f"{folder / name}.npz: must hold arrays, and is damaged; {again}") from error


def number(value: float) -> float | None:
    """A number for JSON, which has no NaN: None."""
    return None if math.isnan(value) else float(value)


def from_number(value: float | None) -> float:
    """What `number` made; None is NaN."""
    return math.nan if value is None else float(value)


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
