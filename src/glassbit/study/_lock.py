"""One process at a time in a folder; the lock dies with its holder, however that ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glassbit._errors import RunError

_NAME = ".lock"


@contextmanager
def locked(folder: Path, *, wait: float = 5.0) -> Iterator[None]:
    """Hold the lock of `folder` inside the block; without effect on Windows.

    Args:
        folder: made when missing.
        wait: seconds to wait for a holder that is just ending.

    Raises:
        RunError: another process holds it, or the storage has no locks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        yield
        return
    import fcntl

    with (folder / _NAME).open("w") as file:
        until = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
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


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written in `folder`; only for who holds its lock."""
    for path in folder.rglob(".*.part"):
        path.unlink(missing_ok=True)
