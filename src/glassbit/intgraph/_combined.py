"""The operations that add, multiply or join codes, pick some of them, or look them up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32


@dataclass(frozen=True, eq=False)
class Sum:
    """Tensors of codes of one shape to accumulators: `acc = sum over i of x_i 2^t_i`.

    Args:
        name: of the sum.
        inputs: two or more tensors of codes.
        shifts: t, 0..16, as many; the smallest is 0.
    """

    name: str
    inputs: tuple[str, ...]
    shifts: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Multiply:
    """Codes times codes to accumulators: `acc = left right`.

    The right operand has the shape of the left one, or one value per channel, `(c, 1, 1)` or `(c,)`, for every pixel of
    `(c, h, w)`: a gate (squeeze and excitation, Hu et al. 2018).

    Args:
        name: of the product.
        left, right: the codes.
    """

    name: str
    left: str
    right: str


@dataclass(frozen=True, eq=False)
class Concat:
    """Codes side by side along the channels: `(c_1, h, w), (c_2, h, w), ...` to `(c_1 + c_2 + ..., h, w)`.

    The codes are kept as they are. All windows begin at one low; the result's ends at the largest high.

    Args:
        name: of the codes.
        inputs: two or more tensors of codes, maps or flat, of one height and width.
    """

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Select:
    """Some channels, in an order of their own: `code[i] = x[channels[i]]`: a slice, a split, a shuffle.

    Args:
        name: of the codes.
        input: the codes, a map or flat.
        channels: which of its channels, each at most once.
    """

    name: str
    input: str
    channels: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Lookup:
    """A function of one code, as a table: `code = table[x - low_x]`, x in the window `low_x..high_x`.

    Any activation is one: sigmoid, SiLU, GELU, tanh, leaky ReLU. Its gradient is `slopes[x - low_x]`, d code / d x.

    Args:
        name: of the codes.
        input: the codes that it reads.
        table: the code for each integer of their window, `high_x - low_x + 1` of them, `low..high`.
        slopes: float32, as many, finite.
        low, high: the window, `low <= 0 <= high`, `high - low` at most 255.
    """

    name: str
    input: str
    table: Int32[np.ndarray, " n"]
    slopes: Float32[np.ndarray, " n"]
    low: int
    high: int
