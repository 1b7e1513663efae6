"""What each tensor of an integer network is: its shape, its kind and the integers that it can hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ._nodes import (
    Add,
    AveragePool,
    Conv,
    Flatten,
    Input,
    Linear,
    Logits,
    MaxPool,
    Node,
    Pair,
    Requantize,
    Subsample,
    SumPool,
    Weights,
)

Kind = Literal["codes", "accumulators", "logits"]
_AT_ONCE = 2**22
"""Weights that are looked at together; each takes 8 bytes meanwhile."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor.

    Args:
        shape: without the batch: `(c, h, w)`, or `(c,)` when flat.
        low, high: bounds of its integers, over all channels and all images; of logits, before the product with their
            scales.
        kind: who may read it: codes are read by layers, accumulators by requantizers and logits, logits by nobody.
        zero: the code that counts as zero; not 0 for the image alone, and what is pooled or flattened straight from it.
    """

    shape: tuple[int, ...]
    low: int
    high: int
    kind: Kind
    zero: int = 0

    @property
    def size(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    @property
    def bound(self) -> int:
        """The largest absolute value that it can hold."""
        return max(abs(self.low), abs(self.high))


def infer(node: Node, reads: Sequence[TensorInfo]) -> TensorInfo:
    """The tensor that a valid node makes of valid ones.

    Args:
        node: any.
        reads: what it reads, in the order of `inputs(node)`.
    """
    low, high = interval(node, reads)
    return TensorInfo(shape(node, reads), low, high, kind(node), zero(node, reads))


def kind(node: Node) -> Kind:
    """What a node makes."""
    if isinstance(node, Conv | Linear | Add | AveragePool | SumPool):
        return "accumulators"
    return "logits" if isinstance(node, Logits) else "codes"


def zero(node: Node, reads: Sequence[TensorInfo]) -> int:
    """The code that counts as zero."""
    if isinstance(node, Input):
        return node.zero
    return reads[0].zero if isinstance(node, MaxPool | Flatten) else 0


def shape(node: Node, reads: Sequence[TensorInfo]) -> tuple[int, ...]:
    """The shape of a node's tensor, without the batch."""
    match node:
        case Input():
            return (node.channels, node.height, node.width)
        case Conv():
            return (len(node.weights.codes), *_map(reads[0], kernel_of(node), node.stride, node.padding))
        case MaxPool():
            return (reads[0].shape[0], *_map(reads[0], node.kernel, node.stride, node.padding))
        case AveragePool():
            return (reads[0].shape[0], *_map(reads[0], node.kernel, node.stride, (0, 0)))
        case SumPool():
            return (reads[0].shape[0], len(node.rows), len(node.columns))
        case Subsample():
            channels, height, width = reads[0].shape
            return (channels + node.channels, -(-height // node.stride[0]), -(-width // node.stride[1]))
        case Linear():
            return (len(node.weights.codes),)
        case Flatten():
            return (reads[0].size,)
        case Requantize() | Add() | Logits():
            return reads[0].shape


def interval(node: Node, reads: Sequence[TensorInfo]) -> tuple[int, int]:
    """Bounds of a node's integers."""
    match node:
        case Input():
            return 0, 255
        case Conv() | Linear():
            return _dot(node.weights, reads[0].low - reads[0].zero, reads[0].high - reads[0].zero)
        case Requantize():
            return node.low, node.high
        case Add():
            left, right = reads
            return (
                (left.low << node.left_shift) + (right.low << node.right_shift),
                (left.high << node.left_shift) + (right.high << node.right_shift),
            )
        case AveragePool():
            area = node.kernel[0] * node.kernel[1]
            return area * reads[0].low, area * reads[0].high
        case SumPool():
            return node.reach * reads[0].low, node.reach * reads[0].high
        case Subsample() | MaxPool() | Flatten():
            return reads[0].low, reads[0].high
        case Logits():
            return reads[0].low + int(node.bias.min()), reads[0].high + int(node.bias.max())


def kernel_of(node: Conv) -> Pair:
    """The height and width of a convolution's kernel."""
    return node.weights.codes.shape[2], node.weights.codes.shape[3]


def _dot(weights: Weights, low: int, high: int) -> tuple[int, int]:
    """The least and the largest sum over one output channel, exact because inputs are independent and span 0."""
    least, largest = [], []
    each = max(1, _AT_ONCE // weights.codes[0].size)
    for start in range(0, len(weights.codes), each):
        part = replace(weights, codes=weights.codes[start : start + each])
        values = part.values.reshape(len(part.codes), -1)
        positive, negative = values.clip(min=0).sum(1), values.clip(max=0).sum(1)
        least.append(int((positive * low + negative * high).min()))
        largest.append(int((positive * high + negative * low).max()))
    return min(least), max(largest)


def _map(read: TensorInfo, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    _, height, width = read.shape
    return (
        (height + 2 * padding[0] - kernel[0]) // stride[0] + 1,
        (width + 2 * padding[1] - kernel[1]) // stride[1] + 1,
    )
