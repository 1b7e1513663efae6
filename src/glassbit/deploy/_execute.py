"""Running one step that has its integers, in torch."""

from __future__ import annotations

from typing import assert_never

from torch import Tensor

from glassbit.intgraph import AveragePool, Flatten, Input, MaxPool, Subsample, SumPool

from . import _ops
from ._folded import Folded, FoldedLayer, FoldedReadout, FoldedRequantizer, FoldedSum


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
            return _ops.add(x, read[1], step.left_shift, step.right_shift)
        case FoldedReadout():
            return _ops.logits(x, step.bias, step.scale, gain=step.gain, shift=step.shift, step=step.unit)
        case Input():
            return x
        case MaxPool() | AveragePool() | SumPool() | Subsample() | Flatten():
            return _ops.pool(step, x)
        case _:
            assert_never(step)


def _layer(step: FoldedLayer, codes: Tensor) -> Tensor:
    x = codes - step.zero if step.zero else codes
    if step.weights.dim() == 2:
        return _ops.linear(x, step.weights, bound=step.bound)
    return _ops.conv(
        x, step.weights, stride=step.step.stride, padding=step.step.padding, groups=step.groups, bound=step.bound
    )
