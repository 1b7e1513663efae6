"""What each tensor of an integer network is: its shape, its kind and the integers that it can hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, assert_never

from ._combined import Concat, Lookup, Multiply, Select, Sum
from ._nodes import (
    AveragePool,
    Conv,
    Flatten,
    Input,
    Linear,
    Logits,
    MaxPool,
    Node,
    Pads,
    Pair,
    Requantize,
    Subsample,
    SumPool,
    Weights,
    inputs,
    sides,
)

Kind = Literal["codes", "accumulators", "logits"]
_AT_ONCE = 2**22
"""Weights that are looked at together; each takes 8 bytes meanwhile."""


@dataclass(frozen=True)
class TensorInfo:
    """One tensor.

    Args:
        shape: without the batch: `(c, h, w)`, or `(c,)` when flat.
        low, high: bounds of its integers, over all channels and all images; of codes their window, and `value - low` is
            what is stored; of logits before the product with their scales.
        kind: who may read it: codes are read by layers, accumulators by requantizers and logits, logits by nobody.
    """

    shape: tuple[int, ...]
    low: int
    high: int
    kind: Kind

    @property
    def size(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    @property
    def pixels(self) -> int:
        """How many each of its channels has."""
        return math.prod(self.shape[1:])

    @property
    def bound(self) -> int:
        """The largest absolute value that it can hold."""
        return max(abs(self.low), abs(self.high))

    @property
    def span(self) -> int:
        """How far its integers reach; the largest stored value of codes."""
        return self.high - self.low


def infer(node: Node, reads: Sequence[TensorInfo], *, values: bool = True) -> TensorInfo:
    """Return the tensor that a valid node makes of valid ones.

    Args:
        node: any.
        reads: what it reads, in the order of `inputs(node)`.
        values: whether its integers are valid too; where they are not, it is taken to hold zeros.
    """
    made = _made(node, reads)
    low, high = made.interval() if values else (0, 0)
    return TensorInfo(made.shape, low, high, made.kind)


def infer_all(nodes: Sequence[Node]) -> dict[str, TensorInfo]:
    """Return what each node of a valid network makes, by name, in the order of the nodes."""
    tensors: dict[str, TensorInfo] = {}
    for node in nodes:
        tensors[node.name] = infer(node, [tensors[name] for name in inputs(node)])
    return tensors


@dataclass(frozen=True)
class _Made:
    """A tensor whose bounds are not looked for yet; see `TensorInfo`."""

    shape: tuple[int, ...]
    interval: Callable[[], tuple[int, int]]
    kind: Kind = "codes"


def _made(node: Node, reads: Sequence[TensorInfo]) -> _Made:
    match node:
        case Input():
            return _Made((node.channels, node.height, node.width), lambda: (-node.zero, 255 - node.zero))
        case Conv():
            made = (len(node.weights.codes), *_map(reads[0], node.reach, node.stride, node.padding))
            return _Made(made, partial(_dot, node.weights, reads[0]), "accumulators")
        case Linear():
            return _Made((len(node.weights.codes),), partial(_dot, node.weights, reads[0]), "accumulators")
        case Requantize():
            return _Made(reads[0].shape, lambda: (node.low, node.high))
        case Sum():
            return _Made(reads[0].shape, partial(_sum, node, reads), "accumulators")
        case Multiply():
            return _Made(reads[0].shape, partial(_product, *reads), "accumulators")
        case Concat():
            channels = sum(read.shape[0] for read in reads)
            return _Made((channels, *reads[0].shape[1:]), partial(_hull, reads))
        case Select():
            return _Made((len(node.channels), *reads[0].shape[1:]), partial(_times, reads[0], 1))
        case Lookup():
            return _Made(reads[0].shape, lambda: (node.low, node.high))
        case MaxPool():
            made = (reads[0].shape[0], *_map(reads[0], node.kernel, node.stride, node.padding))
            return _Made(made, partial(_times, reads[0], 1))
        case AveragePool():
            made = (reads[0].shape[0], *_map(reads[0], node.kernel, node.stride, (0, 0)))
            return _Made(made, partial(_times, reads[0], math.prod(node.kernel)), "accumulators")
        case SumPool():
            made = (reads[0].shape[0], len(node.rows), len(node.columns))
            return _Made(made, partial(_times, reads[0], node.reach), "accumulators")
        case Subsample():
            channels, height, width = reads[0].shape
            made = (channels + node.channels, -(-height // node.stride[0]), -(-width // node.stride[1]))
            return _Made(made, partial(_times, reads[0], 1))
        case Flatten():
            return _Made((reads[0].size,), partial(_times, reads[0], 1))
        case Logits():
            return _Made(reads[0].shape[:1], partial(_biased, node, reads[0]), "logits")
        case _:
            assert_never(node)


def _dot(weights: Weights, read: TensorInfo) -> tuple[int, int]:
    """Return the least and the largest sum over one output channel, exact because inputs are independent and span 0."""
    low, high = read.low, read.high
    least, largest = [], []
    each = max(1, _AT_ONCE // weights.codes[0].size)
    for start in range(0, len(weights.codes), each):
        part = replace(weights, codes=weights.codes[start : start + each])
        values = part.values.reshape(len(part.codes), -1)
        positive, negative = values.clip(min=0).sum(1), values.clip(max=0).sum(1)
        least.append(int((positive * low + negative * high).min()))
        largest.append(int((positive * high + negative * low).max()))
    return min(least), max(largest)


def _sum(node: Sum, reads: Sequence[TensorInfo]) -> tuple[int, int]:
    pairs = list(zip(reads, node.shifts, strict=True))
    return sum(read.low << shift for read, shift in pairs), sum(read.high << shift for read, shift in pairs)


def _product(left: TensorInfo, right: TensorInfo) -> tuple[int, int]:
    ends = [a * b for a in (left.low, left.high) for b in (right.low, right.high)]
    return min(ends), max(ends)


def _hull(reads: Sequence[TensorInfo]) -> tuple[int, int]:
    return min(read.low for read in reads), max(read.high for read in reads)


def _times(read: TensorInfo, factor: int) -> tuple[int, int]:
    return factor * read.low, factor * read.high


def _biased(node: Logits, read: TensorInfo) -> tuple[int, int]:
    return read.pixels * read.low + int(node.bias.min()), read.pixels * read.high + int(node.bias.max())


def _map(read: TensorInfo, kernel: Pair, stride: Pair, padding: Pads) -> Pair:
    _, height, width = read.shape
    top, left, bottom, right = sides(padding)
    return (
        (height + top + bottom - kernel[0]) // stride[0] + 1,
        (width + left + right - kernel[1]) // stride[1] + 1,
    )
