"""A data set that trains in a moment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glassbit.cli import main


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """An .npz file: 60 images to train, 24 to test, 12 x 12, three classes told apart by a bright stripe."""
    rng = np.random.default_rng(0)

    def part(count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(count) % 3
        images = rng.integers(0, 60, (count, 1, 12, 12), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[0, 4 * label : 4 * label + 3] += 180
        return images, labels

    (train_images, train_labels), (test_images, test_labels) = part(60), part(24)
    path = tmp_path / "tiny.npz"
    np.savez(
        path,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=np.array(["top", "middle", "bottom"]),
    )
    return path


Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Call the command line in a fresh folder: exit code, stdout, stderr; a traceback is never right."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLASSBIT_CACHE", str(tmp_path / "cache"))

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main([str(word) for word in words])
        seen = capsys.readouterr()
        assert "Traceback" not in seen.err
        return code, seen.out, seen.err

    return run
