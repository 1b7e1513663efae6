"""`glassbit report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glassbit.cli._say import line


def report(folder: Annotated[Path, Parameter(help="the folder of a study or of a run")], /) -> int:
    """Write the report of a study or a run."""
    from glassbit.report import write_report

    line(f"report: {write_report(folder)}")
    return 0
