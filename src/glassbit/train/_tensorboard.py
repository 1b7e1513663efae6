"""TensorBoard events: a way to look at a run; `log.jsonl` is the record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from glassbit._errors import UsageError
from glassbit._packages import install


def open_writer(out: Path, done: int) -> Any:
    """Return a writer of events for a run of which `done` epochs are finished.

    Raises:
        UsageError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError(
            f"tensorboard must be installed; got no package of that name; {install('tensorboard')}"
        ) from None
    return SummaryWriter(str(out / "tensorboard"), purge_step=done + 1)


def write_record(writer: Any, record: dict[str, Any]) -> None:
    """Write the numbers of one line of the log; nothing where there is no writer."""
    if writer is None:
        return
    for part in ("train", "validation"):
        for name, value in record[part].items():
            writer.add_scalar(f"{part}/{name}", value, record["epoch"])
    for part in ("alphas", "steps", "clipped", "zeros"):
        for name, value in record[part].items():
            writer.add_scalar(f"{part}/{name}", value, record["epoch"])
