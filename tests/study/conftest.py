from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from glassbit import datasets
from glassbit.recipe import Recipe, RunRecipe, expand, parse


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLASSBIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hundred real images in a file, sixty of them to train; not in `tmp_path`, which a run may have for itself."""
    mini = datasets.load("fashion-mini")
    path = tmp_path_factory.mktemp("images") / "tiny.npz"
    np.savez(
        path,
        train_images=mini.train.images[:120].numpy(),
        train_labels=mini.train.labels[:120].numpy() % 4,
        test_images=mini.test.images[:40].numpy(),
        test_labels=mini.test.labels[:40].numpy() % 4,
    )
    return path


@pytest.fixture
def recipe(images: Path) -> Callable[[str], Recipe]:
    """A tiny recipe; what is given is put behind it, or in the place of the key of the same name."""

    def make(more: str = "") -> Recipe:
        lines = {
            "name": "name: tiny",
            "data": f"data: {images}",
            "model": "model: {name: cnn-bn, arguments: {width: 2}}",
            "training": "training: {epochs: 1, batch_size: 20, device: cpu}",
            "evaluation": "evaluation: {probes: 4, images: 20}",
            "transparency": "transparency: {images: 0}",
        }
        lines |= {line.partition(":")[0]: line for line in more.splitlines()}
        return parse("\n".join(lines.values()))

    return make


@pytest.fixture
def one(recipe: Callable[[str], Recipe]) -> Callable[[str], RunRecipe]:
    """The last run of a tiny recipe."""

    def make(more: str = "") -> RunRecipe:
        return expand(recipe(more))[-1]

    return make
