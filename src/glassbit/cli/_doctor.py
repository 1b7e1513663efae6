"""`glassbit doctor`."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from glassbit._packages import install
from glassbit.cli._data import DataDir
from glassbit.cli._found import found
from glassbit.cli._say import line

_PACKAGES = (
    "glassbit",
    "torch",
    "lightning-fabric",
    "captum",
    "numpy",
    "pillow",
    "matplotlib",
    "pydantic",
    "cyclopts",
    "safetensors",
    "onnx",
    "onnxruntime",
    "tensorboard",
    "ray",
)
_BF16 = ("avx512_bf16", "amx_bf16", "bf16")
"""What CPUs that multiply bfloat16 call it, x86 and ARM."""
_EXTRAS = {"onnx": "onnx", "onnxruntime": "onnx", "tensorboard": "tensorboard", "ray": "ray"}


def doctor(*, data_dir: DataDir = None) -> int:
    """Print what matters for a run, or for a question about one."""
    import torch

    from glassbit import datasets

    line("versions")
    line(f"  python {platform.python_version()} on {platform.platform()}")
    for name in _PACKAGES:
        line(f"  {name} {_version(name)}")
    line("devices")
    for each in _devices():
        line(f"  {each}")
    line("threads")
    line(f"  torch computes with {torch.get_num_threads()}; this process may use {_cores()} cores")
    line(f"  OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'not set')}")
    line("data")
    line(f"  cache: {datasets.cache_folder()}")
    for entry in datasets.catalogue():
        place = found(entry, data_dir)
        line(f"  {entry.name}: {place or f'not found; get it with `glassbit data fetch {entry.name}`'}")
    return 0


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return f"not installed ({install(_EXTRAS[name])})" if name in _EXTRAS else "not installed"


def _devices() -> list[str]:
    import torch

    able: dict[str, bool | int | str] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.11 may not have it
    bf16 = "bf16" if any(able.get(name) for name in _BF16) else "no bf16"
    lines = [f"cpu ({platform.processor() or platform.machine()}), {bf16}"]
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
            lines.append(f"cuda:{index} {facts.name}, {facts.total_memory / 2**30:.0f} GiB, {bf16}")
    else:
        built = f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without it"
        lines.append(f"cuda: none (this torch is built {built})")
    if torch.backends.mps.is_available():
        lines.append("mps")
    return lines


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
