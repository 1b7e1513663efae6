"""Files that are either whole or absent, whatever happens while they are written."""

from __future__ import annotations

import errno
import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ._errors import DiskError, RunError, UnreadableError
from ._plain_files import read_plain

LARGEST = 2**28
"""Bytes of a JSON or JSON-lines file."""
_SUFFIX = ".part"
_DIGITS = 1000
_OLD = 24 * 3600.0
"""Seconds after which a half-written file is nobody's, on storage that cannot tell whether its writer lives."""
_REPAIRS = {
    errno.ENOSPC: "the disk is full; make room, and call again",
    errno.EDQUOT: "the quota is used up; make room, and call again",
    errno.EFBIG: "the file is larger than this system allows; raise the limit (`ulimit -f`), or choose another disk",
    errno.EACCES: "permission denied; allow writing there, or choose another folder",
    errno.EPERM: "permission denied; allow writing there, or choose another folder",
    errno.EROFS: "the disk is read-only; choose another folder",
    errno.EISDIR: "a folder is in its place; delete or rename it",
    errno.ENOTDIR: "a part of its path is a file; choose another folder",
    errno.EEXIST: "a file is in the place of its folder; choose another folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`. It becomes `path` on success and is removed on failure.

    The content is flushed to the disk before the (atomic) rename, so a kill or a power cut leaves the old file or the
    new one. What a killed process left of the same file is removed.

    Args:
        path: the file to create or to replace; its folder is made when missing.

    Raises:
        DiskError: it cannot be written; the text names it.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent, path.name)
        handle, temporary = _temporary(path)
    try:
        with writing(path, temporary):
            yield temporary
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        if handle is not None:
            os.close(handle)
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let an `OSError` inside the block say which file could not be written, why, and what to do.

    Args:
        path: what is written.
        temporary: what stands for it meanwhile.

    Raises:
        DiskError: in the place of an OSError about `path`; one about another file goes through.
    """
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        ours = {str(place) for place in (path, temporary, *path.parents) if place is not None}
        named = error.filename is not None and str(error.filename) not in ours
        if named and not str(error.filename).endswith(_SUFFIX):
            raise
        why = error.strerror or str(error) or type(error).__name__
        reason = _REPAIRS.get(error.errno or 0, f"{why}; choose another folder")
        error_of_ours = DiskError(f"{path}: must be writable; got: {reason}")
        error_of_ours.errno, error_of_ours.filename = error.errno, str(path)
        raise error_of_ours from error


def check_folder(folder: Path) -> None:
    """Refuse, before any work, a folder that files cannot be written into; it is made when the first one is.

    Raises:
        DiskError: it, or a part of its path, is a file, a link to nothing, or not to be written to.
    """
    with writing(folder):
        for place in (folder, *folder.parents):
            try:
                mode = place.stat().st_mode
            except FileNotFoundError:
                if not place.is_symlink():
                    continue
                mode = 0
            number = errno.EACCES
            if not stat.S_ISDIR(mode):
                number = errno.EEXIST if place == folder else errno.ENOTDIR
            elif os.access(place, os.W_OK | os.X_OK):
                return
            raise OSError(number, os.strerror(number), str(place))


def check_file(path: Path) -> None:
    """Refuse, before any work, a file that cannot be written.

    Raises:
        DiskError: a folder is in its place, or its folder cannot be made or written to.
    """
    with writing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        check_folder(path.parent)


def sweep(folder: Path, name: str | None = None) -> None:
    """Remove the half-written files in `folder` whose writers are gone.

    A writer holds a lock on its file, which ends with it; where there are no such locks, a file is left for a day.

    Args:
        folder: not its subfolders.
        name: only those that were to become this file; None for all, in a folder that is Glassbit's own.
    """
    prefix = "." if name is None else f".{name}."
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if path.name.startswith(prefix) and path.name.endswith(_SUFFIX) and _is_left(path):
                path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` (UTF-8) to `path` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON to `path` atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        OSError: it cannot be read, or is larger than `LARGEST`.
        ValueError: it is none, or nested too deeply.
    """
    return _parsed(read_plain(path, most=LARGEST).decode())


def read_object(path: Path, repair: str) -> dict[str, Any]:
    """Read a JSON object of a run or a study.

    Args:
        path: the file.
        repair: ends the message.

    Raises:
        UnreadableError: it cannot be read now.
        RunError: it is no JSON object.
    """
    try:
        value = read_json(path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_kept_back(error):
            raise UnreadableError(f"{path}: must be readable; got: {error.strerror}; allow it") from error
        raise RunError(f"{path}: must be readable JSON; got: {json_fault(error)}; {repair}") from error
    if not isinstance(value, dict):
        raise RunError(f"{path}: must hold a JSON object; got {type(value).__name__}; {repair}")
    return value


def is_kept_back(error: OSError) -> bool:
    """Whether a file that could not be read is there and may be whole: permission denied, say, or a disk that fails."""
    return error.errno not in (None, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EINVAL, errno.EFBIG)


def whole_number(text: str) -> int:
    """Return a whole number of a JSON text that may come from anywhere, for `parse_int` of `json.loads`.

    Raises:
        ValueError: it has more digits than any number of ours.
    """
    if len(text) > _DIGITS:
        raise ValueError(f"a number must have at most {_DIGITS} digits; got {len(text)}")
    return int(text)


def json_fault(error: Exception) -> str:
    """Return where a file stops being JSON, e.g. `line 3, column 7`."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is no UTF-8 text"
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)


def append_line(path: Path, value: Any) -> None:
    """Append `value` to the JSON-lines file `path`, one line, flushed to the disk."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(value, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def read_lines(path: Path) -> list[Any]:
    """Read a JSON-lines file; a last line that a kill cut short is left out, a missing file is empty.

    Raises:
        OSError: it cannot be read, or is larger than `LARGEST`.
        ValueError: a line is not JSON.
    """
    if not path.exists():
        return []
    text = read_plain(path, most=LARGEST).decode()
    whole = text[: text.rfind("\n") + 1]
    return [_parsed(line) for line in whole.splitlines()]


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, parse_int=whole_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _temporary(path: Path) -> tuple[int | None, Path]:
    """Return a new file for `path` and the handle that locks it; no handle on Windows, where open files cannot move."""
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_SUFFIX)
        if sys.platform == "win32":
            os.close(handle)
            return None, Path(name)
        _lock(handle)
        if os.fstat(handle).st_nlink:  # else it was swept before it was locked
            return handle, Path(name)
        os.close(handle)


def _lock(handle: int) -> bool | None:
    """Lock an open file: whether it was free, or None where there are no locks."""
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_left(path: Path) -> bool:
    """Whether the writer of a half-written file is gone."""
    try:
        handle = os.open(path, os.O_RDWR)
        try:
            free = _lock(handle)
        finally:
            os.close(handle)
        return time.time() - path.stat().st_mtime > _OLD if free is None else free
    except OSError:
        return False
