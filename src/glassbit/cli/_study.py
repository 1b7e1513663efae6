"""`glassbit study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glassbit._count import counted
from glassbit._text import listed
from glassbit.cli._say import block, command_line, line, silence_libraries
from glassbit.cli._spoken import speaker
from glassbit.recipe import load, shipped

_RECIPES = ", ".join(shipped())


def study(
    recipe: Annotated[str, Parameter(help=f"a YAML file, or a shipped recipe: {_RECIPES}")],
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="the study's folder; left out: runs/NAME, with the recipe's name")
    ] = None,
    jobs: Annotated[
        int | None,
        Parameter(
            help="runs at a time, each in a process of its own; left out: 1, with --on as many as there is room for",
            metavar="N",
        ),
    ] = None,
    on: Annotated[
        str | None,
        Parameter(
            help="train on a Ray cluster: ray for the one that this machine belongs to, or the address of another",
            metavar="ray[://HOST:PORT]",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, Parameter(help="folder with the files of the catalogue data sets, instead of the cache")
    ] = None,
    offline: Annotated[bool, Parameter(help="never download", negative="", show_default=False)] = False,
    quiet: Annotated[bool, Parameter(help="no progress, only results", negative="", show_default=False)] = False,
) -> int:
    """Run a study and write its report."""
    loaded = load(recipe)
    folder = out or Path("runs") / loaded.recipe.name

    from glassbit.report import write_report
    from glassbit.study import run_study
    from glassbit.train import keep_freed_memory

    silence_libraries()
    keep_freed_memory(loaded.recipe.training.device)

    study_recipe = loaded.recipe
    if data_dir is not None:
        data = tuple(item.model_copy(update={"dir": str(data_dir)}) for item in study_recipe.data)
        study_recipe = study_recipe.model_copy(update={"data": data})
    speak = speaker(["study"])
    outcome = run_study(
        study_recipe,
        folder,
        text=loaded.text,
        command=command_line(),
        processes=jobs,
        on=on,
        download=not offline,
        progress=not quiet,
        say=lambda text: line(speak(text), keep="\n"),
    )
    if outcome.failed:
        alike: dict[str, list[str]] = {}
        for name, message in outcome.failed.items():
            alike.setdefault(speak(message), []).append(name)
        failed = [f"  {listed(names)}: {message}" for message, names in alike.items()]
        lines = [f"glassbit: {len(outcome.failed)} of {counted(len(outcome.runs), 'run')} failed:", *failed]
        block("\n".join([*lines, "The others are kept. After the repair, the same command tries only these again."]))
    if len(outcome.failed) < len(outcome.runs):
        line(f"report: {write_report(folder)}")
    return 1 if outcome.failed else 0
