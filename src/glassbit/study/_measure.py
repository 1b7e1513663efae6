"""What is measured of a trained network, once."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn

from glassbit._random import derive
from glassbit.build import Built
from glassbit.datasets import Dataset
from glassbit.explain import masking_curves
from glassbit.models import to_unit
from glassbit.quant import cost
from glassbit.recipe import EvaluationRecipe
from glassbit.runs import Cost, Masking, Tested
from glassbit.train import evaluate

from ._probes import Probes, save_arrays


def measure(built: Built, data: Dataset, options: EvaluationRecipe) -> dict[str, Any]:
    """Test accuracy, cost, accuracy under masking, and the layers left as they are: parts of `Result`."""
    shape = (data.channels, *data.size)
    costs = cost(built.model.network, shape)
    return {
        "test": tested(built.model, data),
        "cost": Cost.model_validate(dataclasses.asdict(costs)),
        "masking": masking(built.model, data, options),
        "left": built.conversion.left if built.conversion else (),
    }


def tested(model: nn.Module, data: Dataset) -> Tested:
    """Accuracy, loss and confusion matrix on the test images."""
    test = evaluate(model, data.test, classes=len(data.classes))
    loss = test.loss if math.isfinite(test.loss) else None
    return Tested(accuracy=test.accuracy, loss=loss, n=test.n, confusion=test.confusion)


def masking(model: nn.Module, data: Dataset, options: EvaluationRecipe) -> Masking:
    """Accuracy against the share of removed pixels, on the same test images for every run of a data set."""
    device = next(model.parameters()).device
    order = torch.randperm(len(data.test), generator=torch.Generator().manual_seed(derive("masking images")))
    rows = order[: options.images].sort().values
    images = to_unit(data.test.take(rows).to(device))
    curves = masking_curves(model, images, data.test.labels[rows].to(device), fills=options.fills, seed=0)
    return Masking(n=len(rows), fractions=curves.fractions, accuracy=curves.accuracy)


def save_final_maps(probes: Probes, model: nn.Module, path: Path) -> None:
    """Save the probes' maps of the finished network."""
    maps, probabilities = probes.maps(model)
    confidence, predictions = probabilities.max(1)
    save_arrays(path, {"maps": maps.numpy(), "predictions": predictions.numpy(), "confidence": confidence.numpy()})
