"""The display of a training run, silent when nobody watches."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Display:
    """A bar over all steps with loss, accuracy and speed; draws on stderr when that is a terminal, else does nothing.

    `with display.progress:` shows it.

    Args:
        title: what is trained.
        epochs, steps: epochs in all, steps an epoch.
        done: epochs done before.
        enabled: False keeps it silent.
    """

    def __init__(self, title: str, *, epochs: int, steps: int, done: int, enabled: bool) -> None:
        console = Console(stderr=True)
        self.epochs = epochs
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[news]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            disable=not (enabled and console.is_terminal),
            transient=True,
        )
        self.title = title
        self.task = self.progress.add_task(title, total=epochs * steps, completed=done * steps, news="")

    def step(self, epoch: int) -> None:
        """One step of `epoch` (counted from 1) is done."""
        self.progress.update(self.task, advance=1, description=f"{self.title} epoch {epoch}/{self.epochs}")

    def epoch(self, record: dict[str, Any]) -> None:
        """An epoch is done; `record` is its line of the log."""
        train, validation = record["train"], record["validation"]
        shown = f"loss {train['loss']:.3f} = ce {train['classification']:.3f}"
        if train["consistency"]:
            shown += f" + kl {train['consistency']:.3f}"
        shown += f", train {train['accuracy']:.2%}, val {validation['accuracy']:.2%}"
        shown += f", {record['images_per_second']:.0f} images/s"
        self.progress.update(self.task, news=shown)
