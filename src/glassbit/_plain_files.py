"""Files that may come from anywhere: nothing but a plain file is opened."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ._errors import ArtifactError


def no_file(path: Path) -> str | None:
    """Why `path` cannot be read as a file, without opening it; None where it can."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if not path.is_symlink():
            return error.strerror or str(error)
        return f"a link to {'itself' if error.errno == errno.ELOOP else 'nothing'}; repair or remove it"
    except ValueError as error:  # a NUL
        return str(error)
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "a folder, where a file is needed"
    return "a pipe, socket or device, which is not opened; remove it"


def read_network(path: Path, *, kind: str, most: int) -> bytes:
    """The content of a network file, which may come from anywhere; nothing but a plain file is opened.

    Args:
        path: the file.
        kind: what such files are called, in the plural.
        most: bytes of one.

    Raises:
        ArtifactError: it cannot be read, or is too large.
    """
    problem = no_file(path)
    if problem is not None:
        raise ArtifactError(f"{path}: cannot be read: {problem}")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise ArtifactError(f"{path}: {kind} have at most {most} bytes; got {size}")
            return file.read(size)
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read: {error.strerror}") from error
