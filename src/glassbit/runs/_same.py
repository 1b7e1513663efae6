"""Whether `result.json` is of the run in `run.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from glassbit._text import brief

from ._head import Head

if TYPE_CHECKING:
    from ._result import Result


def differing(result: Result, head: Head) -> str:
    """Return what shows that a result is not of this run; "" where nothing does.

    Results of earlier versions do not say whose they are, and are known by their epochs and images.
    """
    for name in ("id", "digest"):
        mine, its = getattr(head, name), getattr(result, name)
        if None not in (mine, its) and mine != its:
            return f"its {name} is {brief(its)}"
    integer = _asked(head, "deploy_epochs") if head.plan is not None else 0
    if integer is not None and (integer > 0) != (result.deployed is not None):
        return f"it has {'no' if integer else 'an'} integer network"
    wanted = _numbers(result, head, integer)
    wrong = (
        f"its {key} is {its}, not {mine}"
        for key, (mine, its) in wanted.items()
        if None not in (mine, its) and mine != its
    )
    return next(wrong, "")


def _numbers(result: Result, head: Head, integer: int | None) -> dict[str, tuple[int | None, int | None]]:
    """Return what both files say: of the run, then of the result."""
    images = None if head.images is None else head.images.test
    classes = None if head.images is None or head.images.classes is None else len(head.images.classes)
    numbers: dict[str, tuple[int | None, int | None]] = {
        "epochs": (_asked(head, "epochs"), result.epochs),
        "test.n": (images, result.test.n),
    }
    if result.deployed is not None:
        numbers["deployed.epochs"] = (integer, result.deployed.epochs)
        numbers["deployed.test.n"] = (images, result.deployed.test.n)
    if result.digest is not None and result.test.confusion is not None:
        numbers["number of classes"] = (classes, len(result.test.confusion))
    return numbers


def _asked(head: Head, name: str) -> int | None:
    """Return a number of the run's training, where its recipe is there to say so."""
    training: Any = (head.config or {}).get("training")
    value = training.get(name) if isinstance(training, Mapping) else None
    return value if isinstance(value, int) else None
