"""What decides the last bits of a training besides its settings: threads, device, software."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import torch

from glassbit._errors import GlassbitWarning
from glassbit._takes import takes, whole

P = ParamSpec("P")
R = TypeVar("R")


def machine(device: torch.device) -> dict[str, Any]:
    """Return what float sums are computed with here.

        threads       of one process: each adds up a share, so their number decides where sums are rounded
        instructions  the widest vector instructions that torch uses, which decide the same inside a thread
        processor, gpu, device, torch, matmul

    Threads between operations (`torch.set_num_interop_threads`) change no bits, as one training computes one operation
    after the other.
    """
    return {
        "threads": torch.get_num_threads(),
        "device": device.type,
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "torch": str(torch.__version__),
        "matmul": torch.get_float32_matmul_precision(),
    }


def go_on_as(before: dict[str, Any], device: torch.device, where: Path | str) -> list[str]:
    """Compute with as many threads as before; what cannot be had back is said, as the bits will differ.

    Args:
        before: `machine` of the checkpoint; empty for one that does not say.
        device: that goes on.
        where: the run's folder, for the message.

    Returns:
        What differs, e.g. `torch was 2.13.0 and is now 2.14.0`; nothing where the bits will be the same.
    """
    threads = before.get("threads")
    if isinstance(threads, int) and threads > 0 and device.type == "cpu":
        set_threads(threads, where)
    now = machine(device)
    ignored = () if device.type == "cpu" else ("threads", "instructions", "processor")
    differing = [
        f"{name} was {before[name]} and is now {value}"
        for name, value in now.items()
        if name in before and name not in ignored and before[name] != value
    ]
    if differing:
        warnings.warn(
            f"{where}: goes on, but not to the bits of a run that was never interrupted: {'; '.join(differing)}",
            GlassbitWarning,
            stacklevel=2,
        )
    return differing


@takes(threads=whole(1, 1024, usual=1))
def set_threads(threads: int, where: Path | str) -> None:
    """Compute with the number of threads that a run began with; say so where this changes something."""
    if threads == torch.get_num_threads():
        return
    slow = f"; these are more than the {cores()} cores here, and slow" if threads > cores() else ""
    warnings.warn(
        f"{where}: goes on with {threads} threads, as it began, for the same bits (this call has "
        f"{torch.get_num_threads()}){slow}",
        GlassbitWarning,
        stacklevel=3,
    )
    torch.set_num_threads(threads)


@contextmanager
def threads_kept() -> Iterator[None]:
    """Leave the number of threads as it was before the block."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def keeping_threads(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap `function` so that it leaves the number of threads unchanged."""

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        with threads_kept():
            return function(*args, **kwargs)

    return called


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Return the name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
