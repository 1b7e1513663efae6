"""A fixed set of images whose saliency maps are kept while a network trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from numpy.typing import NDArray
from torch import Tensor, nn

from glassbit._errors import RunError, UnreadableError
from glassbit._files import is_kept_back, replacing
from glassbit._modes import evaluating
from glassbit._npz import read_arrays
from glassbit._random import derive
from glassbit.datasets import Dataset
from glassbit.explain import saliency
from glassbit.models import to_unit

_LARGEST = float(np.finfo(np.float16).max)


class Probes:
    """Test images, class by class in turn, the same for every run of a data set.

    Args:
        data: where they are from.
        count: how many; fewer where the test set is smaller.
    """

    def __init__(self, data: Dataset, count: int) -> None:
        order = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(derive("probe images")))
        labels = data.test.labels[order]
        turn = torch.zeros(len(order), dtype=torch.int64)
        for label in range(len(data.classes)):
            mine = labels == label
            turn[mine] = torch.arange(int(mine.sum()))
        chosen = order[(turn * len(data.classes) + labels).argsort()[:count]]
        self.images: UInt8[Tensor, "p c h w"] = data.test.take(chosen)
        self.labels: Int64[Tensor, " p"] = data.test.labels[chosen]
        self.classes = data.classes

    def save(self, path: Path, digests: Mapping[str, str]) -> None:
        """Write the images, unless they are there.

        Args:
            path: of the file, which all runs of a study on one data set share.
            digests: of the parts of the data set; kept with the images.

        Raises:
            RunError: the file is there and holds images of other data.
        """
        arrays: dict[str, NDArray[Any]] = {
            "images": self.images.numpy(),
            "labels": self.labels.numpy(),
            "classes": np.array(self.classes),
            **{f"digest_{part}": np.array(value) for part, value in digests.items()},
        }
        there = _stored(path)
        if there is None:
            save_arrays(path, arrays)
            return
        differing = [name for name, value in arrays.items() if name in there and not np.array_equal(value, there[name])]
        if differing:
            raise RunError(
                f"{path}: must hold probe images of the data set as it is now; got other {', '.join(differing)}: "
                "images or labels changed since the first run here; bring the old ones back, or choose another folder"
            )

    def maps(self, model: nn.Module) -> tuple[Float[Tensor, "p h w"], Float[Tensor, "p k"]]:
        """Gradient maps for the true labels, and the predicted probabilities, on the CPU."""
        device = next(model.parameters()).device
        images = to_unit(self.images.to(device))
        maps = saliency(model, images, self.labels.to(device)).detach().float().cpu()
        with evaluating(model), torch.no_grad():
            probabilities = model(images).float().softmax(1).cpu()
        return maps, probabilities


class Recorder:
    """Stores the probes' maps after every n-th epoch, before the first, and after the last.

    Args:
        probes: the images.
        folder: gets `epoch-000.npz`, ...
        every: n.
        last: epochs after which they are stored anyway.
    """

    def __init__(self, probes: Probes, folder: Path, *, every: int, last: tuple[int, ...]) -> None:
        self.probes = probes
        self.folder = folder
        self.every = every
        self.last = last

    def __call__(self, epoch: int, model: nn.Module) -> None:
        """Save the maps after an epoch; `fit` calls it."""
        if epoch % self.every and epoch not in self.last:
            return
        maps, probabilities = self.probes.maps(model)
        small = maps.clamp(max=_LARGEST).half().numpy()
        save_arrays(
            self.folder / f"epoch-{epoch:03d}.npz", {"maps": small, "predictions": probabilities.argmax(1).numpy()}
        )


def _stored(path: Path) -> dict[str, NDArray[Any]] | None:
    """Return what the file holds; None where there is none, or a damaged one.

    Raises:
        UnreadableError: it is there, and cannot be read now.
    """
    try:
        return read_arrays(path)
    except OSError as error:
        if is_kept_back(error):
            raise UnreadableError(f"{path}: must be readable; got: {error.strerror}; allow it") from error
        return None
    except ValueError:
        return None


def save_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write a compressed .npz atomically."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
