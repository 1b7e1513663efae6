"""Whether the images of a run are still those that it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from glassbit._errors import DataError, RunError, UsageError
from glassbit.build import build_data
from glassbit.datasets import Dataset, NotHereError, catalogue, digest, with_classes
from glassbit.recipe import DataRecipe

from ._state import SavedRun, saved_run

Part = Literal["train", "test"]
PARTS: tuple[Part, ...] = ("train", "test")


def digests(data: Dataset) -> dict[str, str]:
    """Return what `run.json` keeps of the images and labels of both parts."""
    return {"train": digest(data.train), "test": digest(data.test)}


def changes(saved: SavedRun, data: Dataset, *, parts: Sequence[Part] = PARTS) -> tuple[str, ...]:
    """Return how the images of a data set differ from those that a run was trained on; nothing if they are the same.

    Runs of earlier versions know how many images there were and no digest; only the number is compared then.

    Args:
        saved: the run.
        data: its data set as it is now, with the classes numbered as the run has them.
        parts: which parts matter.
    """
    differing = []
    for part in parts:
        split = data.train if part == "train" else data.test
        before, now = saved.counts.get(part), len(split)
        if before is not None and before != now:
            differing.append(f"{before} {_NAMES[part]} images then, {now} now")
        elif part in saved.digests and saved.digests[part] != digest(split):
            differing.append(f"other {_NAMES[part]} images or labels, or another order of them")
    return tuple(differing)


def check_finished(folders: Sequence[Path], data: Dataset | None) -> None:
    """Refuse to pass over finished runs whose images are others now.

    Args:
        folders: of the runs.
        data: their data set as it is now; None where it is not there, and so cannot be others.

    Raises:
        UsageError: the classes are others.
        RunError: the images are others.
    """
    if data is None:
        return
    for saved in map(saved_run, folders):
        differing = changes(saved, with_classes(data, saved.classes, network=saved.run.id))
        if differing:
            raise RunError(
                f"{saved.folder}: a finished run must have the images of its training; got another {data.name} "
                f"({'; '.join(differing)}); bring the old images back, choose another folder, or delete this one"
            )


def data_there(recipe: DataRecipe) -> Dataset | None:
    """Return the data set of a recipe where it is on this machine and can have changed.

    Raises:
        DataError, UsageError: the images are there, and cannot be read any more.
    """
    known = {entry.name: entry for entry in catalogue()}.get(recipe.name)
    if known is not None and known.included:
        return None
    try:
        return build_data(recipe, download=False)
    except NotHereError:
        return None
    except (DataError, UsageError):
        if known or (Path(recipe.dir or ".").expanduser() / Path(recipe.name).expanduser()).exists():
            raise
        return None


_NAMES: Mapping[Part, str] = {"train": "training", "test": "test"}
