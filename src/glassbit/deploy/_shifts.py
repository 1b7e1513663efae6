"""How fine the steps of signed codes are: from the largest values that they were seen with."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from glassbit.intgraph import Flatten, MaxPool, Select, Subsample

from ._fold import Folding
from ._program import Operand, Program, Sum

_MOST = 8
"""Between the steps of two operands of a sum, as a power of two."""
_MOST_ALONE = 16


@torch.no_grad()
def set_shifts_(folding: Folding) -> None:
    """Set j of every operand: the finest step unit 2^-j with `largest step >= max|z|`, and not too fine for its sums.

    Args:
        folding: of the program; its shifts are set, in place.
    """
    program, shifts = folding.program, folding.shifts
    for step in program.steps:  # the unit of an operand may be another one
        if isinstance(step, Operand):
            unit = 1.0 if step.unit is None else float(folding.scales[step.unit].step)
            most = _MOST_ALONE if step.unit is None else _MOST
            peak = program.peaks[step.slot]
            finest = math.floor(math.log2(step.window[1] * unit / peak)) if 0 < peak < math.inf else 0
            shifts[step.slot] = min(max(finest, -most), most)
        folding.fold(step)
    for _ in program.peaks:  # a coarser operand may be too coarse for another sum
        coarser: dict[int, int] = {}
        for slot, over in _too_fine(program, folding):
            coarser[slot] = max(over, coarser.get(slot, 0))
        if not coarser:
            return
        for slot, over in coarser.items():
            shifts[slot] -= over
        folding.run()


def _too_fine(program: Program, folding: Folding) -> Iterator[tuple[int, int]]:
    """Yield the slots of operands that are too fine for a sum, and by how many powers of two."""
    slots = {step.name: step.slot for step in program.steps if isinstance(step, Operand)}
    origins = {
        step.name: step.input for step in program.steps if isinstance(step, MaxPool | Subsample | Flatten | Select)
    }
    for step in program.steps:
        if isinstance(step, Sum):
            sizes = [float(folding.scales[name].step) for name in step.inputs]
            for name, size in zip(step.inputs, sizes, strict=True):
                origin = name
                while origin in origins:
                    origin = origins[origin]
                over = round(math.log2(max(sizes) / size)) - _MOST
                if over > 0 and origin in slots:
                    yield slots[origin], over
