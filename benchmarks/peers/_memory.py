"""What a process takes of the machine's memory; imports no torch, which would take more."""

from __future__ import annotations

import resource
from pathlib import Path


def resident(field: str) -> int:
    """Bytes of this process in main memory: `VmRSS` now, `VmHWM` at most so far (also where there is no /proc)."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.partition(":")[::2] for line in status.read_text(encoding="utf-8").splitlines())
        return 1024 * int(lines[field].split()[0])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
