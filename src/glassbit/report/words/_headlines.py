"""What the numbers say, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from glassbit._count import counted
from glassbit.report.numbers import Accuracy, Deployed, Masking, Numbers, Spread, ends, half_width
from glassbit.runs import MASKED, OBJECTIVES, REFERENCE

from ._format import kilobytes, number, spread_text, times


def headlines(known: Numbers) -> list[str]:
    """Sentences on accuracy, cost and maps, the most important first; one that says so when nothing has finished."""
    if not known.accuracies:
        network = f"{known.group.model} on {known.group.data}"
        return [f"No run of {network} has finished yet, so there is no accuracy to report."]
    return [
        *_accuracy_sentences(known.accuracies),
        *_deployed_sentences(known.deployments),
        *_masking_sentences(known.masking.rows),
    ]


def _accuracy_sentences(rows: Sequence[Accuracy]) -> list[str]:
    said = []
    by_label = {row.variant.label: row for row in rows}
    reference = by_label.get(REFERENCE)
    if reference is not None:
        said.append(f"fp32 reaches {_percent(reference.test)} test accuracy{_over(reference.test)}.")
    for plan in dict.fromkeys(row.variant.plan for row in rows if row.variant.plan is not None):
        parts = []
        for row in rows:
            if row.variant.plan != plan:
                continue
            moved = _moved(row.drop, REFERENCE)
            own = _moved(row.drop_own, row.own or "")
            against = " and ".join(part for part in (moved, own) if part)
            alone = _over(row.test) if reference is None else ""
            parts.append(f"{row.variant.arm} {_percent(row.test)}{alone}" + (f" ({against})" if against else ""))
        sizes = _sizes(reference, next(row for row in rows if row.variant.plan == plan))
        said.append(f"At {plan}: {'; '.join(parts)}{sizes}.")
    for one_row in rows:
        if one_row.variant.family not in MASKED:
            continue
        name = OBJECTIVES[one_row.variant.family].capitalize()
        name += f" ({one_row.variant.setting})" if one_row.variant.setting else ""
        if one_row.drop is None:
            said.append(f"{name} in full precision reaches {_percent(one_row.test)}{_over(one_row.test)}.")
        else:
            said.append(f"{name} alone: {_percent(one_row.test)}, {_moved(one_row.drop, 'fp32')}.")
    return said


def _deployed_sentences(rows: Sequence[Deployed]) -> list[str]:
    if not rows:
        return []
    parts = []
    for row in rows:
        size = "" if row.artifact is None else f", {kilobytes(row.artifact)} kB"
        parts.append(f"{row.variant.label} {_percent(row.test)} ({_moved(row.drop, 'fake quantization')}{size})")
    said = [f"As integers, as exported{_over(rows[0].test)}: {'; '.join(parts)}."]
    return said + ([why] if (why := conversion_explained(rows)) else [])


def conversion_explained(rows: Sequence[Deployed]) -> str:
    """Why what is lost "as integers" is not what is lost "by conversion alone"; "" where the latter is not known."""
    known = [row for row in rows if row.converted is not None]
    if not known:
        return ""
    first = known[0]
    measured = _known_to(first, first.images, "test image")
    held = first.validation_images
    before = "the validation images" if held is None else f"about {_known_to(first, held, 'validation image')}"
    lost = "; ".join(f"{row.variant.label} {_lost(row.converted)}" for row in known if row.converted is not None)
    return (
        f"By conversion alone, before the epochs in integers: {lost}. That is on {before}, and what is lost as "
        f"integers on {measured} and after those epochs, so the two need not agree."
    )


def _known_to(row: Deployed, images: int, noun: str) -> str:
    known = f"an accuracy of one seed is known to ± {half_width(row.test.mean, images):.2f} points"
    return f"{counted(images, noun)} ({known})"


def _lost(drop: Spread) -> str:
    spread = "" if drop.sd is None else f" ± {drop.sd:.2f}"
    return f"{number(abs(drop.mean))}{spread} points {'lost' if drop.mean >= 0 else 'gained'}{_undecided(drop)}"


def _masking_sentences(rows: Sequence[Masking]) -> list[str]:
    said = []
    for fill in dict.fromkeys(row.fill for row in rows):
        these = [row for row in rows if row.fill == fill]
        best = max(these, key=lambda row: row.area.mean)
        largest = "the area" if len(these) == 1 else "the largest area"
        name = "" if len(these) == 1 else f" ({best.variant.label})"
        tail = f"{largest} between the two curves is {spread_text(best.area, 3)}{name}"
        said.append(
            f"Fill “{fill}”: removing the most salient pixels rather than random ones {_judged(these)}; {tail}."
        )
    return said


def _judged(rows: Sequence[Masking]) -> str:
    """Return what the 95 % intervals over seeds say of the areas, and never more."""
    intervals = [interval for row in rows if (interval := ends(row.area)) is not None]
    if len(intervals) < len(rows):
        better = sum(row.area.mean > 0 for row in rows)
        if len(rows) == 1:
            return f"{'hurts more' if better else 'does not hurt more'} in this one seed, which has no interval"
        return f"hurts more in {better} of {counted(len(rows), 'arm')}, some of one seed and so without an interval"
    more, less = sum(low > 0 for low, _ in intervals), sum(high < 0 for _, high in intervals)
    unclear = len(rows) - more - less
    if len(rows) == 1:
        verdict = "hurts more" if more else "hurts less" if less else "makes no difference that can be told"
        return f"{verdict} (95 % interval over seeds)"
    parts = [f"hurts more in {more} of {counted(len(rows), 'arm')}"]
    parts += [f"hurts less in {less}"] if less else []
    parts += [f"makes no difference that can be told in {unclear}"] if unclear else []
    return f"{', '.join(parts)} (95 % intervals over seeds)"


def _percent(value: Spread) -> str:
    return f"{spread_text(value)} %"


def _over(value: Spread) -> str:
    return " (one seed, so no spread)" if value.n == 1 else f" (mean ± sd, n = {value.n} seeds)"


def _moved(drop: Spread | None, arm: str) -> str:
    if drop is None:
        return ""
    spread = "" if drop.sd is None else f" ± {drop.sd:.2f}"
    side = "below" if drop.mean >= 0 else "above"
    return f"{number(abs(drop.mean))}{spread} points {side} {arm}{_undecided(drop)}"


def _undecided(drop: Spread) -> str:
    """Says so where the 95 % interval over seeds contains 0."""
    interval = ends(drop)
    return ", cannot tell from 0" if interval is not None and interval[0] <= 0 <= interval[1] else ""


def _sizes(reference: Accuracy | None, row: Accuracy) -> str:
    if reference is None:
        return ""
    parts = []
    for before, after, text in (
        (reference.cost.stored_bytes, row.cost.stored_bytes, "smaller"),
        (reference.cost.bitops, row.cost.bitops, "fewer BitOps"),
    ):
        if before and after:
            parts.append(f"{times(before / after)}× {text}")
    return f"; {' and '.join(parts)} than fp32" if parts else ""
