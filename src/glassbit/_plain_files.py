"""Files that may come from anywhere: nothing but a plain file is opened."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

from ._errors import ArtifactError


def no_file(path: Path) -> str | None:
    """Why `path` cannot be read as a file, without opening it; None where it can."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG or not path.is_symlink():
            return error.strerror or str(error)
        return f"a link to {'itself' if error.errno == errno.ELOOP else 'nothing'}; repair or remove it"
    except ValueError as error:  # a NUL
        return str(error)
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "a folder, where a file is needed"
    return "a pipe, socket or device, which is not opened; remove it"


def open_plain(path: Path, *, most: int | None = None) -> io.BufferedReader:
    """Open a file to read its bytes, if it is a plain one.

    Args:
        path: the file.
        most: bytes that it may have; None for any number.

    Raises:
        OSError: it cannot be opened, is a pipe, socket or device, or is larger; its `strerror` says which.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "a pipe, socket or device, which is not opened", str(path))
    file = path.open("rb")
    size = os.fstat(file.fileno()).st_size
    if most is not None and size > most:
        file.close()
        raise OSError(errno.EFBIG, f"it has {size} bytes; at most {most} are read", str(path))
    return file


def read_plain(path: Path, *, most: int) -> bytes:
    """Read the bytes of a plain file, of which there may be at most `most`.

    Raises:
        OSError: see `open_plain`.
    """
    with open_plain(path, most=most) as file:
        return file.read(os.fstat(file.fileno()).st_size)


def read_network(path: Path, *, kind: str, most: int) -> bytes:
    """Return the content of a network file, which may come from anywhere; nothing but a plain file is opened.

    Args:
        path: the file.
        kind: what such files are called, in the plural.
        most: bytes of one.

    Raises:
        ArtifactError: it cannot be read, or is too large.
    """
    problem = no_file(path)
    if problem is not None:
        got, _, repair = problem.partition("; ")
        raise ArtifactError(f"{path}: must be a readable file; got: {got}; {repair or 'check the path'}")
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise ArtifactError(
                    f"{path}: must have at most {most} bytes, as {kind} have; got {size}; export it again"
                )
            return file.read(size)
    except OSError as error:
        raise ArtifactError(f"{path}: must be a readable file; got: {error.strerror}; allow it") from error
