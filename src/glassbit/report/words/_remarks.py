"""What a reader should know of the training before the numbers: too early a best epoch, too little learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glassbit._bits import bits_given
from glassbit._count import counted
from glassbit.report.numbers import Accuracy, Classes, costs
from glassbit.report.read import Group, Run

from ._format import number

_FEWEST = 4
"""Epochs in floating point below which nothing is said of the best one."""


def remarks(group: Group, rows: Sequence[Accuracy], known: Classes | None) -> list[str]:
    """Sentences: networks that are no better than one constant answer, plans of several bits, early overfitting."""
    return [*_majority(rows, known), *_mixed(group), *_overfitted(group)]


def _majority(rows: Sequence[Accuracy], known: Classes | None) -> list[str]:
    if known is None:
        return []
    name, share = known.majority
    poor = [row for row in rows if row.variant in known.variants and row.test.mean <= 100 * share + 1e-9]
    if not poor:
        return []
    listed = ", ".join(f"{row.variant.label} {number(row.test.mean)} %" for row in poor)
    return [
        f"Not better than always answering “{name}”, the class of {number(100 * share)} % of the test images: {listed}."
    ]


def _mixed(group: Group) -> list[str]:
    """What a plan gave where its layers, the first and the last aside, differ in bits."""
    said = []
    for cost in costs(group):
        inner = {row.get("weight_bits") for row in cost.rows[1:-1]}
        if cost.plan is not None and len(inner) > 1:
            said.append(f"{cost.plan} gave weights these bits: {weights_given(cost.rows)}.")
    return said


def weights_given(rows: Sequence[Mapping[str, Any]]) -> str:
    """The weight bits of some layers in words, from their rows of the cost table."""
    known = [row for row in rows if isinstance(row.get("weight_bits"), int)]
    return bits_given([row["weight_bits"] for row in known], [row.get("weights") for row in known])


def _overfitted(group: Group) -> list[str]:
    found = [(run, lost) for run in group.runs if run.finished and (lost := _lost_since_best(run)) is not None]
    if not found:
        return []
    listed = ", ".join(
        f"{run.variant.label} seed {run.seed}: epoch {best} of {last}, then {number(points)} points less"
        for run, (best, last, points) in found[:3]
    )
    more = f" and {counted(len(found) - 3, 'more run')}" if len(found) > 3 else ""
    advice = "try fewer epochs, or crop and flip where they suit the images"
    return [f"Overfitted early, by validation accuracy and loss ({listed}{more}): {advice}."]


def _lost_since_best(run: Run) -> tuple[int, int, float] | None:
    """The best epoch, the last one and the points of validation accuracy lost in between, where the best is in the
    first half and the loss has risen since.
    """
    epochs = [epoch for epoch in run.epochs if epoch.get("arithmetic") != "deployed" and epoch.get("validation")]
    place = (run.result or {}).get("best_epoch")
    best = next((epoch for epoch in epochs if epoch["epoch"] == place), None)
    if best is None or len(epochs) < _FEWEST or 2 * int(best["epoch"]) > len(epochs):
        return None
    first, last = best["validation"], epochs[-1]["validation"]
    lost = 100.0 * (float(first["accuracy"]) - float(last["accuracy"]))
    risen = float(last.get("loss") or 0.0) > float(first.get("loss") or 0.0)
    return (int(best["epoch"]), len(epochs), lost) if lost > 0 and risen else None
