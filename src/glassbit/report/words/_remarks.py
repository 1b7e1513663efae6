"""What a reader should know of the training before the numbers: too early a best epoch, too little learned."""

from __future__ import annotations

from collections.abc import Sequence

from glassbit._bits import bits_given
from glassbit._count import counted
from glassbit.report.numbers import Numbers
from glassbit.report.read import Run
from glassbit.runs import CostRow

from ._format import number

_FEWEST = 4
"""Epochs in floating point below which nothing is said of the best one."""


def remarks(known: Numbers) -> list[str]:
    """Sentences: networks that are no better than one constant answer, plans of several bits, early overfitting."""
    return [*_majority(known), *_mixed(known), *_overfitted(known.group.runs)]


def _majority(known: Numbers) -> list[str]:
    if known.classes is None:
        return []
    name, share = known.classes.majority
    rows = [row for row in known.accuracies if row.variant in known.classes.variants]
    poor = [row for row in rows if row.test.mean <= 100 * share + 1e-9]
    if not poor:
        return []
    listed = ", ".join(f"{row.variant.label} {number(row.test.mean)} %" for row in poor)
    return [
        f"Not better than always answering “{name}”, the class of {number(100 * share)} % of the test images: {listed}."
    ]


def _mixed(known: Numbers) -> list[str]:
    """Return what a plan gave where its layers, the first and the last aside, differ in bits."""
    said = []
    for item in known.costs:
        inner = {row.weight_bits for row in item.cost.rows[1:-1]}
        if item.plan is not None and len(inner) > 1:
            said.append(f"{item.plan} gave weights these bits: {weights_given(item.cost.rows)}.")
    return said


def weights_given(rows: Sequence[CostRow]) -> str:
    """Return the weight bits of some layers in words, from their rows of the cost table."""
    known = [(row.weight_bits, row.weights) for row in rows if row.weight_bits is not None]
    return bits_given([bits for bits, _ in known], [weights for _, weights in known])


def _overfitted(runs: Sequence[Run]) -> list[str]:
    overfitted = [(run, lost) for run in runs if run.finished and (lost := _lost_since_best(run)) is not None]
    if not overfitted:
        return []
    listed = ", ".join(
        f"{run.variant.label} seed {run.seed}: epoch {best} of {last}, then {number(points)} points less"
        for run, (best, last, points) in overfitted[:3]
    )
    more = f" and {counted(len(overfitted) - 3, 'more run')}" if len(overfitted) > 3 else ""
    advice = "try fewer epochs, or crop and flip where they suit the images"
    return [f"Overfitted early, by validation accuracy and loss ({listed}{more}): {advice}."]


def _lost_since_best(run: Run) -> tuple[int, int, float] | None:
    """Return the best epoch, the last one and the points of validation accuracy lost in between.

    None unless the best is in the first half and the loss has risen since.
    """
    held = [(epoch.epoch, epoch.validation) for epoch in run.epochs if not epoch.deployed and epoch.validation]
    place = run.result.best_epoch if run.result else None
    first = next((validation for epoch, validation in held if epoch == place), None)
    if place is None or first is None or len(held) < _FEWEST or 2 * place > len(held):
        return None
    last = held[-1][1]
    if first.accuracy is None or last.accuracy is None:
        return None
    lost = 100.0 * (first.accuracy - last.accuracy)
    return (place, len(held), lost) if lost > 0 and (last.loss or 0.0) > (first.loss or 0.0) else None
