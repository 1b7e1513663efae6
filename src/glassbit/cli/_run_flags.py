"""The flags of a single run, and the recipe that they add up to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclopts import Parameter
from pydantic import BaseModel

from glassbit._errors import RecipeError, UsageError
from glassbit.cli._flags import Section, Values
from glassbit.recipe import (
    OBJECTIVE_OPTIONS,
    DataRecipe,
    EvaluationRecipe,
    MaskingRecipe,
    ModelRecipe,
    PlanRecipe,
    RunRecipe,
    SaliencyRecipe,
    TrainingRecipe,
    read_text,
    run_recipe,
    yaml_values,
)
from glassbit.runs import MASKED

_WITHOUT_START = tuple(name for name in TrainingRecipe.model_fields if name != "start")
_MASKING_WITHOUT_START = tuple(name for name in SaliencyRecipe.model_fields if name != "start")
_PLAN_OPTIONS = ("name", "edges", "weights", "activations", "alpha", "signed")

TRUST = Parameter(
    help="import the network that run.json names, where it does not come with Glassbit; its code is run",
    negative="",
    show_default=False,
)
IMAGES = Section("data", DataRecipe, "Images", 1, only=("dir", "size", "resize", "color"), names=(("dir", "data_dir"),))
DATA_OF_PLAN = Section("data", DataRecipe, "Images", 1, only=("name", *IMAGES.only), names=IMAGES.names)
DATA = Section("data", DataRecipe, "Images", 1, names=IMAGES.names)
MODEL = Section("model", ModelRecipe, "Network", 2)
PLAN = Section("plan", PlanRecipe, "Bits", 3, only=_PLAN_OPTIONS)
RUN = Section("run", RunRecipe, "Training", 4, only=("objective", "seed"))
TRAINING = Section("training", TrainingRecipe, "Training", 4, only=_WITHOUT_START)
MASKING = Section(
    "masking",
    SaliencyRecipe,
    f"Masking (with --objective {' or '.join(MASKED)})",
    5,
    only=_MASKING_WITHOUT_START,
    names=(("name", "sgt"),),
)
EVALUATION = Section("evaluation", EvaluationRecipe, "Measurements", 6)


def own_flags(options: Mapping[str, type[BaseModel]]) -> tuple[Section, ...]:
    """Return the flags that objectives have for themselves, such as `--mine-margin`: options that masking has not.

    >>> own_flags({"mine": SaliencyRecipe})
    ()
    """
    fields = {
        name: [
            field
            for field in model.model_fields
            if not (issubclass(model, MaskingRecipe) and field in SaliencyRecipe.model_fields)
        ]
        for name, model in options.items()
    }
    return tuple(
        Section(
            name,
            options[name],
            f"Options of --objective {name}",
            5,
            only=tuple(own),
            names=tuple((field, f"{name}-{field}") for field in own),
        )
        for name, own in fields.items()
        if own
    )


OWN = own_flags(OBJECTIVE_OPTIONS)


def recipe_of(values: Values, *, start: str | None = None) -> RunRecipe:
    """Return the run that the flags describe.

    Args:
        values: what was given.
        start: the arm of the run whose weights it starts from, if any.

    Raises:
        RecipeError: values that are wrong, all of them at once.
        UsageError: flags that have no effect beside the others, or a plan file that cannot be read.
    """
    given: dict[str, Any] = {
        key: dict(section)
        for key, section in values.items()
        if key not in ("run", "masking", "plan", *OBJECTIVE_OPTIONS)
    }
    given |= values.get("run", {})
    source = "command line"
    lines: dict[tuple[str | int, ...], int] = {}
    if "plan" in values:
        given["plan"], file, lines = _plan(values["plan"])
        source = file or source
    if given.get("training", {}).get("deploy_epochs") and "plan" not in given:
        raise UsageError(
            "--deploy-epochs: must be used with --plan, for a network that integers can compute; got no --plan; add a "
            "plan, or leave it out"
        )
    _masking(given, values.get("masking", {}))
    put_own(given, values, OWN)
    if start is not None:
        _start(given, start)
    try:
        return run_recipe(given, source, lines=lines)
    except RecipeError as error:
        problems = [
            problem.replace(": plan.", ": ", 1)
            if problem.startswith("line ")
            else problem.replace("--dir:", "--data-dir:", 1)
            for problem in error.problems
        ]
        raise RecipeError(error.source, problems) from None


def _plan(options: dict[str, Any]) -> tuple[dict[str, Any], str | None, dict[tuple[str | int, ...], int]]:
    """Return the plan as a mapping, the file that it is from, and the lines of its keys there."""
    if "name" not in options:
        flags = ", ".join(f"--{name}" for name in options)
        raise UsageError(f"{flags}: must be used with --plan; got no --plan; add e.g. --plan w4a4, or leave it out")
    path = Path(options["name"])
    if path.suffix not in (".yaml", ".yml"):
        return dict(options), None, {}
    rest = {name: value for name, value in options.items() if name != "name"}
    values, lines = _read(path)
    if "name" not in values:
        raise RecipeError(str(path), ["name: must be a name for the plan; got none; add, for example, `name: mine`"])
    kept = {("plan", *keys): line for keys, line in lines.items() if keys[0] not in rest}
    return {**values, **rest}, str(path), kept


def _read(path: Path) -> tuple[dict[str, Any], dict[tuple[str | int, ...], int]]:
    if not path.exists():
        raise UsageError(f"--plan: must be the name of a plan or a YAML file; got {path}, which does not exist")
    return yaml_values(read_text(path), f"--plan: {path}")


def _start(given: dict[str, Any], arm: str) -> None:
    """Say in the recipe which weights those of --start are."""
    objective = given.get("objective")
    if "plan" in given and not (objective in MASKED and arm == "pact"):
        plain = objective in MASKED and arm == "fp32"
        given["training"] = {**given.get("training", {}), "start": "plain" if plain else "float"}
    elif objective in MASKED:
        given[objective] = {**given.get(objective, {}), "start": "trained"}
    else:
        raise UsageError(
            "--start: must be used with --plan, for a quantized network that starts from full-precision weights, or "
            "with --objective sgt or random, which start from those of cross-entropy; got neither; add one, or leave "
            "it out"
        )


def _masking(given: dict[str, Any], options: dict[str, Any]) -> None:
    """Put the masking options where the objective reads them."""
    if not options:
        return
    objective = given.get("objective", "ce")
    known: dict[str, Any] = {name: OBJECTIVE_OPTIONS[name].model_fields for name in MASKED}
    useless = [
        name
        for name in options
        if name not in known.get(objective, options if objective not in ("ce", *MASKED) else {})
    ]
    if useless:
        flags = ", ".join(map(MASKING.flag, useless))
        others = " or ".join(f"--objective {name}" for name in MASKED if known[name].keys() >= set(useless))
        raise UsageError(
            f"{flags}: must be used with {others}; got --objective {objective}; use one of those, or leave it out"
        )
    given[objective if objective in MASKED else "sgt"] = options


def put_own(given: dict[str, Any], values: Values, sections: Sequence[Section]) -> None:
    """Put the options that one objective has for itself where it reads them."""
    objective = given.get("objective", "ce")
    for section in sections:
        options = values.get(section.key, {})
        if options and objective != section.key:
            flags = ", ".join(map(section.flag, options))
            raise UsageError(
                f"{flags}: must be used with --objective {section.key}; got --objective {objective}; use that one, or "
                "leave it out"
            )
        if options:
            given[section.key] = {**given.get(section.key, {}), **options}
