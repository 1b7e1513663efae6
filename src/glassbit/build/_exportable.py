"""Whether the network of a recipe can be exported, asked before anything is trained."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch

from glassbit import datasets
from glassbit._count import counted
from glassbit._errors import GlassbitWarning
from glassbit.deploy import export_problems
from glassbit.quant import quantize_
from glassbit.recipe import DataRecipe, RunRecipe

from ._data import build_data
from ._network import SHIPPED, Shape, build_network
from ._plan import build_plan


def image_shape(data: DataRecipe) -> tuple[int, Shape]:
    """Return the number of classes, and (c, h, w) of the images; files of the catalogue are not needed."""
    known = next((entry for entry in datasets.catalogue() if entry.name == data.name), None)
    if known is None:
        loaded = build_data(data, download=False)
        return len(loaded.classes), (loaded.channels, *loaded.size)
    channels = {"auto": known.channels, "grey": 1, "rgb": 3}[data.color]
    return len(known.classes), (channels, *(data.size or (known.side, known.side)))


def reference_shape(model: str, data: DataRecipe) -> tuple[int, Shape]:
    """Return the number of classes, and (c, h, w) of the images, that the network `model` was published with.

    The size and the channels that `data` asks for go before. A network of the user's has no reference: it is shown on
    the images of `data`.
    """
    if model not in SHIPPED:
        return image_shape(data)
    shipped = SHIPPED[model]
    channels = {"auto": shipped.shape[0], "grey": 1, "rgb": 3}[data.color]
    return shipped.classes, (channels, *(data.size or shipped.shape[1:]))


def recipe_problems(run: RunRecipe) -> tuple[str, ...]:
    """Return what keeps the network of `run`, with its plan, from being exported; see `deploy.export_problems`.

    Raises:
        DataError: the images are not there.
        UsageError: the network does not fit the images, or the plan the network.
    """
    classes, shape = image_shape(run.data)
    network = build_network(run.model, classes=classes, channels=shape[0], size=shape[1:], seed=run.seed)
    if run.plan is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GlassbitWarning)  # said when the run is built
            conversion = quantize_(network, build_plan(run.plan), example=torch.zeros(2, *shape))
        if conversion.without_effect:  # here too, as the processes of a study cannot be heard
            warnings.warn(f"plan {run.plan.slug}: {conversion.without_effect}", GlassbitWarning, stacklevel=2)
    return export_problems(network, torch.zeros(1, *shape, dtype=torch.uint8))


def exportable(problems: Sequence[str]) -> str:
    """Return `exportable: yes`, or `no` and the reasons, one per line."""
    if not problems:
        return "exportable: yes"
    if len(problems) == 1:
        return f"exportable: no ({problems[0]})"
    return "\n".join(
        [f"exportable: no ({counted(len(problems), 'thing')})", *(f"  - {problem}" for problem in problems)]
    )
