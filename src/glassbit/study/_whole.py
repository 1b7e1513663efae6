"""Whether a folder is a run's own, and whether what a finished run left there is whole."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from glassbit._errors import RunError, UnreadableError, UsageError, VersionError
from glassbit._text import listed
from glassbit.recipe import RunRecipe
from glassbit.runs import HEAD, LOG, RESULT, STUDY, Head, Result, read_log
from glassbit.train import load_checkpoint

from ._deployed import ARTIFACT
from ._process import BEGUN, LOCK
from ._state import trained_model

T = TypeVar("T")

_RUN = (
    *BEGUN, "last.pt", "best.pt", "deployed.pt", RESULT, ARTIFACT, "transparency.*",
    "transparency.html", "report.html", "tables", "figures", "explain", "explain.npz", ".*.part",
)  # fmt: skip
_STUDY = (
    LOCK, STUDY, "runs", "probes*.npz", "agreement.json", "report.html", "tables", "figures", ".seen-*",
    ".*.part",
)  # fmt: skip
_SHOWN = 3
_AGAIN = "call what made the run again, which makes it anew"


def refuse_foreign(folder: Path, *, study: bool = False) -> None:
    """Refuse a folder that holds anything but what a run, or a study, leaves.

    Raises:
        RunError: it does; the text names some of it.
    """
    if not folder.is_dir() or (folder / (STUDY if study else HEAD)).is_file():
        return
    known = _STUDY if study else _RUN
    foreign = sorted(
        path.name for path in folder.iterdir() if not any(fnmatch.fnmatchcase(path.name, name) for name in known)
    )
    if foreign:
        raise RunError(
            f"{folder}: must be a new or empty folder, or that of this {'study' if study else 'run'}; got one with "
            f"{listed(map(repr, foreign), most=_SHOWN)}; choose another folder (--out)"
        )


def lost(folder: Path, run: RunRecipe) -> tuple[str, ...]:
    """Return the names of what a finished run left and is lost or damaged; nothing where all is whole.

    Checkpoints that are gone altogether, `last.pt` too, were deleted on purpose and are not missed.
    """
    checkpoints: tuple[str, ...] = ("best.pt", "deployed.pt") if run.deploy_epochs else ("best.pt",)
    if not any((folder / name).exists() for name in ("last.pt", *checkpoints)):
        checkpoints = ()
    return (
        *(name for name in checkpoints if not _is_checkpoint(folder / name, run.model.name)),
        *((RESULT,) if _whole(lambda: read_result(folder)) is None else ()),
        *(() if _whole(lambda: read_log(folder / LOG, repair=_AGAIN)) else (LOG,)),
        *((ARTIFACT,) if run.deploy_epochs and checkpoints and not (folder / ARTIFACT).is_file() else ()),
    )


def read_result(folder: Path) -> Result:
    """Return what `result.json` of a finished run holds.

    Raises:
        VersionError: another version of Glassbit wrote it.
        UnreadableError: it cannot be read now.
        RunError: it is lost or damaged, or of another run.
    """
    try:
        result = Result.read(folder / RESULT, repair=_AGAIN)
    except (UnreadableError, VersionError):
        raise
    except RunError as error:
        raise RunError(
            f"{folder / RESULT}: must be the result of a run; got a missing or damaged file; {_AGAIN}"
        ) from error
    if not (folder / HEAD).is_file():
        return result
    return result.check_of(Head.read(folder / HEAD, repair=_AGAIN), path=folder / RESULT, repair=_AGAIN)


def _is_checkpoint(path: Path, trust: str) -> bool:
    def read() -> object:
        return trained_model(path.parent, trust=trust) if path.name == "best.pt" else load_checkpoint(path)

    try:
        return _whole(read) is not None
    except UsageError:  # a network of the user's that cannot be imported now
        return True


def _whole(read: Callable[[], T]) -> T | None:
    """Return what a function reads; None where it is lost or damaged.

    Raises:
        VersionError, UnreadableError: it may be whole, and cannot be read here or now.
    """
    try:
        return read()
    except (UnreadableError, VersionError):
        raise
    except RunError:
        return None
