"""The allocator keeps memory where it can be told to, and is left alone everywhere else."""

import ctypes
import os
import subprocess
import sys

import pytest

from glassbit.train import _allocator, keep_freed_memory

BLOCKS = """
import resource, sys
from glassbit.train import keep_freed_memory
import numpy as np
told = sys.argv[1] == "keep" and keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def blocks():
    return [np.ones(3 * 2**20, np.uint8) for _ in range(8)]
blocks()
before = faults()
for _ in range(4):
    blocks()
print(int(told), faults() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="no glibc")
def test_freed_blocks_are_used_again_without_page_faults() -> None:
    clean = {name: value for name, value in os.environ.items() if "MALLOC" not in name and name != "GLIBC_TUNABLES"}
    found = {}
    for word in ("keep", "leave"):
        command = [sys.executable, "-c", BLOCKS, word]
        output = subprocess.run(command, env={**clean, "LD_PRELOAD": ""}, capture_output=True, check=True, text=True)
        found[word] = [int(number) for number in output.stdout.split()]
    pages = 4 * 8 * 3 * 2**20 // os.sysconf("SC_PAGE_SIZE")
    assert (found["keep"][0], found["leave"][0]) == (1, 0)
    assert found["keep"][1] < pages / 10
    assert found["keep"][1] < found["leave"][1]


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails a test that reaches the allocator."""
    monkeypatch.setattr(_allocator.ctypes, "CDLL", lambda name: pytest.fail("the C library was opened"))
    for name in (*_allocator._CHOICES, "GLIBC_TUNABLES", "LD_PRELOAD"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "1") for name in _allocator._CHOICES),
        ("GLIBC_TUNABLES", "glibc.malloc.mmap_max=0"),
        ("LD_PRELOAD", "/usr/lib/libtcmalloc_minimal.so.4"),
    ],
)
def test_who_has_chosen_is_not_overruled(untouched, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert not keep_freed_memory()


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_training_elsewhere_leaves_it_alone(untouched, device: str) -> None:
    assert not keep_freed_memory(device)


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_other_systems_are_left_alone(untouched, monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert not keep_freed_memory()


def test_another_c_library_is_left_alone(untouched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_allocator.ctypes, "CDLL", lambda name: object())
    monkeypatch.setattr(sys, "platform", "linux")
    assert not keep_freed_memory()
