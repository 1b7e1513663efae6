"""What a run folder holds: nothing, an unfinished run, or a finished one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from torch import nn

from glassbit._errors import GlassbitWarning, RunError
from glassbit.build import build_network, build_plan, check_trusted
from glassbit.deploy import Deployed
from glassbit.models import Classifier
from glassbit.quant import quantize_
from glassbit.recipe import DEPLOY_OPTIONS, RunRecipe, TrainingRecipe, differences
from glassbit.runs import HEAD, RESULT, Head, Images
from glassbit.train import load_weights, set_threads, threads_kept

State = Literal["new", "unfinished", "finished"]
MEASURED = "transparency.json"
_AGAIN = "delete it and call what made the run again, which goes on with its checkpoints"


def state(folder: Path, run: RunRecipe) -> State:
    """Whether `run` is to be started, resumed or skipped in `folder`.

    Raises:
        RunError: the folder holds another run; the text names every setting that differs.
    """
    changes = changed(folder, run)
    if changes:
        raise RunError(
            f"{folder}: must hold a run with these settings; got others ({'; '.join(changes)}); change them back, "
            "choose another folder, or delete this one"
        )
    if not (folder / HEAD).is_file():
        return "new"
    return "finished" if (folder / RESULT).is_file() and not extends(folder, run) else "unfinished"


def changed(folder: Path, run: RunRecipe) -> tuple[str, ...]:
    """Every setting by which `run` differs from the run in `folder`; nothing where there is none yet, or where it only
    goes on with it (`extends`).
    """
    if not (folder / HEAD).is_file():
        return ()
    saved = _head(folder)
    if saved.digest == run.digest or extends(folder, run):
        return ()
    return tuple(differences(dict(saved.config or {}), run.config())) or ("its digest",)


def extends(folder: Path, run: RunRecipe) -> bool:
    """Whether `run` is the run in `folder` with epochs in deployed arithmetic added, of which that one has none."""
    if not (run.deploy_epochs and (folder / HEAD).is_file()):
        return False
    without = run.training.model_copy(
        update={name: TrainingRecipe.model_fields[name].default for name in DEPLOY_OPTIONS}
    )
    return _head(folder).digest == run.model_copy(update={"training": without}).digest


@dataclass(frozen=True)
class SavedRun:
    """A run read back from its folder.

    Args:
        folder: where it is.
        run: its recipe.
        classes: the class names.
        channels: of its images.
        size: height and width of its images, pixels.
        mean: of the training pixels, one number per channel, in [0, 1] units.
        std: as `mean`.
        counts: how many images each part had, "train" and "test", where `run.json` says so.
        scaling: of its data set; see `Dataset`.
        digests: SHA-256 of the images and labels of each part (`datasets.digest`); empty in runs of earlier versions.
    """

    folder: Path
    run: RunRecipe
    classes: tuple[str, ...]
    channels: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    scaling: str = ""


def saved_run(folder: Path) -> SavedRun:
    """Read `run.json` of a run folder.

    Raises:
        RunError: there is none, or it is not what a run leaves.
    """
    if not (folder / HEAD).is_file():
        raise RunError(
            f"{folder}: must be the folder of a run, as `glassbit train` or `glassbit study` leaves it; got one "
            "without run.json; check the path"
        )
    images = _head(folder).images or Images()
    classes, channels, size, mean, std = images.classes, images.channels, images.size, images.mean, images.std
    if classes is None or channels is None or size is None or len(size) != 2 or mean is None or std is None:
        raise _not_whole(folder, "images")
    try:
        run = RunRecipe.model_validate(_head(folder).config)
    except ValidationError as error:
        keys = (".".join(("config", *map(str, problem["loc"]))) for problem in error.errors()[:3])
        raise _not_whole(folder, ", ".join(keys)) from error
    return SavedRun(
        folder=folder,
        run=run,
        classes=classes,
        channels=channels,
        size=(size[0], size[1]),
        mean=mean,
        std=std,
        counts={part: n for part, n in (("train", images.train), ("test", images.test)) if n is not None},
        scaling=images.scaling,
        digests=images.digests or {},
    )


def _head(folder: Path) -> Head:
    return Head.read(folder / HEAD, repair=_AGAIN)


def _not_whole(folder: Path, keys: str) -> RunError:
    return RunError(f"{folder / HEAD}: must hold what Glassbit writes there; got other values ({keys}); {_AGAIN}")


@contextmanager
def as_it_began(folder: Path, run: RunRecipe) -> Iterator[None]:
    """Compute inside the block with as many threads as the run in `folder` began with, where it says so."""
    with threads_kept():
        threads = _head(folder).threads if (folder / HEAD).is_file() else None
        if threads is not None and threads > 0 and _on_cpu(run.training.device):
            set_threads(threads, folder)
        yield


def _on_cpu(device: str) -> bool:
    return device == "cpu" or (device == "auto" and not torch.accelerator.is_available())


def trained_model(folder: Path, *, trust: bool | str = False) -> Classifier:
    """Return the network of a run with its best weights, on the CPU, in eval mode; the data set itself is not needed.

    Args:
        folder: of the run.
        trust: whether a network that does not come with Glassbit may be imported: the folder may come from elsewhere,
            and `run.json` can name any module. A name, as a recipe gives it, allows that one alone.

    Raises:
        RunError: the folder holds no run, or it has no checkpoint yet.
        UsageError: a network of the user's is not trusted, or cannot be imported any more.
    """
    saved = saved_run(folder)
    model = _untrained(saved, trust)
    _load(model, folder / "best.pt")
    return model.eval()


def deployed_model(folder: Path, *, trust: bool | str = False) -> Deployed | None:
    """Return the network of a run with its best weights in deployed arithmetic, on the CPU, in eval mode.

    None if the run did not train in it.

    Args:
        folder: of the run.
        trust: see `trained_model`.

    Raises:
        RunError: the folder holds no run, or it has no such checkpoint yet.
        UsageError: a network of the user's is not trusted, or cannot be imported any more.
    """
    saved = saved_run(folder)
    if not saved.run.deploy_epochs:
        return None
    model = Deployed(_untrained(saved, trust), torch.zeros(2, saved.channels, *saved.size, dtype=torch.uint8))
    _load(model, folder / "deployed.pt")
    return model.eval()


def _untrained(saved: SavedRun, trust: bool | str) -> Classifier:
    check_trusted(saved.run.model.name, trust=trust, source=saved.folder / HEAD)
    network = build_network(
        saved.run.model, classes=len(saved.classes), channels=saved.channels, size=saved.size, seed=saved.run.seed
    )
    model = Classifier(network, mean=saved.mean, std=saved.std)
    if saved.run.plan is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GlassbitWarning)
            example = torch.zeros(2, saved.channels, *saved.size)
            quantize_(model.network, build_plan(saved.run.plan), example=example)
    return model


def _load(model: nn.Module, path: Path) -> None:
    folder = path.parent
    if not path.exists() and not (folder / "last.pt").exists() and (folder / RESULT).is_file():
        raise RunError(
            f"checkpoint {path}: must exist; got neither it nor last.pt; delete {folder / RESULT} and call what made "
            "the run again, which trains it anew"
        )
    load_weights(model, path, "the network of run.json")
