"""What a study says of its networks before the first run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from glassbit._count import counted
from glassbit._errors import GlassbitError, UsageError
from glassbit.build import exportable, recipe_problems
from glassbit.recipe import RunRecipe, data_slug, model_slug


def say_exportable(runs: Iterable[RunRecipe], say: Callable[[str], None]) -> None:
    """Say of every network with every plan whether it can be exported, once, not per seed; full precision has no plan.

    Args:
        runs: those that are about to start. One whose network cannot be built is passed over: it will say so itself.
        say: called with a line of text.

    Raises:
        UsageError: a run asks for epochs in deployed arithmetic and its network cannot be exported; all such networks.
    """
    distinct = _distinct(run for run in runs if run.plan is not None)
    several = len({data_slug(run.data) for run in distinct}) > 1
    refused: list[str] = []
    for run in distinct:
        try:
            problems = recipe_problems(run)
        except GlassbitError:
            continue
        assert run.plan is not None
        name = f"{model_slug(run.model)}, {run.plan.slug}"
        name = f"{name}, {data_slug(run.data)}" if several else name
        say(f"{name}: {exportable(problems)}")
        if run.deploy_epochs and problems:
            refused += [f"{name}: {problem}" for problem in problems]
    if refused:
        raise UsageError(not_deployable(refused))


def not_deployable(problems: Iterable[str]) -> str:
    """Return the text of a refusal to train in deployed arithmetic."""
    lines = [f"  - {problem}" for problem in problems]
    must = "deploy_epochs must be 0 for a network that cannot be exported"
    text = f"{must}; got {counted(len(lines), 'problem')}; change what is listed, or train without them"
    return "\n".join([text, *lines])


def _distinct(runs: Iterable[RunRecipe]) -> list[RunRecipe]:
    """Return the first run per network, plan and data set, preferably one with epochs in deployed arithmetic."""
    first: dict[str, RunRecipe] = {}
    for run in sorted(runs, key=lambda run: not run.deploy_epochs):
        assert run.plan is not None
        plan = run.plan.model_dump(mode="json")
        key = json.dumps([run.model.model_dump(mode="json"), plan, run.data.model_dump(mode="json")], sort_keys=True)
        first.setdefault(key, run)
    return list(first.values())
