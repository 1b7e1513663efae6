"""What a recipe says about training, as options of `fit`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from glassbit.recipe import RunRecipe
from glassbit.train import FitOptions


def fit_options(run: RunRecipe) -> FitOptions:
    """Return the options of a run; those of its `training` have the same names there."""
    outside: dict[str, Any] = {"validation": run.data.validation, "seed": run.seed, "deploy_epochs": run.deploy_epochs}
    names = [field.name for field in fields(FitOptions) if field.name not in outside]
    return FitOptions(**outside, **{name: getattr(run.training, name) for name in names})
