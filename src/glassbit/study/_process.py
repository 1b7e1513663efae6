"""A run in a process of its own: how it begins, what its end means, how it is stopped.

No torch: a node of a cluster gets these functions too, and watches its processes with them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

FAILURE = "failure.txt"
LOCK = ".lock"
BEGUN = (LOCK, FAILURE, "run.json", "log.jsonl", "probes", "probes.npz", "tensorboard")
"""What a run leaves before its first epoch ends."""
FAILED = 1
"""The exit code of a process that failed for a reason of which Glassbit can say more than a traceback does."""
_GRACE = 10.0
_LONGEST = 2**20
"""Characters of a message that are read."""


def begin(
    job: Mapping[str, Any], environment: Mapping[str, str], *, here: str | None = None
) -> subprocess.Popen[bytes]:
    """Start the process of a job; it ends when this process does.

    Args:
        job: see `Job.for_process`.
        environment: of the new process; the numbers of threads are put into it.
        here: its working folder; None is this process's.
    """
    (Path(job["out"]) / FAILURE).unlink(missing_ok=True)
    threads = str(job["threads"])
    return subprocess.Popen(
        [sys.executable, "-m", "glassbit.study._worker", json.dumps({**job, "parent": os.getpid()})],
        cwd=here,
        env={**environment, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def failure(out: Path, code: int) -> str | None:
    """Return the message of a process that ended, or None when its run has a result.

    Args:
        out: the run's folder.
        code: its exit code, negative for a signal.
    """
    if code == 0 and (out / "result.json").is_file():
        return None
    try:
        with (out / FAILURE).open(encoding="utf-8", errors="replace") as file:
            return file.read(_LONGEST).partition("\n\n")[0]
    except OSError:
        if code < 0:
            hint = "if nobody did that, the machine may be out of memory: use fewer processes"
            return f"its process was ended by signal {-code}; {hint}"
        return f"its process ended with exit code {code} and no message; train the run alone to see more"


def discard(out: Path, *, held: bool = False) -> None:
    """Remove the folder of a run that failed before its first epoch ended, unless something else is in it.

    Args:
        out: the folder.
        held: whether the caller has its lock; otherwise it stays when another process has.
    """
    if not (out / LOCK).is_file():
        return
    from glassbit._lock import locked  # a node gets the functions above without it

    with suppress(OSError), nullcontext() if held else locked(out / LOCK, wait=0):
        if all(path.name in BEGUN or path.name.endswith(".part") for path in out.iterdir()):
            shutil.rmtree(out)


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
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
