"""Working through the runs of a study: here, one after the other, or in processes side by side."""

from __future__ import annotations

import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassbit._errors import GlassbitError, UsageError
from glassbit.build import build_data
from glassbit.datasets import Dataset
from glassbit.recipe import DataRecipe, RunRecipe
from glassbit.runs import HEAD, Result
from glassbit.train import cores

from ._epoch_lines import EpochLines
from ._process import FAILED, begin, discard, end, failure
from ._run import run_one
from ._transparency import measure_run
from ._whole import read_result

_POLL = 0.2


@dataclass(frozen=True)
class Job:
    """A run and everything that its process has to know; see `run_one`, and `measure_run` for `images`."""

    run: RunRecipe
    out: Path
    start: Path | None
    probes: Path
    command: str
    download: bool
    images: int

    def for_process(self, *, threads: int, wait: float = 5.0) -> dict[str, Any]:
        """For a process of its own.

        Args:
            threads: that it computes with.
            wait: seconds to wait for the end of another process in the run's folder.
        """
        return {
            "run": self.run.config(),
            "out": str(self.out.absolute()),
            "start": None if self.start is None else str(self.start.absolute()),
            "probes": str(self.probes.absolute()),
            "command": self.command,
            "download": self.download,
            "images": self.images,
            "threads": threads,
            "wait": wait,
        }


Ended = tuple[Job, str | None, Result | None]
"""A job, the message of its failure or None, and its result (None after a failure)."""


class Workshop(ABC):
    """Where jobs are done."""

    @abstractmethod
    def work(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Do all `jobs`; yields each as it ends. A job whose starting run failed fails without being tried."""


class Here(Workshop):
    """This process, one job after the other.

    Args:
        progress: show a bar where stderr is a terminal, else a line per epoch.
    """

    def __init__(self, *, progress: bool) -> None:
        self.progress = progress
        self._loaded: tuple[DataRecipe, Dataset] | None = None

    def work(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """See `Workshop.work`."""
        failed: set[str] = set()
        for job in jobs:
            message = blocked(job, failed)
            result: Result | None = None
            if message is None:
                try:
                    result = self._do(job)
                except Exception as error:  # noqa: BLE001 (one run must not end the others)
                    message = str(error) if isinstance(error, GlassbitError) else f"{type(error).__name__}: {error}"
            if message is not None:
                failed.add(job.run.id)
            yield job, message, result

    def _do(self, job: Job) -> Result | None:
        if self._loaded is None or self._loaded[0] != job.run.data:
            self._loaded = (job.run.data, build_data(job.run.data, download=job.download, progress=self.progress))
        outcome = run_one(
            job.run,
            job.out,
            start=job.start,
            probes=job.probes,
            data=self._loaded[1],
            command=job.command,
            download=job.download,
            progress=self.progress,
        )
        measure_run(job.out, self._loaded[1], images=job.images, progress=self.progress, trust=job.run.model.name)
        return outcome.result


class Pool(Workshop):
    """Processes side by side, each with its share of the cores.

    Args:
        processes: how many at a time, >= 1.
        devices: processes that each of them starts for itself.
        progress: print a line per epoch of each run on stderr.

    Raises:
        UsageError: `processes` is not positive.
    """

    def __init__(self, processes: int, *, devices: int = 1, progress: bool = False) -> None:
        if processes < 1:
            raise UsageError(f"processes must be at least 1; got {processes}")
        self.processes = processes
        self.threads = max(1, cores() // (processes * devices))
        self.progress = progress

    def work(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """See `Workshop.work`."""
        waiting = list(jobs)
        failed: set[str] = set()
        running: dict[str, tuple[Job, bool, subprocess.Popen[bytes]]] = {}
        epochs = EpochLines(show=self.progress)
        try:
            while waiting or running:
                for job in list(waiting):
                    pending = {other.run.id for other in waiting} | running.keys()
                    message = blocked(job, failed)
                    if message is not None:
                        waiting.remove(job)
                        failed.add(job.run.id)
                        yield job, message, None
                    elif job.run.starts_from not in pending and len(running) < self.processes:
                        waiting.remove(job)
                        begun = (job.out / HEAD).is_file()
                        epochs.follow(job.run, job.out)
                        process = begin(job.for_process(threads=self.threads), os.environ)
                        running[job.run.id] = (job, begun, process)
                for name, (job, begun, process) in list(running.items()):
                    ended = process.poll() is not None
                    epochs.tell(name)
                    if not ended:
                        continue
                    del running[name]
                    message = failure(job.out, process.returncode)
                    if message is not None:
                        failed.add(name)
                        if process.returncode == FAILED and not begun:
                            discard(job.out)
                    yield job, message, None if message else read_result(job.out)
                time.sleep(_POLL)
        finally:
            end([process for _, _, process in running.values()])


def blocked(job: Job, failed: set[str]) -> str | None:
    """Why a job cannot be tried any more, or None."""
    first = job.run.starts_from
    return f"starts from the weights of {first}, which failed" if first in failed else None
