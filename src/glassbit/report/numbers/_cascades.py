"""What measurements show as pixels are removed and as weights are drawn again, over several trainings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from glassbit.evidence import Measurement

from ._statistics import Points, Spread, mean_curve, spread


@dataclass(frozen=True)
class Step:
    """One step of the cascade: how many layers are drawn again, the last of them, and the correlation."""

    count: int
    layer: str
    value: Spread


@dataclass(frozen=True)
class Watched:
    """The curves of one network, which was trained once or more.

    Args:
        removal: by what is watched, fill and order, e.g. "accuracy linear most": a mean per removed fraction.
        cascade: the correlation of the map with the original, by the number of layers drawn again, from 0.
        steps: the same with the layers' names, as far as every training goes.
    """

    removal: Mapping[str, Points]
    cascade: Points
    steps: tuple[Step, ...]


def watched(taken: Sequence[Measurement]) -> Watched:
    """Average over the trainings of a network."""
    names = dict.fromkeys(name for one in taken for name in one.curves)
    cascades = [one.randomisation for one in taken if one.randomisation]
    lines = [{0.0: 1.0} | {float(n): value for n, (_, value) in enumerate(one, start=1)} for one in cascades]
    steps = []
    for count, each in enumerate(zip(*cascades, strict=False), start=1):
        value = spread([correlation for _, correlation in each])
        if value is not None:
            steps.append(Step(count, each[0][0], value))
    return Watched(
        removal={
            name: mean_curve([dict(zip(m.fractions, m.curves[name], strict=True)) for m in taken if name in m.curves])
            for name in names
        },
        cascade=mean_curve(lines),
        steps=tuple(steps),
    )
