"""A data set that trains in a moment, and a network that is exported already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glassbit.cli import main
from glassbit.intgraph import (
    About,
    Conv,
    Flatten,
    Input,
    IntGraph,
    Linear,
    Logits,
    MaxPool,
    Preprocessing,
    Requantize,
    Weights,
)


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


@pytest.fixture
def graph() -> IntGraph:
    """A network for grey images of 12 x 12 pixels, with the classes top, middle and bottom."""
    rng = np.random.default_rng(0)

    def codes(bits: int, *shape: int) -> np.ndarray:
        return rng.integers(0, 2**bits, shape, dtype=np.uint8)

    def integers(*values: int) -> np.ndarray:
        return np.array(values, np.int32)

    return IntGraph(
        nodes=(
            Input("image", channels=1, height=12, width=12, zero=70),
            Conv("conv", "image", Weights(codes(8, 4, 1, 3, 3), 8, "signed"), padding=(1, 1)),
            Requantize(
                "relu", "conv", integers(5, -3, 0, 100), integers(255, 253, 3, 1), integers(19, 19, 12, 11), 0, 15
            ),
            MaxPool("pool", "relu", (2, 2), (2, 2)),
            Flatten("flat", "pool"),
            Linear("fc", "flat", Weights(codes(4, 3, 144), 4, "odd")),
            Logits("logits", "fc", integers(0, 1, 2), np.array([0.01, 0.01, 0.02], np.float32)),
        ),
        classes=("top", "middle", "bottom"),
        preprocessing=Preprocessing(channels=1, height=12, width=12),
        about=About(plan="w4a4", network="stripes", run="stripes-w4a4-s0", trained=True),
    )


@pytest.fixture
def artifact(graph: IntGraph, tmp_path: Path) -> Path:
    """It, as a file."""
    path = tmp_path / "stripes.glassbit"
    graph.save(path)
    return path
