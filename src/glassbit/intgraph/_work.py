"""What it takes to compute a node, in the definition that is written in NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from ._combined import Concat, Lookup, Multiply, Select, Sum
from ._infer import TensorInfo
from ._limits import SLOWER
from ._nodes import (
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
)


@dataclass(frozen=True)
class Work:
    """What one node takes for one image.

    Args:
        products: multiply-accumulates; an element, or a pixel of a pool's window, counts as `SLOWER` of them.
        kernel: the height and width of a window.
        pooled: pixels of all windows of a pool.
        row: elements of all windows of one row of a convolution.
        held: integers that are laid out beside the tensors while it is computed.
    """

    products: int
    kernel: Pair = (1, 1)
    pooled: int = 0
    row: int = 0
    held: int = 0


def work(node: Node, made: TensorInfo, reads: Sequence[TensorInfo]) -> Work:
    """Return the work of a node whose shapes are right.

    Args:
        node: any.
        made: what it makes.
        reads: what it reads, in the order of `inputs(node)`.
    """
    match node:
        case Conv():
            row = math.prod(node.weights.codes.shape[1:]) * made.shape[2]
            products = len(node.weights.codes) * row * made.shape[1]
            return Work(products, node.reach, row=row, held=row * made.shape[1])
        case Linear():
            return Work(node.weights.codes.size)
        case MaxPool() | AveragePool():
            pixels = math.prod(node.kernel) * made.size
            return Work(SLOWER * pixels, node.kernel, pooled=pixels, held=pixels)
        case SumPool():
            channels, height, width = reads[0].shape
            products = channels * len(node.rows) * width * (height + len(node.columns))
            return Work(products, held=math.prod(made.shape[:2]) * max(stop for _, stop, _ in node.columns))
        case Input() | Requantize() | Sum() | Multiply() | Concat() | Select() | Lookup() | Subsample() | Flatten():
            return Work(SLOWER * made.size)
        case Logits():
            return Work(SLOWER * reads[0].size)
        case _:
            assert_never(node)
