"""What the numbers say, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from ._folder import Group
from ._format import kilobytes, number, spread_text, times
from ._measures import Accuracy, Deployed, Masking, accuracies, deployments, maskings
from ._statistics import Spread

_ALONE = {"sgt": "Saliency-guided training", "random": "Random masking"}


def headlines(group: Group) -> list[str]:
    """Sentences on accuracy, cost and maps, the most important first; one that says so when nothing has finished."""
    rows = accuracies(group)
    if not rows:
        return [f"No run of {group.model} on {group.data} has finished yet, so there is no accuracy to report."]
    return [
        *_accuracy_sentences(rows),
        *_deployed_sentences(deployments(group)),
        *_masking_sentences(maskings(group)),
    ]


def _accuracy_sentences(rows: Sequence[Accuracy]) -> list[str]:
    said = []
    by_label = {row.variant.label: row for row in rows}
    reference = by_label.get("fp32")
    if reference is not None:
        said.append(f"fp32 reaches {_percent(reference.test)} test accuracy{_over(reference.test)}.")
    for plan in dict.fromkeys(row.variant.plan for row in rows if row.variant.plan is not None):
        parts = []
        for row in rows:
            if row.variant.plan != plan:
                continue
            moved = _moved(row.drop, "fp32")
            own = _moved(row.drop_own, row.own or "")
            against = " and ".join(part for part in (moved, own) if part)
            alone = _over(row.test) if reference is None else ""
            parts.append(f"{row.variant.arm} {_percent(row.test)}{alone}" + (f" ({against})" if against else ""))
        sizes = _sizes(reference, next(row for row in rows if row.variant.plan == plan))
        said.append(f"At {plan}: {'; '.join(parts)}{sizes}.")
    for found in rows:
        name = _ALONE.get(found.variant.family)
        if name is None:
            continue
        name += f" ({found.variant.setting})" if found.variant.setting else ""
        if found.drop is None:
            said.append(f"{name} in full precision reaches {_percent(found.test)}{_over(found.test)}.")
        else:
            said.append(f"{name} alone: {_percent(found.test)}, {_moved(found.drop, 'fp32')}.")
    return said


def _deployed_sentences(rows: Sequence[Deployed]) -> list[str]:
    if not rows:
        return []
    parts = []
    for row in rows:
        size = "" if row.artifact is None else f", {kilobytes(row.artifact)} kB"
        parts.append(f"{row.variant.label} {_percent(row.test)} ({_moved(row.drop, 'fake quantization')}{size})")
    return [f"As integers, as exported{_over(rows[0].test)}: {'; '.join(parts)}."]


def _masking_sentences(rows: Sequence[Masking]) -> list[str]:
    said = []
    for fill in dict.fromkeys(row.fill for row in rows):
        these = [row for row in rows if row.fill == fill]
        better = [row for row in these if row.area.mean > 0]
        best = max(these, key=lambda row: row.area.mean)
        if len(these) == 1:
            verb = "hurts more" if better else "does not hurt more"
            where, tail = "", f"the area between the two curves is {spread_text(best.area, 3)}"
        else:
            verb, where = "hurts more", f" in {len(better)} of {len(these)} arms"
            tail = f"the largest area between the two curves is {spread_text(best.area, 3)} ({best.variant.label})"
        said.append(f"Fill “{fill}”: removing the most salient pixels {verb} than removing random ones{where}; {tail}.")
    return said


def _percent(value: Spread) -> str:
    return f"{spread_text(value)} %"


def _over(value: Spread) -> str:
    return " (one seed, so no spread)" if value.n == 1 else f" (mean ± sd, n = {value.n} seeds)"


def _moved(drop: Spread | None, arm: str) -> str:
    if drop is None:
        return ""
    spread = "" if drop.sd is None else f" ± {drop.sd:.2f}"
    side = "below" if drop.mean >= 0 else "above"
    return f"{number(abs(drop.mean))}{spread} points {side} {arm}"


def _sizes(reference: Accuracy | None, row: Accuracy) -> str:
    if reference is None:
        return ""
    parts = []
    for key, text in (("stored_bytes", "smaller"), ("bitops", "fewer BitOps")):
        before, after = reference.cost.get(key), row.cost.get(key)
        if before and after:
            parts.append(f"{times(before / after)}× {text}")
    return f"; {' and '.join(parts)} than fp32" if parts else ""
