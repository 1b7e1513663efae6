"""A run's recipe as a network inside its training objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from glassbit.datasets import Dataset, calibration_images, split_validation
from glassbit.models import Classifier, to_unit
from glassbit.quant import Conversion, calibrate_, quantize_
from glassbit.recipe import RunRecipe
from glassbit.train import CrossEntropy, Objective, RandomMasking, SaliencyGuided, load_weights

from ._network import build_network
from ._plan import build_plan

_MAKERS: Mapping[str, Callable[..., Objective]] = {"ce": CrossEntropy, "sgt": SaliencyGuided, "random": RandomMasking}


@dataclass(frozen=True)
class Built:
    """A run, ready to train.

    Args:
        objective: owns the network, on the CPU.
        model: the network with its normalisation, the objective's `model`.
        conversion: what was quantized and what was left, or None in full precision.
    """

    objective: Objective
    model: Classifier
    conversion: Conversion | None


def build(run: RunRecipe, data: Dataset, *, start: Path | None = None) -> Built:
    """Make the network, quantize it where the recipe has a plan, and wrap it in its objective.

    Args:
        run: what to build.
        data: the run's data set; decides classes, channels and normalisation.
        start: a checkpoint of the same network to start from, with the bits of the recipe's `origin`; in full precision
            where it has none.

    Raises:
        UsageError: the network does not fit the data, or the plan does not fit the network.
        RunError: `start` is no checkpoint of this network.
    """
    network = build_network(run.model, classes=len(data.classes), channels=data.channels, size=data.size, seed=run.seed)
    model = Classifier(network, mean=data.mean, std=data.std)
    quantized = run.origin is not None and run.origin.plan is not None
    if start is not None and not quantized:
        load_weights(model, start, "the same network in full precision, on the same data")
    conversion = None
    if run.plan is not None:
        example = torch.zeros(2, data.channels, *data.size)
        conversion = quantize_(model.network, build_plan(run.plan), example=example)
        if run.plan.alpha == "data":
            rest, _ = split_validation(data.train, fraction=run.data.validation, seed=run.seed)
            calibrate_(model, to_unit(calibration_images(rest, seed=run.seed)))
    if start is not None and quantized:
        load_weights(model, start, "the same network with the same bits, on the same data")
    return Built(_objective(run, model), model, conversion)


def _objective(run: RunRecipe, model: Classifier) -> Objective:
    options = {} if run.options is None else run.options.model_dump(exclude={"name", "start"})
    return _MAKERS[run.objective](model, **options)
