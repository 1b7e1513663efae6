from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

SIDE = 8


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSBIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def write_idx() -> Callable[..., dict[str, np.ndarray]]:
    """Writes a small data set as the four IDX files and gives back what is in them."""

    def write(folder: Path, *, pack: bool = False, dot: bool = False, seed: int = 0) -> dict[str, np.ndarray]:
        folder.mkdir(parents=True, exist_ok=True)
        random = np.random.default_rng(seed)
        arrays = {}
        for part, count in (("train", 30), ("t10k", 20)):
            arrays[f"{part}-images-idx3-ubyte"] = random.integers(0, 256, (count, SIDE, SIDE), np.uint8)
            arrays[f"{part}-labels-idx1-ubyte"] = (np.arange(count) % 10).astype(np.uint8)
        for name, array in arrays.items():
            data = as_idx(array)
            path = folder / (name.replace("-idx", ".idx") if dot else name)
            if pack:
                path.with_name(path.name + ".gz").write_bytes(gzip.compress(data))
            else:
                path.write_bytes(data)
        return arrays

    return write


def as_idx(array: np.ndarray) -> bytes:
    head = bytes((0, 0, 8, array.ndim)) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return head + array.tobytes()


@pytest.fixture
def idx() -> Callable[[np.ndarray], bytes]:
    """The bytes of an array in the IDX format."""
    return as_idx
