"""How every variant of a group looks."""

from __future__ import annotations

from glassbit.report.read import Group
from glassbit.runs import Variant

from ._svg import Style, dash_names

_MARKERS: dict[str, str] = {"fp32": "o", "sgt": "s", "random": "^", "pact": "D", "sgt+pact": "v", "random+pact": "P"}
"""Arms with a colour of their own; every other arm takes the next look of a cycle."""
_OTHER_COLOURS, _OTHER_MARKERS = ("sgt", "sgt-pact", "other"), "sv^DPXo"


def styles(group: Group) -> dict[Variant, Style]:
    """Arm -> colour and marker, plan -> dash pattern (solid for full precision and for the first plan).

    Arms without a colour of their own, such as those whose options have names, share three colours, and no two of the
    first 21 share colour and marker.
    """
    plans = list(dict.fromkeys(variant.plan for variant in group.variants if variant.plan is not None))
    others = list(dict.fromkeys(variant.arm for variant in group.variants if variant.arm not in _MARKERS))
    looks = {arm: (arm.replace("+", "-"), marker) for arm, marker in _MARKERS.items()}
    looks |= {arm: (_OTHER_COLOURS[i % 3], _OTHER_MARKERS[i % 7]) for i, arm in enumerate(others)}
    dashes = dash_names()
    return {
        variant: Style(
            looks[variant.arm][0],
            dashes[0 if variant.plan is None else plans.index(variant.plan) % len(dashes)],
            looks[variant.arm][1],
        )
        for variant in group.variants
    }
