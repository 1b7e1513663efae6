"""Freed memory stays in the process, so that a step on a CPU does not fetch the same pages again and again."""

from __future__ import annotations

import ctypes
import os
import sys

import torch

_CHOICES = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_TRIM_THRESHOLD_")
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
"""Parameters of `mallopt`, as malloc.h numbers them."""


def keep_freed_memory(device: str = "cpu") -> bool:
    """Tell glibc's allocator to keep what is freed, for all of this process and until its end.

        M_MMAP_MAX = 0          no block is a mapping of its own, which its end would give back
        M_TRIM_THRESHOLD = -1   the heap never shrinks

    By default the activations of every step on a CPU go back to the kernel when the step ends, and the next step gets
    their pages anew, cleared one by one. Told to keep them, the process holds its peak of memory even where it needs
    less later. So no function of the library calls this by itself: the commands that train do, and a script of your own
    may, before its first step.

    Args:
        device: where is trained, as in `fit`; nothing is done for another one than the CPU.

    Returns:
        Whether the allocator was told. It is not where there is no glibc (macOS, Windows, musl), where another
        allocator is preloaded, and where the environment has chosen already, by `MALLOC_MMAP_MAX_`,
        `MALLOC_MMAP_THRESHOLD_`, `MALLOC_TOP_PAD_`, `MALLOC_TRIM_THRESHOLD_` or `GLIBC_TUNABLES`.

    Example:
        >>> keep_freed_memory("cuda")
        False
    """
    if not (device == "cpu" or (device == "auto" and not torch.accelerator.is_available())):
        return False
    if not sys.platform.startswith("linux") or _chosen():
        return False
    library = ctypes.CDLL(None)
    if not (hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")):
        return False
    return all(library.mallopt(name, value) == 1 for name, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1)))


def _chosen() -> bool:
    """Whether whoever started this process decided how it allocates."""
    return (
        any(name in os.environ for name in _CHOICES)
        or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
        or "malloc" in os.environ.get("LD_PRELOAD", "")  # tcmalloc, jemalloc, mimalloc
    )
