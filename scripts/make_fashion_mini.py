"""Make the embedded data set `fashion-mini`: the first 600 + 100 images of every class of Fashion-MNIST.

    python scripts/make_fashion_mini.py FOLDER

FOLDER holds the four official files of Fashion-MNIST (https://github.com/zalandoresearch/fashion-mnist). The result is
the same to the byte wherever the same NumPy and zlib are installed, and the same to the pixel everywhere.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from glassbit._files import replacing
from glassbit.datasets import catalogue, load

TARGET = Path(__file__).parents[1] / "src/glassbit/datasets/fashion_mini.npz"
LIMIT = 4_000_000


def first_of_every_class(labels: np.ndarray, count: int) -> np.ndarray:
    """The numbers of the first `count` images of every class, in the order of the file."""
    return np.sort(np.concatenate([np.flatnonzero(labels == label)[:count] for label in np.unique(labels)]))


def main() -> None:
    """Read the full data set, write the small one."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    full = load("fashion-mnist", data_dir=sys.argv[1])
    mini = next(entry for entry in catalogue() if entry.name == "fashion-mini")
    arrays: dict[str, np.ndarray] = {"classes": np.array(full.classes)}
    for part, split, count in (("train", full.train, mini.train), ("test", full.test, mini.test)):
        rows = first_of_every_class(split.labels.numpy(), count // len(full.classes))
        arrays[f"{part}_images"] = split.images.numpy()[rows, 0]
        arrays[f"{part}_labels"] = split.labels.numpy()[rows].astype(np.uint8)
    with replacing(TARGET) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    size = TARGET.stat().st_size
    print(f"{TARGET}: {len(arrays['train_labels'])} + {len(arrays['test_labels'])} images, {size / 1e6:.2f} MB")
    if size > LIMIT:
        sys.exit(f"larger than the {LIMIT / 1e6:.0f} MB that the package may carry")


if __name__ == "__main__":
    main()
