"""The operations of an integer network, as frozen values.

Every node has a name, which is also the name of the one tensor that it makes. A tensor holds either *codes* or
*accumulators* (integers of at most 32 bits, which only a requantizer or the logits may read).

Codes are values in a window `low..high` with `low <= 0 <= high` and `high - low <= 255`; what is stored of one is
`value - low`, a uint8. Padding is the value 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, assert_never

import numpy as np
from jaxtyping import Float32, Int32, Int64, UInt8

from glassbit._resize import Resize

from ._combined import Concat, Lookup, Multiply, Select, Sum

Grid = Literal["odd", "signed"]
Pair = tuple[int, int]
Window = tuple[int, int, int]
Pads = Pair | tuple[int, int, int, int]
"""Vertical and horizontal, or (top, left, bottom, right)."""


@dataclass(frozen=True, eq=False)
class Weights:
    """Integer weights as unsigned k-bit codes.

        odd      W = 2 code - (2^k - 1)      no zero: SAWB at 2 bits, DoReFa; k up to 7, so that W fits int8
        signed   W = code - 2^(k-1)          SAWB above 2 bits, LSQ

    Args:
        codes: `(o, i / groups, kh, kw)` of a convolution, `(o, i)` of a linear layer; 0..2^k - 1.
        bits: k, 2..8.
        grid: which of the two.
    """

    codes: UInt8[np.ndarray, "..."]
    bits: int
    grid: Grid

    @property
    def gain(self) -> int:
        """What a code is multiplied by."""
        return 2 if self.grid == "odd" else 1

    @property
    def offset(self) -> int:
        """What is subtracted from `gain * code`."""
        return (1 << self.bits) - 1 if self.grid == "odd" else 1 << (self.bits - 1)

    @property
    def values(self) -> Int64[np.ndarray, "..."]:
        """The integer weights W."""
        return self.gain * self.codes.astype(np.int64) - self.offset


@dataclass(frozen=True, eq=False)
class Input:
    """The image: `value = pixel - zero`, codes in the window `-zero..255 - zero`.

    Args:
        name: of the tensor.
        channels, height, width: of the image.
        zero: the pixel that is the value 0, 0..255.
    """

    name: str
    channels: int
    height: int
    width: int
    zero: int


@dataclass(frozen=True, eq=False)
class Conv:
    """Codes to accumulators: `acc[o] = sum over i, u, v of W[o, i, u, v] code[i, stride y + d u - pad, ...]`, d the
    dilation.

    Pixels outside the map contribute nothing. Bias, BatchNorm and activation are the requantizer's.

    Args:
        name: of the layer, and of its accumulators.
        input: the codes that it reads.
        weights: `(o, i / groups, kh, kw)`.
        stride: vertical and horizontal.
        padding: vertical and horizontal, or (top, left, bottom, right).
        groups: number of groups that input and output channels are split into.
        dilation: steps from one weight to the next, vertical and horizontal.
    """

    name: str
    input: str
    weights: Weights
    stride: Pair = (1, 1)
    padding: Pads = (0, 0)
    groups: int = 1
    dilation: Pair = (1, 1)

    @property
    def reach(self) -> Pair:
        """The height and width of what a window covers."""
        height, width = self.weights.codes.shape[2:]
        return (height - 1) * self.dilation[0] + 1, (width - 1) * self.dilation[1] + 1


@dataclass(frozen=True, eq=False)
class Linear:
    """Flat codes to accumulators: `acc[o] = sum over i of W[o, i] code[i]`.

    Args:
        name: of the layer, and of its accumulators.
        input: the codes that it reads, flattened.
        weights: `(o, i)`.
    """

    name: str
    input: str
    weights: Weights


@dataclass(frozen=True, eq=False)
class Requantize:
    """Accumulators (or codes) to codes: `code = clip(round_half_even((acc + B_c) m_c 2^-e_c), low, high)`.

    Bias, BatchNorm, activation and step sizes of the layers before and after are folded into B, m and e; a BatchNorm
    that is negative is a negative m.

    Args:
        name: of the activation, and of its codes.
        input: what it reads.
        bias: B, one per channel, or one for all.
        multiplier: m, odd, -255..255, as many as there are biases.
        exponent: e, 0..30, as many as there are biases.
        low, high: the window, `low <= 0 <= high`, with `high - low` of 2..255: 0 and 2^k - 1 for an activation of k
            bits, -128 and 127 for the operand of a sum.
    """

    name: str
    input: str
    bias: Int32[np.ndarray, " c"]
    multiplier: Int32[np.ndarray, " c"]
    exponent: Int32[np.ndarray, " c"]
    low: int
    high: int


@dataclass(frozen=True, eq=False)
class MaxPool:
    """The largest code of each window; where several are equal, the first in row order is the one that counts.

    Args:
        name: of the pool.
        input: the codes.
        kernel, stride: vertical and horizontal.
        padding: the same, or (top, left, bottom, right); it never wins.
    """

    name: str
    input: str
    kernel: Pair
    stride: Pair
    padding: Pads = (0, 0)


@dataclass(frozen=True, eq=False)
class AveragePool:
    """The sum of the codes of each window, as accumulators; dividing by its size is the requantizer's.

    A kernel as large as the map is the global mean. Windows lie inside the map: there is no padding.

    Args:
        name: of the pool.
        input: the codes.
        kernel, stride: vertical and horizontal.
    """

    name: str
    input: str
    kernel: Pair
    stride: Pair


@dataclass(frozen=True, eq=False)
class SumPool:
    """The weighted sum of the codes of each window, as accumulators, for means over windows of several sizes.

        acc[c, i, j] = r_i s_j sum over u in row window i, v in column window j of code[c, u, v]

    With `r_i = L / size_i`, L the least common multiple of the sizes, `acc / L` is the mean along the rows; the same
    along the columns. That is an adaptive pool whose windows do not divide the map, and a pool that does not count its
    padding. Dividing is the requantizer's. Windows lie inside the map, may overlap, and need not cover it.

    Args:
        name: of the pool.
        input: the codes.
        rows: `(first, stop, weight)`, one per row of the result: pixel rows first..stop - 1 and r_i, 1..65535.
        columns: the same for its columns.
    """

    name: str
    input: str
    rows: tuple[Window, ...]
    columns: tuple[Window, ...]

    @property
    def reach(self) -> int:
        """The largest sum of weights in one window, so that `|acc| <= reach |code|`."""
        down, right = (
            max((stop - first) * weight for first, stop, weight in windows) for windows in (self.rows, self.columns)
        )
        return down * right

    def matrices(self, height: int, width: int) -> tuple[Int64[np.ndarray, "i h"], Int64[np.ndarray, "j w"]]:
        """R and S with `acc[c] = R code[c] S^T`.

        Args:
            height, width: of the map.
        """
        return _matrix(self.rows, height), _matrix(self.columns, width)


def _matrix(windows: tuple[Window, ...], size: int) -> Int64[np.ndarray, "i n"]:
    """Return the weight of every pixel in every window of one axis."""
    weights = np.zeros((len(windows), size), np.int64)
    for row, (first, stop, weight) in zip(weights, windows, strict=True):
        row[first:stop] = weight
    return weights


@dataclass(frozen=True, eq=False)
class Subsample:
    """Every `stride`-th pixel, followed by channels of zeros: the shortcut without parameters (He et al. 2015, A).

    Args:
        name: of the shortcut.
        input: the codes.
        stride: vertical and horizontal.
        channels: how many channels of zeros are added.
    """

    name: str
    input: str
    stride: Pair
    channels: int


@dataclass(frozen=True, eq=False)
class Flatten:
    """Codes `(c, h, w)` to `(c h w,)`, the last index fastest.

    Args:
        name: of the flat codes.
        input: the codes.
    """

    name: str
    input: str


@dataclass(frozen=True, eq=False)
class Logits:
    """Accumulators of the last layer to logits: `float32(acc + B_c) * scale_c`, one float32 product each.

    Of a map `(classes, h, w)`, such as the head of a fully convolutional network makes, acc is the sum over its pixels.

    Args:
        name: of the logits.
        input: the accumulators, `(classes,)` or `(classes, h, w)`.
        bias: B, one per class.
        scale: the value of one accumulator step, 2^-100..2^90, one per class.
    """

    name: str
    input: str
    bias: Int32[np.ndarray, " k"]
    scale: Float32[np.ndarray, " k"]


Node = (
    Input
    | Conv
    | Linear
    | Requantize
    | Sum
    | Multiply
    | Concat
    | Select
    | Lookup
    | MaxPool
    | AveragePool
    | SumPool
    | Subsample
    | Flatten
    | Logits
)
Accumulates = Conv | Linear | Sum | Multiply | AveragePool | SumPool
"""Nodes that make accumulators."""
Layer = Conv | Linear
"""Nodes with weights."""


def sides(padding: Pads) -> tuple[int, int, int, int]:
    """Return padding as (top, left, bottom, right).

    Example:
        >>> sides((1, 2))
        (1, 2, 1, 2)
    """
    return (*padding, *padding) if len(padding) == 2 else padding


def inputs(node: Node) -> tuple[str, ...]:
    """Return the names of the tensors that a node reads."""
    match node:
        case Input():
            return ()
        case Multiply():
            return (node.left, node.right)
        case Sum() | Concat():
            return node.inputs
        case (
            Conv()
            | Linear()
            | Requantize()
            | Select()
            | Lookup()
            | MaxPool()
            | AveragePool()
            | SumPool()
            | Subsample()
            | Flatten()
            | Logits()
        ):
            return (node.input,)
        case _:
            assert_never(node)


@dataclass(frozen=True)
class Preprocessing:
    """What an image file goes through before it is the network's input.

    Args:
        channels: 1 is grey, 3 is RGB.
        height, width: in pixels.
        resize: see `Resize`.
    """

    channels: int
    height: int
    width: int
    resize: Resize = "crop"


@dataclass(frozen=True)
class About:
    """Where a graph comes from; nothing that it computes depends on it.

    Args:
        plan: the name of the bit plan.
        network: the name of the network.
        run: the id of the training run, or "".
        trained: whether its weights were trained in this arithmetic, or only converted to it.
        notes: what else its users must know, a sentence each, such as how their arrays become pixels.
    """

    plan: str = ""
    network: str = ""
    run: str = ""
    trained: bool = False
    notes: tuple[str, ...] = field(default=())
