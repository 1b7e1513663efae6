"""Locks between processes. A lock ends with the process that holds it, however that process ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

FOREVER = -1.0
"""Wait until the lock is free."""


@contextmanager
def locked(file: Path, *, wait: float = FOREVER) -> Iterator[None]:
    """Hold the lock of `file` inside the block.

    The lock is the operating system's. A marker file, which outlives a killed process, is never used instead.

    Args:
        file: made with its folder when missing, and left there.
        wait: seconds to wait for another holder.

    Raises:
        TimeoutError: another process still holds the lock.
        OSError: the file cannot be opened, or its storage has no locks.
    """
    lock = FileLock(file, timeout=wait, poll_interval=0.1, fallback_to_soft=False, preserve_lock_file=True)
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
