"""The display of a training run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from glassbit._progress import line
from glassbit._text import printable


class Display:
    """Progress on stderr: a bar over all steps where that is a terminal, else one line per epoch.

    `with display.progress:` shows it.

    Args:
        title: what is trained.
        epochs, steps: epochs in all, steps per epoch.
        done: epochs done before.
        enabled: False keeps it silent.
    """

    def __init__(self, title: str, *, epochs: int, steps: int, done: int, enabled: bool) -> None:
        console = Console(stderr=True)
        self.epochs = epochs
        self.lines = enabled and not console.is_terminal
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
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
        self.title = printable(title)
        self.task = self.progress.add_task(self.title, total=epochs * steps, completed=done * steps, news="")

    def step(self, epoch: int) -> None:
        """One step of `epoch` (counted from 1) is done."""
        self.progress.update(self.task, advance=1, description=f"{self.title} epoch {epoch}/{self.epochs}")

    def epoch(self, record: dict[str, Any]) -> None:
        """Show that an epoch is done; `record` is its line of the log."""
        news = told(record)
        self.progress.update(self.task, news=news)
        if self.lines:
            line(f"{self.title} epoch {record['epoch']}/{self.epochs}: {news}")


def told(record: Mapping[str, Any]) -> str:
    """Loss, accuracy and speed of an epoch, from its line of the log."""
    train, validation = record["train"], record["validation"]
    loss = f"loss {train['loss']:.3f} = ce {train['classification']:.3f}"
    if train["consistency"]:
        loss += f" + kl {train['consistency']:.3f}"
    accuracy = f"train {train['accuracy']:.2%}, val {validation['accuracy']:.2%}"
    return f"{loss}, {accuracy}, {record['images_per_second']:.0f} images/s"
