"""Running one step that has its integers, in torch."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from glassbit.intgraph import AveragePool, Flatten, Input, MaxPool, Multiply, Select, Subsample, SumPool

from . import _ops
from ._folded import Folded, FoldedCurve, FoldedLayer, FoldedReadout, FoldedRequantizer, FoldedSum
from ._program import Affine, Join


def execute(step: Folded, read: tuple[Tensor, ...], *, training: bool = False) -> Tensor:
    """Return what a step makes of the tensors that it reads.

    Args:
        step: the step.
        read: in the order of `read_by(step)`; of the image the pixels.
        training: which mask the gradient of a requantizer has, see `_ops.requantize`.
    """
    x = read[0]
    match step:
        case FoldedLayer():
            return _layer(step, x)
        case FoldedRequantizer():
            return _ops.requantize(
                x,
                step.numbers,
                gain=step.gain,
                shift=step.shift,
                level=step.level,
                learned=step.learned,
                training=training,
            )
        case FoldedSum():
            return _ops.add(read, step.shifts)
        case FoldedCurve():
            return _ops.look_up(x, step.table, step.slopes, low=step.low)
        case FoldedReadout():
            return _ops.logits(x, step.bias, step.scale, gain=step.gain, shift=step.shift, step=step.unit)
        case Join():
            return torch.cat([*read], 1)
        case Input() | Affine():
            return x
        case MaxPool() | AveragePool() | SumPool() | Subsample() | Flatten() | Select() | Multiply():
            return _ops.pool(step, read)
        case _:
            assert_never(step)


def _layer(step: FoldedLayer, codes: Tensor) -> Tensor:
    x = codes - step.zero if step.zero else codes
    if step.weights.dim() == 2:
        return _ops.linear(x, step.weights, bound=step.bound)
    at = step.step
    return _ops.conv(
        x,
        step.weights,
        stride=at.stride,
        padding=at.padding,
        dilation=at.dilation,
        groups=step.groups,
        bound=step.bound,
    )
