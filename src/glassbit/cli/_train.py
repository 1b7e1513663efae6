"""`glassbit train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glassbit._count import counted
from glassbit.cli._flags import Values, takes
from glassbit.cli._run_flags import DATA, EVALUATION, MASKING, MODEL, OWN, PLAN, RUN, TRAINING, recipe_of
from glassbit.cli._say import command_line, line, silence_libraries


@takes(DATA, MODEL, PLAN, RUN, TRAINING, MASKING, *OWN, EVALUATION)
def train(
    values: Values,
    *,
    out: Annotated[
        Path | None, Parameter(help="the run's folder; left out: runs/ID, with an id made of the other flags")
    ] = None,
    start: Annotated[
        Path | None,
        Parameter(
            help="start from the best weights of this run: the same in full precision (with --plan), with "
            "cross-entropy (with --objective sgt or random), or both"
        ),
    ] = None,
    tensorboard: Annotated[
        bool, Parameter(help="also write TensorBoard events", negative="", show_default=False)
    ] = False,
    offline: Annotated[bool, Parameter(help="never download", negative="", show_default=False)] = False,
    quiet: Annotated[bool, Parameter(help="no progress, only results", negative="", show_default=False)] = False,
) -> int:
    """Train one network."""
    recipe = recipe_of(values, start=None if start is None else _arm(start))
    folder = out or Path("runs") / recipe.id

    from glassbit.study import run_one
    from glassbit.train import keep_freed_memory

    silence_libraries()
    keep_freed_memory(recipe.training.device)

    outcome = run_one(
        recipe,
        folder,
        start=start,
        command=command_line(),
        download=not offline,
        progress=not quiet,
        tensorboard=tensorboard,
        say=lambda text: line(text, keep="\n"),
    )
    result = outcome.result
    if result is None:  # a process that only helped
        return 0
    if outcome.status == "skipped":
        line(f"{folder} is finished already; nothing was trained")
    line(f"test accuracy {100 * result.test.accuracy:.2f} % on {counted(result.test.n, 'image')}")
    if result.deployed:
        line(f"in integers {100 * result.deployed.test.accuracy:.2f} %, as `glassbit export {folder}` writes it")
    line(f"{result.cost.stored_bytes / 1000:.1f} kB stored, {result.cost.bitops / 1e6:.1f} M bit operations per image")
    line(f"best of {counted(result.epochs, 'epoch')}: {result.best_epoch}, chosen on the validation images")
    line(f"run: {folder}")
    return 0


def _arm(folder: Path) -> str:
    from glassbit.study import saved_run

    return saved_run(folder).run.arm
