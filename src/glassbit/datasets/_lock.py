"""One process at a time prepares a file of the cache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from glassbit._errors import DataError
from glassbit._lock import locked as _locked


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process is inside `locked` for the same path. An empty `.lock` file stays beside it.

    Raises:
        DataError: the folder of `path` cannot be written to.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(_locked(path.with_name(f".{path.name}.lock")))
        except OSError as error:
            text = f"{path.parent}: must be writable; got: {error}; set GLASSBIT_CACHE to a writable folder"
            raise DataError(text) from error
        yield
