"""`glassbit gate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from glassbit.cli._measured import DATA, DATA_DIR, IMAGES, OTHER_SEED, OUT
from glassbit.cli._run_flags import TRUST
from glassbit.cli._say import line
from glassbit.recipe import PolicyRecipe, load_policy


def gate(
    reference: Annotated[str, Parameter(help="a run folder, a .glassbit or .onnx file, or module:callable")],
    candidate: Annotated[str, Parameter(help="what may have lost something against it, likewise")],
    /,
    *,
    policy: Annotated[Path | None, Parameter(help="a YAML file with the limits; left out: those named above")] = None,
    other_seed: Annotated[str | None, OTHER_SEED] = None,
    data: Annotated[str | None, DATA] = None,
    data_dir: Annotated[Path | None, DATA_DIR] = None,
    images: Annotated[int, IMAGES] = 1000,
    trust: Annotated[bool, TRUST] = False,
    out: Annotated[Path | None, OUT] = None,
) -> int:
    """Fail when the candidate lost too much."""
    limits = PolicyRecipe() if policy is None else load_policy(policy)

    from glassbit.cli._measured import compared
    from glassbit.evidence import Policy, judge

    folder, comparison = compared(reference, candidate, other_seed, data, data_dir, images, out, trust)
    verdict = judge(comparison, Policy(**limits.model_dump()))
    for each in verdict.lines():
        line(each)
    line(f"evidence: {folder / 'compare.html'}")
    return 0 if verdict.passed else 1
