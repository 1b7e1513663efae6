"""One process at a time works in a folder."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from glassbit._errors import RunError
from glassbit._files import writing
from glassbit._lock import locked as _locked

from ._process import LOCK

_NONE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What storage without locks answers."""


@contextmanager
def locked(folder: Path, *, wait: float = 5.0) -> Iterator[None]:
    """Hold the lock of `folder` inside the block.

    Args:
        folder: made when missing.
        wait: seconds to wait for a holder that is about to end.

    Raises:
        RunError: another process holds it, or the storage has no locks.
        DiskError: the folder cannot be made or written to.
    """
    file = folder / LOCK
    with ExitStack() as stack:
        with writing(file):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(_locked(file, wait=wait))
            except TimeoutError:
                raise RunError(
                    f"{folder}: must not be in use; got another process working in it; wait, or choose another folder"
                ) from None
            except OSError as error:
                if error.errno not in _NONE:
                    raise
                raise RunError(
                    f"{folder}: must be on storage with file locks; got one without ({error.strerror}); mount it "
                    "with them (`flock`), or choose another folder"
                ) from error
        yield
