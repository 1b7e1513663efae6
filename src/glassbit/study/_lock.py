"""One process at a time in a folder; the lock dies with its holder, however that ends."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from glassbit._errors import RunError
from glassbit._files import writing

from ._process import LOCK


@contextmanager
def locked(folder: Path, *, wait: float = 5.0) -> Iterator[None]:
    """Hold the lock of `folder` inside the block; without effect on Windows.

    Args:
        folder: made when missing.
        wait: seconds to wait for a holder that is just ending.

    Raises:
        RunError: another process holds it, or the storage has no locks.
        DiskError: the folder cannot be made or written to.
    """
    file = _opened(folder)
    try:
        if sys.platform == "win32":
            yield
            return
        import fcntl

        until = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(file.fileno()).st_nlink:
                    break
                file.close()  # its holder removed the folder of a failed run
                file = _opened(folder)
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise RunError(
                        f"{folder}: must not be in use, but another process is working in it; wait, or choose another"
                    ) from None
                time.sleep(0.1)
            except OSError as error:
                raise RunError(
                    f"{folder}: must be on storage with file locks, and this has none ({error.strerror}); mount it "
                    "with them (`flock`), or choose another"
                ) from error
        yield
    finally:
        file.close()


def _opened(folder: Path) -> TextIO:
    with writing(folder / LOCK):
        folder.mkdir(parents=True, exist_ok=True)
        return (folder / LOCK).open("w")
