"""Recipes from YAML files, with the line of every problem."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from glassbit._errors import RecipeError, UsageError

from ._problems import Path as Keys
from ._problems import check, suggestion
from ._recipe import Recipe, RunRecipe, grid_problems

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
    """The names of the recipes that come with the package."""
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
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: must be a readable UTF-8 text file; {error}") from error
    return RecipeFile(parse(text, name), text, name)


def parse(text: str, source: str = "recipe") -> Recipe:
    """A recipe from YAML text.

    Args:
        text: the YAML.
        source: what errors call it.

    Raises:
        RecipeError: every problem, once, each with its line.
    """
    values, lines = _yaml(text, source)
    recipe, found = check(Recipe, values, lambda path: _place(path, lines), more=_grid(values))
    if found:
        raise RecipeError(source, sorted(found, key=_line_number))
    assert isinstance(recipe, Recipe)
    return recipe


def run_recipe(values: Mapping[str, Any], source: str = "command line") -> RunRecipe:
    """A single run from plain values, e.g. those of command-line flags.

    Args:
        values: the fields of `RunRecipe`; data, model and plan may be given by name alone.
        source: what errors call it.

    Raises:
        RecipeError: every problem, once, under the name of its flag.
    """
    run, found = check(RunRecipe, dict(values), _flag)
    if found:
        raise RecipeError(source, found)
    assert isinstance(run, RunRecipe)
    return run


def _flag(path: Keys) -> str:
    keys = [str(part) for part in path if isinstance(part, str)]
    if len(keys) > 1 and keys[-1] == "name":
        keys.pop()
    return f"--{keys[-1].replace('_', '-')}" if keys else "run"


def _yaml(text: str, source: str) -> tuple[dict[str, Any], dict[Keys, int]]:
    """Plain values and the line (from 1) of every key and item."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        tree = YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1
        raise RecipeError(
            source, [f"line {line}: {str(error.problem).split(' with value')[0]}; delete one of the two"]
        ) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}: " if mark else ""
        raise RecipeError(
            source, [f"{place}is not valid YAML: {error.problem or error.context}; check indentation and colons"]
        ) from error
    except YAMLError as error:
        raise RecipeError(source, [f"is not valid YAML: {error}"]) from error
    lines: dict[Keys, int] = {}
    values = _plain(tree, (), lines)
    if not isinstance(values, dict):
        raise RecipeError(
            source,
            [f"must be a mapping of keys, e.g. `name: my-study`; got {'nothing' if values is None else 'no mapping'}"],
        )
    return values, lines


def _plain(node: Any, path: Keys, lines: dict[Keys, int]) -> Any:
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarbool import ScalarBoolean
    from ruamel.yaml.scalarfloat import ScalarFloat
    from ruamel.yaml.scalarint import ScalarInt

    if isinstance(node, CommentedMap):
        for key in node:
            lines[(*path, str(key))] = node.lc.key(key)[0] + 1 if key in (node.lc.data or {}) else lines.get(path, 1)
        return {str(key): _plain(value, (*path, str(key)), lines) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        for i in range(len(node)):
            lines[(*path, i)] = node.lc.item(i)[0] + 1
        return [_plain(value, (*path, i), lines) for i, value in enumerate(node)]
    for kind, plain in ((ScalarBoolean, bool), (ScalarFloat, float), (ScalarInt, int), (str, str)):
        if isinstance(node, kind):
            return plain(node)
    return node


def _place(path: Keys, lines: dict[Keys, int]) -> str:
    """`line N: a.b[2]`; a list of one that was written without brackets has no index."""
    shown = ""
    written: Keys = ()
    line: int | None = None
    for part in path:
        if (*written, part) not in lines and part == 0:
            continue
        written = (*written, part)
        line = lines.get(written, line)
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else part
    if shown.endswith(".name") and written not in lines:
        shown = shown.removesuffix(".name")
    return f"line {line if line is not None else 1}: {shown or 'recipe'}"


def _line_number(problem: str) -> int:
    return int(problem.removeprefix("line ").partition(":")[0])


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
        start=training.get("start"),
        deploy_epochs=training.get("deploy_epochs"),
        full_edges=[
            i for i, plan in enumerate(many("plans")) if isinstance(plan, dict) and plan.get("edges") == "full"
        ],
    )
