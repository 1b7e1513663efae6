"""Flags and the recipe say the same."""

from __future__ import annotations

import inspect
from typing import Annotated, Any

import pytest
from pydantic import Field

from glassbit._errors import RecipeError, UsageError
from glassbit.cli._flags import parse
from glassbit.cli._run_flags import (
    DATA,
    EVALUATION,
    MASKING,
    MODEL,
    OWN,
    PLAN,
    RUN,
    TRAINING,
    own_flags,
    put_own,
    recipe_of,
)
from glassbit.cli._train import train
from glassbit.recipe import DataRecipe, MaskingRecipe, ModelRecipe, RunRecipe, SaliencyRecipe, TrainingRecipe

SECTIONS = (DATA, MODEL, PLAN, RUN, TRAINING, MASKING, *OWN, EVALUATION)


def test_every_key_of_a_run_has_a_flag():
    """Except `rules`, which need a file, and both `start`, which is a folder on the command line."""
    flags = {section.flag(field) for section in SECTIONS for field in section.fields()}
    assert len(flags) == sum(len(section.fields()) for section in SECTIONS)
    assert {
        "--data",
        "--data-dir",
        "--model",
        "--plan",
        "--objective",
        "--seed",
        "--epochs",
        "--batch-size",
        "--k",
    } <= flags
    keys = {section.key: set(section.model.model_fields) - set(section.fields()) for section in SECTIONS}
    assert keys["plan"] == {"rules"}
    assert keys["training"] == {"start"}
    assert keys["masking"] == {"start"}
    assert not keys["data"] | keys["model"] | keys["evaluation"]


def test_what_is_left_out_is_left_to_the_recipe():
    assert recipe_of({}) == RunRecipe()
    assert all(
        parameter.default is None
        for name, parameter in inspect.signature(train).parameters.items()
        if name not in ("tensorboard", "offline", "quiet")
    )


@pytest.mark.parametrize(
    ("model", "field", "text", "value"),
    [
        (TrainingRecipe, "epochs", "3", 3),
        (TrainingRecipe, "lr", "0.1", 0.1),
        (TrainingRecipe, "lr", "5e-4", 5e-4),
        (TrainingRecipe, "lr", "1", 1),
        (TrainingRecipe, "epochs", "three", "three"),
        (TrainingRecipe, "milestones", "0.3,0.6", [0.3, 0.6]),
        (TrainingRecipe, "milestones", "0.5", [0.5]),
        (TrainingRecipe, "device", "cpu", "cpu"),
        (DataRecipe, "name", "2024", "2024"),
        (DataRecipe, "size", "32", 32),
        (DataRecipe, "size", "32,48", [32, 48]),
        (DataRecipe, "size", "32x48", [32, 48]),
        (ModelRecipe, "arguments", "width=32,shortcut=B,deep=true", {"width": 32, "shortcut": "B", "deep": True}),
    ],
)
def test_texts_become_values_of_the_kind_that_the_key_wants(model, field, text, value):
    found = parse("--flag", text, model.model_fields[field])
    assert found == value
    assert type(found) is type(value)


def test_arguments_need_a_key():
    with pytest.raises(UsageError, match=r"--arguments: must be key=value,key=value; got 'width'"):
        parse("--arguments", "width", ModelRecipe.model_fields["arguments"])


def test_masking_options_go_to_the_objective():
    assert recipe_of({"run": {"objective": "sgt"}, "masking": {"k": 0.3}}).sgt.k == 0.3
    assert recipe_of({"run": {"objective": "random"}, "masking": {"k": 0.3}}).random.k == 0.3
    assert recipe_of({"run": {"objective": "sgt"}}).sgt == SaliencyRecipe()
    assert recipe_of({"run": {"objective": "sgt"}, "masking": {"name": "released"}}).arm == "sgt-released"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"masking": {"k": 0.3}}, "--k: must be used with --objective sgt or --objective random; got --objective ce"),
        (
            {"run": {"objective": "random"}, "masking": {"ranking": "signed"}},
            "--ranking: must be used with --objective sgt; got --objective random; use one of those, or leave it out",
        ),
        (
            {"run": {"objective": "random"}, "masking": {"name": "released"}},
            "--sgt: must be used with --objective sgt; got --objective random; use one of those, or leave it out",
        ),
        ({"plan": {"edges": "full"}}, "--edges: must be used with --plan; got no --plan; add e.g. --plan w4a4"),
    ],
)
def test_flags_without_effect_are_refused(values, text):
    with pytest.raises(UsageError) as error:
        recipe_of(values)
    assert text in str(error.value)


@pytest.mark.parametrize(
    ("plan", "objective", "arm", "origin"),
    [
        ("w4a4", "ce", "fp32", "fp32-s0"),
        ("w4a4", "sgt", "sgt", "sgt-s0"),
        ("w4a4", "sgt", "fp32", "fp32-s0"),
        ("w4a4", "random", "fp32", "fp32-s0"),
        ("w4a4", "sgt", "pact", "pact-w4a4-s0"),
        (None, "sgt", "fp32", "fp32-s0"),
        ("w4a4", "ce", "sgt", "fp32-s0"),  # which is not the run that was named, and `run_one` says so
    ],
)
def test_starting_weights_are_those_that_the_named_run_can_have(plan, objective, arm, origin):
    values = {"run": {"objective": objective}} | ({} if plan is None else {"plan": {"name": plan}})
    assert recipe_of(values, start=arm).starts_from == f"fashion-mini-cnn-bn-{origin}"


def test_starting_weights_need_a_plan_or_an_objective_that_masks():
    sgt = recipe_of({"run": {"objective": "sgt"}, "masking": {"k": 0.3}}, start="fp32")
    assert (sgt.sgt.start, sgt.sgt.k) == ("trained", 0.3)
    with pytest.raises(UsageError, match=r"--start: must be used with --plan, .* or with --objective sgt"):
        recipe_of({}, start="fp32")


def test_all_problems_come_at_once_under_their_flags():
    with pytest.raises(RecipeError) as error:
        recipe_of({"training": {"lr": -1, "epochs": "three"}, "run": {"seed": -1}, "data": {"dir": ""}})
    names = [problem.partition(":")[0] for problem in error.value.problems]
    assert sorted(names) == ["--data-dir", "--epochs", "--lr", "--seed"]


def test_a_plan_from_a_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nrules:\n  - {weight: 4, activation: 4}\n  - {layers: stage2.*, weight: 2, activation: 2}\n"
    )
    plan = recipe_of({"plan": {"name": str(path), "edges": "same"}}).plan
    assert plan is not None
    assert (plan.name, plan.edges, len(plan.rules)) == ("mine", "same", 2)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "which does not exist"),
        ("[", "line 1: must be valid YAML; got: "),
        ("- a", "must be a mapping; got no mapping; write keys, e.g. `name: my-study`"),
        (
            "name: mine\nrules: [{weight: 9, activation: 4}]",
            "line 2: rules[0].weight: must be one of 2, 3, 4, 5, 6, 7, 8, 32; got 9",
        ),
    ],
)
def test_a_plan_file_that_is_wrong(tmp_path, text, problem):
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as error:
        recipe_of({"plan": {"name": str(path)}})
    assert problem in str(error.value)
    assert str(path) in str(error.value)


class Mine(MaskingRecipe):
    """Options of an objective that is not there."""

    margin: Annotated[float, Field(gt=0)] = Field(default=0.5, description="how far apart two logits must be")


def test_an_objective_has_flags_for_the_options_that_no_masking_has():
    (section,) = own_flags({"sgt": SaliencyRecipe, "mine": Mine})
    assert {name: section.flag(name) for name in section.fields()} == {"margin": "--mine-margin"}
    assert section.title == "Options of --objective mine"
    given: dict[str, Any] = {"objective": "mine", "mine": {"k": 0.2}}
    put_own(given, {"mine": {"margin": 0.1}}, (section,))
    assert given["mine"] == {"k": 0.2, "margin": 0.1}


def test_options_of_another_objective_are_refused():
    with pytest.raises(UsageError, match="--mine-margin: must be used with --objective mine; got --objective sgt; use"):
        put_own({"objective": "sgt"}, {"mine": {"margin": 0.1}}, own_flags({"mine": Mine}))


def test_a_plan_file_without_a_name_says_what_to_add(tmp_path):
    (tmp_path / "plan.yaml").write_text("rules: [{weight: 4, activation: 4}]\n")
    with pytest.raises(
        RecipeError, match="name: must be a name for the plan; got none; add, for example, `name: mine`"
    ):
        recipe_of({"plan": {"name": str(tmp_path / "plan.yaml")}})
