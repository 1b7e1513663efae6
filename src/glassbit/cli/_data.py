"""`glassbit data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glassbit._count import counted
from glassbit._errors import UsageError
from glassbit.cli._flags import Values, takes
from glassbit.cli._found import found
from glassbit.cli._run_flags import IMAGES, recipe_of
from glassbit.cli._say import block, line
from glassbit.cli._spoken import speaker

DataDir = Annotated[Path | None, Parameter(help="a folder to look in; left out: the cache")]


def list_(*, data_dir: DataDir = None) -> int:
    """List the catalogue."""
    from glassbit import datasets

    for entry in datasets.catalogue():
        place = found(entry, data_dir)
        line(f"{entry.name}: {entry.title}")
        count = f"{entry.train:,} to train, {entry.test:,} to test"
        line(f"  {count}, {entry.side} x {entry.side}, {counted(len(entry.classes), 'class', 'classes')}")
        line(f"  {f'here: {place}' if place else f'not here; get it with `glassbit data fetch {entry.name}`'}")
        line(f"  {entry.homepage}")
    return 0


def fetch_(
    *names: Annotated[str, Parameter(help="names of the catalogue")],
    quiet: Annotated[bool, Parameter(help="no progress, only results", negative="", show_default=False)] = False,
) -> int:
    """Download data sets."""
    from glassbit import datasets

    known = [entry.name for entry in datasets.catalogue()]
    if not names:
        raise UsageError(f"data fetch: NAME must be one or more of {', '.join(known)}; got none")
    for name in names:
        paths = datasets.fetch(name, progress=not quiet)
        line(f"{name}: {paths[0].parent if paths else 'comes with Glassbit'}")
    return 0


@takes(IMAGES)
def check_(
    values: Values,
    name: Annotated[str, Parameter(help="of the catalogue, a folder of class folders, or an .npz file")],
    /,
) -> int:
    """Check a data set."""
    from glassbit import datasets

    data = recipe_of({"data": {**values.get("data", {}), "name": name}}).data
    report = datasets.check(
        data.name, data_dir=data.dir, size=data.size, resize=data.resize, color=data.color, progress=True
    )
    for each in report.lines:
        line(each)
    if report.problems:
        speak = speaker(["data", "check"])
        block(
            "\n".join(
                [
                    f"glassbit: {data.name} has {counted(len(report.problems), 'problem')}:",
                    *(f"  - {speak(problem)}" for problem in report.problems),
                ]
            )
        )
        return 1
    line("no problems found")
    return 0
