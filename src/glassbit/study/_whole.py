"""Whether a folder is a run's own, and whether what a finished run left there is whole."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import Any

from glassbit._errors import RunError, UsageError
from glassbit._files import read_json, read_lines
from glassbit._text import listed
from glassbit.recipe import RunRecipe
from glassbit.train import load_checkpoint

from ._deployed import ARTIFACT
from ._process import BEGUN, LOCK
from ._state import trained_model

_RUN = (
    *BEGUN, "last.pt", "best.pt", "deployed.pt", "result.json", ARTIFACT, "transparency.*",
    "transparency.html", "report.html", "tables", "figures", "explain", "explain.npz", ".*.part",
)  # fmt: skip
_STUDY = (
    LOCK, "study.json", "runs", "probes*.npz", "agreement.json", "report.html", "tables", "figures", ".seen-*",
    ".*.part",
)  # fmt: skip
_SHOWN = 3


def refuse_foreign(folder: Path, *, study: bool = False) -> None:
    """Refuse a folder that holds anything but what a run, or a study, leaves.

    Raises:
        RunError: it does; the text names some of it.
    """
    if not folder.is_dir() or (folder / ("study.json" if study else "run.json")).is_file():
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
    """The names of what a finished run left and is lost or damaged; nothing where all is whole.

    Checkpoints that are gone altogether, `last.pt` too, were deleted on purpose and are not missed.
    """
    checkpoints: tuple[str, ...] = ("best.pt", "deployed.pt") if run.deploy_epochs else ("best.pt",)
    if not any((folder / name).exists() for name in ("last.pt", *checkpoints)):
        checkpoints = ()
    return (
        *(name for name in checkpoints if not _is_checkpoint(folder / name, run.model.name)),
        *(() if _is_result(folder / "result.json") else ("result.json",)),
        *(() if _is_log(folder / "log.jsonl") else ("log.jsonl",)),
        *((ARTIFACT,) if run.deploy_epochs and checkpoints and not (folder / ARTIFACT).is_file() else ()),
    )


def read_result(folder: Path) -> dict[str, Any]:
    """What `result.json` of a finished run holds.

    Raises:
        RunError: it is lost or damaged.
    """
    if not _is_result(folder / "result.json"):
        raise RunError(
            f"{folder / 'result.json'}: must be the result of a run, and is missing or damaged; call what made the "
            "run again, which makes it anew"
        )
    result: dict[str, Any] = read_json(folder / "result.json")
    return result


def _is_checkpoint(path: Path, trust: str) -> bool:
    try:
        if path.name == "best.pt":
            trained_model(path.parent, trust=trust)
        else:
            load_checkpoint(path)
    except RunError:
        return False
    except UsageError:  # a network of the user's that cannot be imported now
        return True
    return True


def _is_result(path: Path) -> bool:
    """Whether a file holds the numbers of a result that commands print."""
    try:
        found = read_json(path)
        tests = [found["test"], *([found["deployed"]["test"]] if found.get("deployed") else [])]
        numbers = [
            *(test[name] for test in tests for name in ("accuracy", "n")),
            *(found["cost"][name] for name in ("stored_bytes", "bitops")),
            *(found[name] for name in ("best_epoch", "epochs")),
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return all(isinstance(value, int | float) for value in numbers) and isinstance(found["cost"].get("rows"), list)


def _is_log(path: Path) -> bool:
    try:
        lines = read_lines(path)
    except (OSError, ValueError):
        return False
    return bool(lines) and all(isinstance(line, dict) and isinstance(line.get("epoch"), int) for line in lines)
