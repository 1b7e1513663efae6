"""What the intervals of a group say, in sentences, and never more than they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from glassbit._count import counted
from glassbit.evidence import Interval
from glassbit.report.numbers import ROAD, Effect, Likeness, known
from glassbit.runs import OBJECTIVES, Variant

from ._format import MINUS, number
from ._intervals import ends_text, scaled

_PAPERS = "Of the two papers behind these methods, one says that the maps survive low bits, the other that they degrade"
_NO_PROOF = "no loss is shown, which is not proof that there is none"
_REGIONS = {
    "object": ("less", "Looks at the object less than chance"),
    "shortcut": ("more", "Looks at the planted shortcut"),
}


def answers(effects: Sequence[Effect]) -> list[str]:
    """Return what the ROAD gaps of the quantized networks say of the question on which the papers disagree.

    It is empty if no quantized network was measured beside its full precision.
    """
    of_bits = [effect for effect in effects if effect.cause == "bits" and ROAD.key in effect.values]
    if not of_bits:
        return []
    parts = []
    for judged, text in (("worse", "yes"), ("better", "no, it is higher,"), ("cannot tell", "cannot tell")):
        these = [effect for effect in of_bits if ROAD.judged(effect.values[ROAD.key]) == judged]
        if these:
            names = ", ".join(effect.variant.label for effect in these)
            parts.append(f"{text} for {names}{_excluded(these) if judged == 'cannot tell' else ''}")
    question = "Does quantization cost interpretability? By the ROAD gap, against full precision of the same objective"
    return [f"{question}: {'; '.join(parts)}{few(min(effect.seeds for effect in of_bits))}.", _verdict(of_bits)]


def road_sentence(effect: Effect) -> str:
    """One comparison of ROAD gaps."""
    change = effect.values[ROAD.key]
    where = "In full precision" if effect.variant.plan is None else f"At {effect.variant.plan}"
    ours, theirs = effect.variant.arm, effect.reference.arm
    if ROAD.judged(change) != "cannot tell":
        return f"{where} {moved(ours, theirs, change)}{few(effect.seeds)}."
    cause = "quantization" if effect.cause == "bits" else _objective(effect.variant)
    return (
        f"{where}: cannot tell whether {cause} changes the ROAD gap ({unclear(ours, theirs, change)})"
        f"{few(effect.seeds)}."
    )


def moved(ours: str, theirs: str, change: Interval) -> str:
    """Return the text of a decided difference of ROAD gaps."""
    higher = change.low > 0
    size = change if higher else Interval(-change.mean, -change.high, -change.low, change.seeds, change.images)
    amount = f"{scaled(size.mean, ROAD)} ({' to '.join(ends_text(size))})"
    return f"the ROAD gap of {ours} is {'higher' if higher else 'lower'} than that of {theirs} by {amount}"


def unclear(ours: str, theirs: str, change: Interval) -> str:
    """Return the text of an undecided difference of ROAD gaps."""
    if not known(change):
        return f"{ours} − {theirs}: too few images"
    return f"{ours} − {theirs}: {_signed(change.mean)}, {_signed(change.low)} to {_signed(change.high)}"


def agreement_sentences(likeness: Likeness, effects: Sequence[Effect]) -> list[str]:
    """How alike the maps of quantized networks are to those of their full precision: a sentence per reference."""
    said = []
    pairs = [(effect.variant, effect.reference) for effect in effects if effect.cause == "bits"]
    for reference in dict.fromkeys(reference for _, reference in pairs):
        parts = []
        for variant in (variant for variant, of in pairs if of == reference):
            value = likeness.between(variant, reference)
            share = None if value is None else likeness.relative(value, reference)
            if share is not None:
                parts.append(f"{variant.label} {number(share)}")
        if parts:
            scale = "from random (0) to what its maps agree with themselves under a little input noise (1)"
            said.append(
                f"Agreement with the maps of {reference.label}, on the way {scale}: {', '.join(parts)}; "
                f"{_other_seed(likeness, reference)}."
            )
    return said


def looks(networks: Sequence[tuple[str, Mapping[str, Interval], int]], shares: Mapping[str, float]) -> list[str]:
    """Which networks look at the object less than chance, or at the planted shortcut: a sentence per region.

    Args:
        networks: the name of each, its intervals, and its seeds.
        shares: what part of the pixels each region has, and so of a map by chance.
    """
    said = []
    for region, (wrong, text) in _REGIONS.items():
        share = shares.get(region)
        parts = []
        for name, values, seeds in networks:
            mass = values.get(f"{region}_mass")
            if mass is None or share is None or not known(mass):
                continue
            if (mass.high < share) if wrong == "less" else (mass.low > share):
                ends = f"{number(100 * mass.low, 1)} to {number(100 * mass.high, 1)}"
                parts.append(f"{name}, {number(100 * mass.mean, 1)} % of its map ({ends}){few(seeds)}")
        if parts and share is not None:
            said.append(f"{text} ({number(100 * share, 1)} % of the pixels): {'; '.join(parts)}.")
    return said


def few(seeds: int) -> str:
    """Return what must be said of fewer than 3 seeds.

    >>> few(1), few(3)
    (' (1 seed: says nothing about another training)', '')
    """
    if seeds >= 3:
        return ""
    count, much = counted(seeds, "seed"), "nothing" if seeds == 1 else "little"
    return f" ({count}: says {much} about another training)"


def _verdict(effects: Sequence[Effect]) -> str:
    """Return what that means for the papers' contradiction."""
    judged = {ROAD.judged(effect.values[ROAD.key]) for effect in effects}
    if min(effect.seeds for effect in effects) < 3:
        return f"{_PAPERS}; fewer than 3 seeds cannot settle it."
    if judged == {"worse"}:
        return f"{_PAPERS}: these networks side with the second."
    if "worse" in judged:
        return f"{_PAPERS}: these networks side with the second where the answer is yes; elsewhere {_NO_PROOF}."
    return f"{_PAPERS}: on these networks {_NO_PROOF}."


def _excluded(undecided: Sequence[Effect]) -> str:
    """Return the largest loss that one of these intervals still allows."""
    changes = [effect.values[ROAD.key] for effect in undecided]
    if not all(map(known, changes)):
        return ""
    return f", where a loss above {scaled(max(-change.low for change in changes), ROAD)} is ruled out"


def _other_seed(likeness: Likeness, reference: Variant) -> str:
    floor = likeness.floor(reference)
    share = None if floor is None else likeness.relative(floor, reference)
    if share is None:
        return f"there is no second seed of {reference.label} to say how far two trainings differ"
    return f"another seed of {reference.label} {number(share)}"


def _objective(variant: Variant) -> str:
    return OBJECTIVES.get(variant.objective, variant.objective) + (f" ({variant.setting})" if variant.setting else "")


def _signed(value: float) -> str:
    text = scaled(value, ROAD)
    return text if text[0] == MINUS or float(text) == 0 else f"+{text}"
