"""`log.jsonl`: a line per epoch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glassbit._errors import RunError, UnreadableError
from glassbit._files import append_line, is_kept_back, json_fault, read_lines

from ._part import Amount, Count, Number, Part, Several, Share, Stored

_Layers = Mapping[str, Number | None] | None


class Held(Part):
    """A network on the validation images."""

    loss: Amount | None = None
    accuracy: Share | None = None


class Epoch(Stored):
    """A line of `log.jsonl`.

    Args:
        epoch: from 1.
        arithmetic: `float` or `deployed`; None in logs of earlier versions, which are all `float`.
        converted: in the first epoch in integer arithmetic, the network as it was converted.
        lr: the learning rate of the last step.
        train: means over the steps: loss, classification, consistency, accuracy, tied.
        alphas, steps, clipped, zeros: a value per layer.
        floored: the layers whose alpha is at its floor.
        moved: what an interruption before this epoch changed.
    """

    epoch: Count
    arithmetic: str | None = None
    converted: Held | None = None
    lr: Amount | None = None
    train: Mapping[str, Number | None] | None = None
    validation: Held | None = None
    alphas: _Layers = None
    steps: _Layers = None
    clipped: _Layers = None
    zeros: _Layers = None
    floored: Several[str] | None = None
    seconds: Amount | None = None
    images_per_second: Amount | None = None
    moved: Several[str] = ()

    @property
    def deployed(self) -> bool:
        """Whether it was trained in integer arithmetic."""
        return self.arithmetic == "deployed"

    def series(self, part: str) -> Mapping[str, Number | None]:
        """Return the values of `train`, `validation`, or a part with a value per layer; empty where it has none."""
        values = getattr(self, part)
        return {} if values is None else values.model_dump() if isinstance(values, Part) else values


def append_epoch(path: Path, record: Mapping[str, Any]) -> None:
    """Append the line of an epoch to a log."""
    append_line(path, Epoch.from_json(dict(record), path=path, repair="repair the training loop").to_json())


def read_log(path: Path, *, repair: str) -> tuple[Epoch, ...]:
    """Read a log; no lines where there is no file.

    Raises:
        UnreadableError: it cannot be read now.
        RunError: it holds other lines than a run logs.
    """
    try:
        lines = read_lines(path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_kept_back(error):
            raise UnreadableError(f"{path}: must be readable; got: {error.strerror}; allow it") from error
        raise RunError(f"{path}: must be lines of JSON; got: {json_fault(error)}; {repair}") from error
    return tuple(Epoch.from_json(line, path=path, repair=repair) for line in lines)
