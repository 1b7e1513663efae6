"""What the numbers say, in sentences: the headline and the caveats."""

from __future__ import annotations

from collections.abc import Sequence

from ._folder import Group, Study
from ._format import number, spread_text, times
from ._measures import Accuracy, Masking, accuracies, maskings
from ._statistics import Spread


def headlines(group: Group) -> list[str]:
    """Sentences on accuracy, cost and maps, the most important first; one that says so when nothing has finished."""
    rows = accuracies(group)
    if not rows:
        return [f"No run of {group.model} on {group.data} has finished yet, so there is no accuracy to report."]
    return [*_accuracy_sentences(rows), *_masking_sentences(maskings(group))]


def caveats(study: Study) -> list[str]:
    """What a reader has to know before quoting a number."""
    seeds = {len(group.of(variant)) for group in study.groups for variant in group.variants} - {0}
    said = []
    if 1 in seeds:
        said.append(
            "A row with n = 1 rests on one seed: it has no spread, so no standard deviation is printed, and differences between "
            "such rows may be chance."
        )
    if max(seeds, default=0) > 1:
        said.append(
            "± is the sample standard deviation over seeds (n − 1 in the denominator), not a confidence interval. Drops are "
            "paired by seed: the mean and the spread of the differences over the seeds that both arms have."
        )
    said += [
        "Drops compare with this study's own full-precision runs, never with a published number. Positive means accuracy lost.",
        "A saliency map is the sum over channels of |∂ logit of the target / ∂ pixel|. For a quantized network that is the "
        "straight-through gradient: the true gradient of an integer network is zero almost everywhere.",
        "Each map is scaled by its own 99th percentile, so brightness shows where a network looks, not how strongly, and does "
        "not compare between maps.",
        "Masking: the order of the pixels is computed once on the clean image for the true label, whole pixels are replaced, and nothing is "
        "retrained (deletion, not ROAR). Images with removed pixels are unlike the training images; one fill alone can be "
        "gamed, so read all of them.",
        "The area is that between the random-order and the salient-order curve, ∫ (random − salient) d(removed fraction) by the trapezoid "
        "rule over the measured range, with accuracy as a fraction. Above 0: the pixels that the map calls important matter "
        "more than random ones. Below 0: they matter less. Curves do not compare between arms by height, only by "
        "their distance to the same arm's random-order curve.",
        "Arms that mask pixels in training (sgt, random) may be flatter under masking only because they are used to it; the random "
        "arms, where the study has them, are the control for that.",
        "Stored size counts 1 kB as 1000 bytes. BitOps are MACs × weight bits × input bits, with 32 for a float.",
        "Every figure and number here is measured by this study. None is taken from the papers whose methods it uses.",
    ]
    return said


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
            parts.append(f"{row.variant.arm} {_percent(row.test)}" + (f" ({against})" if against else ""))
        sizes = _sizes(reference, next(row for row in rows if row.variant.plan == plan))
        said.append(f"At {plan}: {'; '.join(parts)}{sizes}.")
    for arm, name in (("sgt", "Saliency-guided training"), ("random", "Random masking")):
        row = by_label.get(arm)
        if row is None:
            continue
        if row.drop is None:
            said.append(f"{name} in full precision reaches {_percent(row.test)}{_over(row.test)}.")
        else:
            said.append(f"{name} alone: {_percent(row.test)}, {_moved(row.drop, 'fp32')}.")
    return said


def _masking_sentences(rows: Sequence[Masking]) -> list[str]:
    said = []
    for fill in dict.fromkeys(row.fill for row in rows):
        these = [row for row in rows if row.fill == fill]
        better = [row for row in these if row.area.mean > 0]
        best = max(these, key=lambda row: row.area.mean)
        many = f"{len(better)} of {len(these)} arms" if len(these) > 1 else ("the arm measured" if better else "no arm")
        said.append(
            f"Fill “{fill}”: removing the most salient pixels hurts more than removing random ones in {many}; "
            f"the largest area between the two curves is {spread_text(best.area, 3)} ({best.variant.label})."
        )
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
