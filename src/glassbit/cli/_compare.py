"""`glassbit compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glassbit.cli._measured import DATA, DATA_DIR, IMAGES, OTHER_SEED, OUT
from glassbit.cli._run_flags import TRUST
from glassbit.cli._say import line


def compare(
    a: Annotated[str, Parameter(help="a run folder, a .glassbit or .onnx file, or module:callable")],
    b: Annotated[str, Parameter(help="what it is compared with, likewise")],
    /,
    *,
    other_seed: Annotated[str | None, OTHER_SEED] = None,
    data: Annotated[str | None, DATA] = None,
    data_dir: Annotated[Path | None, DATA_DIR] = None,
    images: Annotated[int, IMAGES] = 1000,
    trust: Annotated[bool, TRUST] = False,
    out: Annotated[Path | None, OUT] = None,
) -> int:
    """Compare two networks and their explanations."""
    from glassbit.cli._measured import compared

    folder, comparison = compared(a, b, other_seed, data, data_dir, images, out, trust)
    for each in comparison.lines():
        line(each)
    line(f"report: {folder / 'compare.html'}")
    return 0
