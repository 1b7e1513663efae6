"""Integers that would not fit: found when a network becomes integers, by the name of its layer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from glassbit.intgraph import LARGEST_SUM, power

from ._fold import Folding
from ._folded import FoldedLayer, FoldedReadout, FoldedRequantizer
from ._program import Affine


@torch.no_grad()
def too_large(folding: Folding) -> Iterator[str]:
    """Yield the layers whose sums, with the bias, exceed 32-bit integers.

    Args:
        folding: it is run here.
    """
    steps = {step.name: step for step in folding.run()}
    for step in steps.values():
        if not isinstance(step, FoldedRequantizer | FoldedReadout):
            continue
        source = steps[step.step.input]
        while isinstance(source, Affine):
            source = steps[source.input]
        if isinstance(source, FoldedLayer):
            bias = int(step.bias.abs().max())
            bias += (step.step.over - 1) * source.bound if isinstance(step, FoldedReadout) else 0
            if source.bound + bias >= LARGEST_SUM:
                most = _reached(source, folding)
                if most + bias >= LARGEST_SUM:
                    yield (
                        f"{source.step.layer}: its sums, with the bias, must stay below {power(LARGEST_SUM)}; "
                        f"they can reach {most + bias}; pool in front of it, or give it and what it reads fewer bits"
                    )


def _reached(layer: FoldedLayer, folding: Folding) -> int:
    """Return the largest absolute sum that a layer can make of its codes, exactly."""
    read = folding.scales[layer.step.input]
    low, high = read.low - layer.zero, read.high - layer.zero
    values: Tensor = layer.weights.detach().double().flatten(1)
    positive, negative = values.clamp(min=0).sum(1), values.clamp(max=0).sum(1)
    ends = torch.stack([positive * low + negative * high, positive * high + negative * low])
    return int(ends.abs().max())
