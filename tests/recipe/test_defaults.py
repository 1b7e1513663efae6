"""Names and defaults that recipes repeat, because reading a recipe must not load torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from glassbit.quant import NAMED_PLANS, Plan, Rule
from glassbit.recipe import (
    OBJECTIVE_OPTIONS,
    DataRecipe,
    EvaluationRecipe,
    FinetuningRecipe,
    MaskingRecipe,
    ModelRecipe,
    PlanRecipe,
    RandomRecipe,
    Recipe,
    RuleRecipe,
    RunRecipe,
    SaliencyRecipe,
    TrainingRecipe,
)
from glassbit.recipe._options import NamedPlan
from glassbit.runs import MASKED, OBJECTIVES
from glassbit.train import RandomMasking, SaliencyGuided, fit


@pytest.mark.parametrize(
    ("model", "function", "apart"),
    [
        (TrainingRecipe, fit, {"start", "epochs"}),
        (SaliencyRecipe, SaliencyGuided, {"name", "start"}),
        (RandomRecipe, RandomMasking, {"start"}),
        (PlanRecipe, Plan, {"rules", "name", "alpha"}),  # a recipe has images to set alpha from
        (RuleRecipe, Rule, {"layers", "weight", "activation"}),
    ],
)
def test_defaults_are_those_of_the_library(
    model: type[BaseModel], function: Callable[..., Any], apart: set[str]
) -> None:
    theirs = inspect.signature(function).parameters
    ours = {name: field.get_default(call_default_factory=True) for name, field in model.model_fields.items()}
    assert {name: theirs[name].default for name in ours if name not in apart} == {
        name: value for name, value in ours.items() if name not in apart
    }


def test_validation_share_is_that_of_fit() -> None:
    assert DataRecipe().validation == inspect.signature(fit).parameters["validation"].default


def test_named_plans_are_those_of_the_library() -> None:
    assert get_args(NamedPlan) == tuple(NAMED_PLANS)


@pytest.mark.parametrize(
    "model",
    [
        DataRecipe,
        ModelRecipe,
        PlanRecipe,
        RuleRecipe,
        TrainingRecipe,
        FinetuningRecipe,
        SaliencyRecipe,
        EvaluationRecipe,
    ],
)
def test_every_option_says_what_it_is(model: type[BaseModel]) -> None:
    assert [name for name, field in model.model_fields.items() if not field.description] == []


def test_the_options_of_every_objective_are_part_of_runs_and_studies():
    assert OBJECTIVE_OPTIONS.keys() <= OBJECTIVES.keys() & RunRecipe.model_fields.keys() & Recipe.model_fields.keys()
    assert {name for name, model in OBJECTIVE_OPTIONS.items() if issubclass(model, MaskingRecipe)} == set(MASKED)
    for name, model in OBJECTIVE_OPTIONS.items():
        assert RunRecipe.model_validate({"objective": name}).options == model()
    assert RunRecipe().options is None
