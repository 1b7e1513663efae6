"""Working through the runs of a study: here, one after the other, or in processes side by side."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassbit._errors import GlassbitError, UsageError
from glassbit._files import read_json
from glassbit.build import build_data
from glassbit.datasets import Dataset
from glassbit.recipe import DataRecipe, RunRecipe

from ._facts import cores
from ._run import FAILURE, run_one
from ._transparency import measure_run

_POLL = 0.2
_GRACE = 10.0


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

    def to_json(self, *, threads: int) -> str:
        """For the command line of a worker process."""
        return json.dumps(
            {
                "run": self.run.config(),
                "out": str(self.out),
                "start": None if self.start is None else str(self.start),
                "probes": str(self.probes),
                "command": self.command,
                "download": self.download,
                "images": self.images,
                "threads": threads,
            }
        )


Ended = tuple[Job, str | None, dict[str, Any]]
"""A job, the message of its failure or None, and its result (empty after a failure)."""


class Workshop(ABC):
    """Where jobs are done."""

    @abstractmethod
    def work(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """Do all `jobs`; yields each as it ends. A job whose starting run failed fails without being tried."""


class Here(Workshop):
    """This process, one job after the other.

    Args:
        progress: show a bar when stderr is a terminal.
    """

    def __init__(self, *, progress: bool) -> None:
        self.progress = progress
        self._loaded: tuple[DataRecipe, Dataset] | None = None

    def work(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """See `Workshop.work`."""
        failed: set[str] = set()
        for job in jobs:
            message = _blocked(job, failed)
            result: dict[str, Any] = {}
            if message is None:
                try:
                    result = self._do(job)
                except Exception as error:  # noqa: BLE001 (one run must not end the others)
                    message = str(error) if isinstance(error, GlassbitError) else f"{type(error).__name__}: {error}"
            if message is not None:
                failed.add(job.run.id)
            yield job, message, result

    def _do(self, job: Job) -> dict[str, Any]:
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
        measure_run(job.out, self._loaded[1], images=job.images, progress=self.progress)
        return outcome.result


class Pool(Workshop):
    """Processes side by side, each with its share of the cores.

    Args:
        processes: how many at a time, >= 1.
        devices: processes that each of them starts for itself.

    Raises:
        UsageError: `processes` is not positive.
    """

    def __init__(self, processes: int, *, devices: int = 1) -> None:
        if processes < 1:
            raise UsageError(f"processes must be at least 1; got {processes}")
        self.processes = processes
        self.threads = max(1, cores() // (processes * devices))

    def work(self, jobs: Sequence[Job]) -> Iterator[Ended]:
        """See `Workshop.work`."""
        waiting = list(jobs)
        failed: set[str] = set()
        running: dict[str, tuple[Job, subprocess.Popen[bytes]]] = {}
        try:
            while waiting or running:
                for job in list(waiting):
                    pending = {other.run.id for other in waiting} | running.keys()
                    message = _blocked(job, failed)
                    if message is not None:
                        waiting.remove(job)
                        failed.add(job.run.id)
                        yield job, message, {}
                    elif job.run.starts_from not in pending and len(running) < self.processes:
                        waiting.remove(job)
                        running[job.run.id] = (job, self._begin(job))
                for name, (job, process) in list(running.items()):
                    if process.poll() is None:
                        continue
                    del running[name]
                    message = _failure(job, process.returncode)
                    if message is not None:
                        failed.add(name)
                    yield job, message, {} if message else read_json(job.out / "result.json")
                time.sleep(_POLL)
        finally:
            _end([process for _, process in running.values()])

    def _begin(self, job: Job) -> subprocess.Popen[bytes]:
        (job.out / FAILURE).unlink(missing_ok=True)
        threads = str(self.threads)
        return subprocess.Popen(
            [sys.executable, "-m", "glassbit.study._worker", job.to_json(threads=self.threads)],
            env={**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _blocked(job: Job, failed: set[str]) -> str | None:
    first = job.run.starts_from
    return f"starts from the weights of {first}, which failed" if first in failed else None


def _failure(job: Job, code: int) -> str | None:
    """The message of a process that ended, or None when its run has a result."""
    if code == 0 and (job.out / "result.json").is_file():
        return None
    try:
        return (job.out / FAILURE).read_text(encoding="utf-8").partition("\n\n")[0]
    except OSError:
        if code < 0:
            hint = "if nobody did that, the machine may be out of memory: use fewer processes"
            return f"its process was ended by signal {-code}; {hint}"
        return f"its process ended with exit code {code} and no message; train the run alone to see more"


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Stop processes and wait until they are gone."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + _GRACE
    for process in processes:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
