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

from glassbit._errors import UsageError
from glassbit._foreign import naming_outsiders, said
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
    """Where jobs are done. One loop gives them out; a kind of workshop says how a job begins, and which have ended.

    Args:
        room: the most jobs at a time.
        progress: print a line per epoch of each run on stderr.
    """

    def __init__(self, room: int, *, progress: bool) -> None:
        self.room = room
        self.epochs = EpochLines(show=progress)

    def work(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Do all `jobs`; yield each as it ends. A job whose starting run failed fails without being tried."""
        waiting = list(jobs)
        failed: set[str] = set()
        running: dict[str, Job] = {}
        while waiting or running:
            for job in list(waiting):
                pending = {other.run.id for other in waiting} | running.keys()
                first = job.run.starts_from
                if first in failed:
                    waiting.remove(job)
                    failed.add(job.run.id)
                    yield job, f"starts from the weights of {first}, which failed", None
                elif first not in pending and len(running) < self.room:
                    waiting.remove(job)
                    running[job.run.id] = job
                    self.epochs.follow(job.run, job.out)
                    self.begin(job)
            if back := self.given_back():
                waiting = [*back, *waiting]
                running = {name: job for name, job in running.items() if job not in back}
                continue
            all_ended = self.ended() if running else []
            for name in running:
                self.epochs.tell(name)
            for job, message, result in all_ended:
                del running[job.run.id]
                if message is not None:
                    failed.add(job.run.id)
                yield job, message, result

    @abstractmethod
    def begin(self, job: Job) -> None:
        """Begin a job."""

    @abstractmethod
    def ended(self) -> list[Ended]:
        """Return the jobs that ended since the last call, after a short wait where there are none."""

    def given_back(self) -> list[Job]:
        """Return the jobs that began, will never end, and must begin again."""
        return []


class Here(Workshop):
    """This process, one job after the other.

    Args:
        progress: show a bar where stderr is a terminal, else a line per epoch.
    """

    def __init__(self, *, progress: bool) -> None:
        super().__init__(1, progress=False)
        self.progress = progress
        self._done: list[Ended] = []
        self._loaded: tuple[DataRecipe, Dataset] | None = None

    def begin(self, job: Job) -> None:
        """Do the whole job."""
        try:
            with naming_outsiders():
                self._done.append((job, None, self._do(job)))
        except Exception as error:  # noqa: BLE001 (one run must not end the others)
            self._done.append((job, said(error), None))

    def ended(self) -> list[Ended]:
        """See `Workshop.ended`."""
        done, self._done = self._done, []
        return done

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
        super().__init__(processes, progress=progress)
        self.threads = max(1, cores() // (processes * devices))
        self._processes: dict[str, tuple[Job, bool, subprocess.Popen[bytes]]] = {}

    def work(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """See `Workshop.work`. Processes that still run when the caller stops are ended."""
        try:
            yield from super().work(jobs)
        finally:
            end([process for _, _, process in self._processes.values()])

    def begin(self, job: Job) -> None:
        """Start the process of a job."""
        begun = (job.out / HEAD).is_file()
        self._processes[job.run.id] = (job, begun, begin(job.for_process(threads=self.threads), os.environ))

    def ended(self) -> list[Ended]:
        """See `Workshop.ended`."""
        time.sleep(_POLL)
        over = [name for name, (_, _, process) in self._processes.items() if process.poll() is not None]
        return [self._end(*self._processes.pop(name)) for name in over]

    def _end(self, job: Job, begun: bool, process: subprocess.Popen[bytes]) -> Ended:
        message = failure(job.out, process.returncode)
        if message is None:
            return job, None, read_result(job.out)
        if process.returncode == FAILED and not begun:
            discard(job.out)
        return job, message, None
