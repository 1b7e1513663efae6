"""The images that `glassbit explain` explains."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from glassbit._errors import RunError
from glassbit._npz import read_arrays
from glassbit.cli._own_images import image_files
from glassbit.pictures import Framing, decoded, settle
from glassbit.recipe import data_slug
from glassbit.study import SavedRun


@dataclass(frozen=True)
class Pictures:
    """Images as a run's network takes them.

    Args:
        images: uint8.
        names: one per image.
        labels: the true classes, where they are known.
    """

    images: UInt8[Tensor, "n c h w"]
    names: tuple[str, ...]
    labels: Int64[Tensor, " n"] | None = None


def probe_pictures(saved: SavedRun) -> Pictures:
    """Return the probe images of a run, which lie in its folder or in that of its study.

    Raises:
        RunError: there are none, or not those of this run's data.
    """
    study = saved.folder.resolve().parent.parent
    places = (saved.folder / "probes.npz", study / f"probes-{data_slug(saved.run.data)}.npz", study / "probes.npz")
    path = next((path for path in places if path.is_file()), None)
    if path is None:
        looked = ", ".join(map(str, places))
        must = f"{saved.folder}: must have probe images in {looked}"
        raise RunError(f"{must}; got none; name some with --images FOLDER")
    try:
        file = read_arrays(path)
        images, labels = torch.from_numpy(file["images"]), torch.from_numpy(file["labels"])
        classes = tuple(map(str, file["classes"])) if "classes" in file else saved.classes
        digest = str(file["digest_test"]) if "digest_test" in file else saved.digests.get("test")
    except OSError as error:
        raise RunError(f"{path}: must be readable; got: {error.strerror}; name some with --images FOLDER") from error
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path}: must hold the probe images; got a damaged file; name some with --images FOLDER"
        ) from error
    fits = (
        images.dtype == torch.uint8
        and labels.dtype == torch.int64
        and tuple(images.shape[1:]) == (saved.channels, *saved.size)
    )
    fits = fits and classes == saved.classes and digest == saved.digests.get("test", digest)
    if not fits or labels.shape != images.shape[:1] or not all(0 <= i < len(saved.classes) for i in labels.tolist()):
        raise RunError(f"{path}: must hold the images of this run's data; got others; name some with --images FOLDER")
    return Pictures(images, tuple(f"{i} {saved.classes[label]}" for i, label in enumerate(labels.tolist())), labels)


def own_pictures(place: Path, saved: SavedRun) -> Pictures:
    """Return the images in a folder, or one image, brought to the size and the channels that the run was trained on.

    Raises:
        DataError: there are none, or some cannot be read; all of those are named.
    """
    files, names = image_files([place], "--images")
    wanted = Framing(size=saved.size, resize=saved.run.data.resize, color="grey" if saved.channels == 1 else "rgb")
    pixels = np.concatenate(list(decoded(files, settle(files, wanted)).chunks()))
    return Pictures(torch.from_numpy(pixels), names)
