"""Recipes from YAML files, with the line of every problem."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from glassbit._errors import RecipeError, UsageError
from glassbit.runs import MASKED

from ._problems import Path as Keys
from ._problems import check, suggestion
from ._recipe import Recipe, RunRecipe, grid_problems
from ._yaml import line_number, place, read_text, yaml_values

_SHIPPED = "shipped"


@dataclass(frozen=True)
class RecipeFile:
    """A recipe and where it came from.

    Args:
        recipe: what the file says.
        text: the file as it is.
        source: its path, or the bare name of a shipped recipe.
    """

    recipe: Recipe
    text: str
    source: str


def shipped() -> tuple[str, ...]:
    """Return the names of the recipes that come with the package."""
    files = resources.files("glassbit.recipe").joinpath(_SHIPPED).iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def load(source: str | Path) -> RecipeFile:
    """Read a recipe.

    Args:
        source: a YAML file, or the bare name of a shipped recipe; end a file's name in .yaml to tell it apart.

    Raises:
        UsageError: there is no such file or shipped recipe.
        RecipeError: the recipe has problems; all of them are listed with their lines.
    """
    name, path = str(source), Path(source)
    if name in shipped():
        text = resources.files("glassbit.recipe").joinpath(_SHIPPED, f"{name}.yaml").read_text(encoding="utf-8")
        return RecipeFile(parse(text, name), text, name)
    if not path.is_file():
        near = suggestion(path.name.removesuffix(".yaml"), shipped())
        hint = f"; did you mean {near}?" if near else ""
        raise UsageError(
            f"recipe must be a YAML file or one of {', '.join(shipped())}; got {name!r}, which is no file{hint}"
        )
    text = read_text(path)
    return RecipeFile(parse(text, name), text, name)


def parse(text: str, source: str = "recipe") -> Recipe:
    """Return a recipe from YAML text.

    Args:
        text: the YAML.
        source: what errors call it.

    Raises:
        RecipeError: every problem, once, each with its line.
    """
    values, lines = yaml_values(text, source)
    recipe, problems = check(Recipe, values, lambda path: place(path, lines), more=_grid(values))
    if problems:
        raise RecipeError(source, sorted(problems, key=line_number))
    assert isinstance(recipe, Recipe)
    return recipe


def run_recipe(
    values: Mapping[str, Any], source: str = "command line", *, lines: Mapping[Keys, int] | None = None
) -> RunRecipe:
    """Return a single run from plain values, e.g. those of command-line flags.

    Args:
        values: the fields of `RunRecipe`; data, model and plan may be given by name alone.
        source: what errors call it.
        lines: of the keys that are from a file, not from a flag.

    Raises:
        RecipeError: every problem, once, under the name of its flag or its line.
    """
    written = dict(lines or {})
    run, problems = check(
        RunRecipe, dict(values), lambda path: place(path, written) if path[:2] in written else _flag(path)
    )
    if problems:
        raise RecipeError(source, problems)
    assert isinstance(run, RunRecipe)
    return run


def _flag(path: Keys) -> str:
    keys = [str(part) for part in path if isinstance(part, str)]
    if len(keys) > 1 and keys[-1] == "name":
        keys.pop()
    return f"--{keys[-1].replace('_', '-')}" if keys else "run"


def _grid(values: dict[str, Any]) -> list[tuple[Keys, str]]:
    """Problems between the parts of the grid, also where other parts are invalid by themselves."""

    def many(key: str) -> list[Any]:
        value = values.get(key, [])
        return value if isinstance(value, list) else [] if value is None else [value]

    training = values.get("training")
    training = training if isinstance(training, dict) else {}
    return grid_problems(
        arms=many("arms") or ["fp32"],
        plans=[
            plan if isinstance(plan, str) else json.dumps(plan, sort_keys=True, default=str) for plan in many("plans")
        ],
        seeds=many("seeds"),
        data=(),
        model=(),
        settings=[setting.get("name") if isinstance(setting, dict) else setting for setting in many("sgt")],
        start=training.get("start"),
        starts={key: [setting.get("start") for setting in many(key) if isinstance(setting, dict)] for key in MASKED},
        deploy_epochs=training.get("deploy_epochs"),
        finetuning=bool(values.get("finetuning")),
        full_edges=[
            i for i, plan in enumerate(many("plans")) if isinstance(plan, dict) and plan.get("edges") == "full"
        ],
    )
