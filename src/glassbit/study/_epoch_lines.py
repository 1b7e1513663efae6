"""Progress of runs in other processes, read from their logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glassbit._errors import RunError
from glassbit._progress import line
from glassbit.recipe import RunRecipe
from glassbit.runs import LOG, Epoch, read_log
from glassbit.train import told


@dataclass
class _Followed:
    log: Path
    epochs: int
    told: int
    size: int


class EpochLines:
    """Prints a line on stderr for each epoch that a run adds to its `log.jsonl`.

    Args:
        show: False prints nothing.
    """

    def __init__(self, *, show: bool) -> None:
        self._show = show
        self._runs: dict[str, _Followed] = {}

    def follow(self, run: RunRecipe, folder: Path) -> None:
        """Begin with a run; what its log has already is not told."""
        log = folder / LOG
        self._runs[run.id] = _Followed(log, run.training.epochs + run.deploy_epochs, len(_records(log)), _size(log))

    def tell(self, name: str) -> None:
        """Print what the run's log has got since the last call."""
        run = self._runs[name]
        size = _size(run.log)
        if not self._show or size == run.size:
            return
        records = _records(run.log)
        for record in records[run.told :]:
            line(f"{name} epoch {record.epoch}/{run.epochs}: {told(record.to_json())}")
        run.told, run.size = len(records), size


def _records(log: Path) -> tuple[Epoch, ...]:
    """Return the lines of a log; none where it is damaged, which the run itself reports."""
    try:
        return read_log(log, repair="")
    except RunError:
        return ()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
