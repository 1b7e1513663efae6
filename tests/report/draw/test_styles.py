from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from glassbit.report.draw._styles import styles
from glassbit.runs import Variant


def test_an_arm_without_a_colour_of_its_own_takes_the_next_look():
    group: Any = SimpleNamespace(variants=(Variant("fp32"), Variant("mine"), Variant("mine+pact", "w4a4")))
    looks = styles(group)
    assert [(look.colour, look.marker) for look in looks.values()] == [("fp32", "o"), ("sgt", "s"), ("sgt-pact", "v")]
