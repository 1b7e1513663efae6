"""Image files, and calls as users make them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
from PIL import Image

SIDE = 8


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the type checker of the tests, as users call."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def photo() -> Callable[..., Path]:
    """Writes one image file of random pixels."""

    def write(path: Path, *, mode: str = "RGB", size: tuple[int, int] = (SIDE, SIDE), seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        channels = len(Image.new(mode, (1, 1)).getbands())
        random = np.random.default_rng([seed, *path.name.encode()])
        pixels = random.integers(0, 256, (size[1], size[0], channels), np.uint8)
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).convert(mode).save(path)
        return path

    return write


@pytest.fixture
def photos(photo: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a folder with so many images for each class."""

    def write(root: Path, *, mode: str = "RGB", size: tuple[int, int] = (SIDE, SIDE), **classes: int) -> Path:
        for name, count in classes.items():
            for number in range(count):
                photo(root / name / f"{name}-{number:02}.png", mode=mode, size=size)
        return root

    return write
