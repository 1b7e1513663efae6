"""Going on where a run stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from glassbit._errors import RunError
from glassbit._files import read_lines, write_text

from ._checkpoint import load_checkpoint


def resume(out: Path, model: nn.Module, optimizer: Any, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Load `last.pt` into model and optimizer when there is one, and make the log agree with it."""
    if not (out / "last.pt").exists():
        return []
    saved = load_checkpoint(out / "last.pt")
    decided = saved["settings"].items()
    if saved["epoch"] <= settings["epochs"]:  # nothing of the last phase has happened yet
        decided = {name: value for name, value in decided if not name.startswith("deploy_")}.items()
    found = {name: value for name, value in decided if settings.get(name) != value}
    if found:
        changes = "; ".join(f"{name} was {value!r} and is now {settings.get(name)!r}" for name, value in found.items())
        raise RunError(f"{out}: holds a run with other settings ({changes}); choose another folder, or delete this one")
    try:
        model.load_state_dict(saved["model"])
    except RuntimeError as problem:
        raise RunError(
            f"{out}: holds a run of another network; choose another folder, or delete this one\n{problem}"
        ) from problem
    optimizer.load_state_dict(saved["optimizer"])
    history: list[dict[str, Any]] = saved["history"]
    log = out / "log.jsonl"
    if read_lines(log) != history or not log.read_text(encoding="utf-8").endswith("\n"):
        write_text(log, "".join(json.dumps(record) + "\n" for record in history))
    return history


def finished_epochs(out: Path | None) -> int:
    """How many epochs `last.pt` has seen; 0 where there is none."""
    return int(load_checkpoint(out / "last.pt")["epoch"]) if out and (out / "last.pt").exists() else 0


def best_record(history: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The record with the highest validation accuracy; of equal ones that with the lowest loss, then the first."""
    return max(history, key=_merit, default=None)


def better(record: dict[str, Any], best: dict[str, Any] | None) -> bool:
    """Whether a new record takes the place of the best one so far."""
    return best is None or _merit(record) > _merit(best)


def _merit(record: dict[str, Any]) -> tuple[float, float]:
    held = record["validation"]
    return float(held["accuracy"]), -float(held["loss"])
