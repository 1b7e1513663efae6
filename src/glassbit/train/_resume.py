"""Going on where a run stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from glassbit._errors import RunError
from glassbit._files import read_lines, write_text

from ._checkpoint import load_checkpoint
from ._objective import Objective

_NEWER = {"accumulate": 1, "frozen": []}
"""Settings that older checkpoints do not name, with what stands for them there."""


def last_checkpoint(out: Path | None, settings: dict[str, Any]) -> dict[str, Any] | None:
    """What `last.pt` of a run's folder holds; None where there is none.

    Raises:
        RunError: it is damaged, or of a run with other settings; those of the last phase count once that has begun.
    """
    if out is None or not (out / "last.pt").exists():
        return None
    saved = load_checkpoint(out / "last.pt")
    begun = saved["epoch"] > settings["epochs"]
    found = {
        name: value
        for name, value in (_NEWER | saved["settings"]).items()
        if settings.get(name) != value and (begun or not name.startswith("deploy_"))
    }
    if found:
        changes = "; ".join(f"{name} was {value!r} and is now {settings.get(name)!r}" for name, value in found.items())
        raise RunError(f"{out}: holds a run with other settings ({changes}); choose another folder, or delete this one")
    return saved


def own_state(objective: Objective) -> dict[str, Tensor]:
    """What an objective has beside its network, for a checkpoint."""
    return {name: value for name, value in objective.state_dict().items() if not name.startswith("model.")}


def resume(saved: dict[str, Any], out: Path, objective: Objective, optimizer: Any) -> list[dict[str, Any]]:
    """Load a checkpoint into objective and optimizer, and make the log agree with it; returns its history.

    Raises:
        RunError: it is of another network.
    """
    try:
        network = {f"model.{name}": value for name, value in saved["model"].items()}
        objective.load_state_dict({**network, **saved.get("objective", {})})
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


def best_record(history: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The record with the highest validation accuracy; of equal ones that with the lowest loss, then the first."""
    return max(history, key=_merit, default=None)


def deployed_records(history: list[dict[str, Any]], epochs: int) -> list[dict[str, Any]]:
    """The records in deployed arithmetic, before them one of the network as it was converted after epoch `epochs`."""
    found = history[epochs:]
    return [{"epoch": epochs, "validation": found[0]["converted"]}, *found] if found else []


def better(record: dict[str, Any], best: dict[str, Any] | None) -> bool:
    """Whether a new record takes the place of the best one so far."""
    return best is None or _merit(record) > _merit(best)


def _merit(record: dict[str, Any]) -> tuple[float, float]:
    held = record["validation"]
    return float(held["accuracy"]), -float(held["loss"])
