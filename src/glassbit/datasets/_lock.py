"""Let one process at a time do a thing; a process that is killed lets go."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glassbit._errors import DataError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process is inside `locked` for the same path; leaves an empty `.lock` file beside it.

    Raises:
        DataError: the folder of `path` cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = path.with_name(f".{path.name}.lock").open("a+b")
    except OSError as error:
        text = f"{path.parent} cannot be written to ({error}): set GLASSBIT_CACHE to a folder that can"
        raise DataError(text) from error
    with handle as file:
        if sys.platform == "win32":
            import msvcrt

            while True:
                try:
                    file.seek(0)
                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                    break
                except OSError:
                    time.sleep(0.1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
