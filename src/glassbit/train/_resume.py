"""Going on where a run stopped."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from torch import Tensor

from glassbit._errors import GlassbitWarning, RunError, UnreadableError
from glassbit._files import read_lines, write_text
from glassbit.runs import LOG

from ._checkpoint import AGAIN, load_checkpoint, put_weights, save_checkpoint
from ._identity import changes
from ._objective import Objective

_NEWER = {"accumulate": 1, "frozen": []}
"""Settings that older checkpoints do not name, with what stands for them there."""


def last_checkpoint(out: Path | None, settings: dict[str, Any], who: dict[str, Any]) -> dict[str, Any] | None:
    """Return what `last.pt` of a run's folder holds; None where there is none.

    Args:
        out: the folder; None where nothing is kept.
        settings: of this call; those of the last phase count once that has begun.
        who: `identity` of this call.

    Raises:
        RunError: it is damaged, or of a run with other settings, another network or other images.
    """
    if out is None or not (out / "last.pt").exists():
        return None
    saved = load_checkpoint(out / "last.pt")
    if not all(isinstance(saved.get(part), dict) for part in ("settings", "optimizer")):
        raise RunError(f"checkpoint {out / 'last.pt'}: must hold settings and optimizer; got no such parts; {AGAIN}")
    begun = saved["epoch"] > settings["epochs"]
    others = {
        name: value
        for name, value in (_NEWER | saved["settings"]).items()
        if settings.get(name) != value and (begun or not name.startswith("deploy_"))
    }
    if others:
        listed = "; ".join(f"{name} was {value!r} and is now {settings.get(name)!r}" for name, value in others.items())
        must = f"{out}: must hold a run with these settings"
        raise RunError(f"{must}; got others ({listed}); choose another folder, or delete this one")
    _check_history(saved, settings["epochs"], out / "last.pt")
    if differing := changes(saved.get("identity", {}), who):
        must, repair = f"{out}: must hold this run", "choose another folder, or delete this one"
        raise RunError(f"{must}; got another one ({'; '.join(differing)}); {repair}")
    return saved


def _check_history(saved: dict[str, Any], epochs: int, path: Path) -> None:
    """Refuse a checkpoint whose records are not those of its epochs.

    Raises:
        RunError: they are not.
    """
    history = saved["history"]
    try:
        json.dumps(history)
        plain = [record["epoch"] for record in history] == list(range(1, saved["epoch"] + 1))
    except (KeyError, TypeError, ValueError, RecursionError):
        plain = False
    if plain and (len(history) <= epochs or "converted" in history[epochs]):
        return
    raise RunError(f"checkpoint {path}: must hold a plain record of each of its epochs; got another one; {AGAIN}")


def with_best(saved: dict[str, Any] | None, out: Path | None, epochs: int, *, first: bool) -> dict[str, Any] | None:
    """Return `saved` if its best weights still exist, else None: train again from the first epoch.

    Best weights that `saved` holds itself are written anew.

    Args:
        saved: of `last.pt`.
        out: the run's folder.
        epochs: before the phase in deployed arithmetic.
        first: whether this is the process that writes.

    Raises:
        UnreadableError: they are there, and cannot be read now.
    """
    if saved is None or out is None or not saved["epoch"]:
        return saved
    phases = {"best.pt": saved["history"][:epochs], "deployed.pt": deployed_records(saved["history"], epochs)}
    for name, records in phases.items():
        best = best_record(records)
        begun = len(saved["history"]) > epochs
        like = saved["model"] if name == "deployed.pt" or not begun else None
        if best is None or _is_of(out / name, like, best["epoch"], saved["epoch"] + 1):
            continue
        if best["epoch"] != saved["epoch"] or (name == "best.pt" and begun):
            text = f"{out / name}: is lost or damaged; the run is trained again from the first epoch, to the same bits"
            warnings.warn(text, GlassbitWarning, stacklevel=3)
            return None
        if first:
            save_checkpoint(out / name, {key: value for key, value in saved.items() if key != "optimizer"})
    return saved


def _is_of(path: Path, like: dict[str, Tensor] | None, *epochs: int) -> bool:
    """Whether a file is a whole checkpoint of one of these epochs; a kill may have come before `last.pt` followed.

    Args:
        like: a state of the same network; None where none is at hand.

    Raises:
        UnreadableError: it cannot be read now, and may be whole.
    """
    try:
        content = load_checkpoint(path)
    except UnreadableError:
        raise
    except RunError:
        return False
    shapes = {name: tensor.shape for name, tensor in content["model"].items()}
    return content["epoch"] in epochs and (like is None or shapes == {name: item.shape for name, item in like.items()})


def begin_log(out: Path) -> None:
    """Leave no lines of an earlier training, which is begun anew."""
    if (out / LOG).exists():
        write_text(out / LOG, "")


def own_state(objective: Objective) -> dict[str, Tensor]:
    """Return what an objective has beside its network, for a checkpoint."""
    return {name: value for name, value in objective.state_dict().items() if not name.startswith("model.")}


def resume(
    saved: dict[str, Any], out: Path, objective: Objective, optimizer: Any, *, first: bool = True
) -> list[dict[str, Any]]:
    """Load a checkpoint into objective and optimizer, and make the log agree with it; returns its history.

    Args:
        first: whether this is the process that writes.

    Raises:
        RunError: it is of another network.
    """
    network = {f"model.{name}": value for name, value in saved["model"].items()}
    must = f"{out}: must hold a run of this network; choose another folder, or delete this one"
    put_weights(objective, {**network, **saved.get("objective", {})}, must)
    try:
        optimizer.load_state_dict(saved["optimizer"])
    except Exception as problem:
        raise RunError(
            f"checkpoint {out / 'last.pt'}: its optimizer must be of this network; got another one; {AGAIN}"
        ) from problem
    history: list[dict[str, Any]] = saved["history"]
    if first:
        mend_log(out, history)
    return history


def mend_log(out: Path, history: list[dict[str, Any]]) -> None:
    """Write `log.jsonl` anew where it does not hold just this history."""
    log = out / LOG
    try:
        whole = read_lines(log) == history and log.read_text(encoding="utf-8").endswith("\n")
    except (OSError, ValueError):
        whole = False
    if not whole:
        write_text(log, "".join(json.dumps(record) + "\n" for record in history))


def best_record(history: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the record with the highest validation accuracy; of equal ones, the lowest loss, then the first."""
    return max(history, key=_merit, default=None)


def deployed_records(history: list[dict[str, Any]], epochs: int) -> list[dict[str, Any]]:
    """Return the records in deployed arithmetic, after one of the network as converted after epoch `epochs`."""
    records = history[epochs:]
    return [{"epoch": epochs, "validation": records[0]["converted"]}, *records] if records else []


def better(record: dict[str, Any], best: dict[str, Any] | None) -> bool:
    """Whether a new record takes the place of the best one so far."""
    return best is None or _merit(record) > _merit(best)


def _merit(record: dict[str, Any]) -> tuple[float, float]:
    held = record["validation"]
    return float(held["accuracy"]), -float(held["loss"])
