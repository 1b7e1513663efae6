"""Progress on stderr: a bar on a terminal, a line anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from glassbit._text import printable


def line(text: str) -> None:
    """Print a line on stderr, at once."""
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()


@contextmanager
def bar(title: str, total: int | None, *, show: bool, size: bool = False) -> Iterator[Callable[[int], None]]:
    """Yield a function that advances the bar by a number of steps. Without a terminal, print one line at the start.

    Args:
        title: what is under way.
        total: the number of steps, if it is known.
        show: False for no bar and no line.
        size: the steps are bytes.
    """
    if not show or not sys.stderr.isatty():
        if show:
            line(title if total is None else f"{title} ({total / 1e6:.1f} MB)" if size else f"{title} ({total:,})")
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    steps = DownloadColumn() if size else MofNCompleteColumn()
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), steps, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(printable(title), total=total)
        yield lambda count: progress.advance(task, count)
