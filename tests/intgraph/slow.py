"""What an integer network computes, written a second time from its definition: loops, fractions, nothing shared."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import numpy as np

from glassbit import intgraph as ig

Tensor = dict[tuple[int, ...], int]


def evaluate(graph: ig.IntGraph, image: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Every tensor of one image by name, as a dictionary from index to integer; of the logits a list of floats."""
    tensors: dict[str, Any] = {}
    zeros: dict[str, int] = {}
    for node in graph.nodes:
        kind = type(node).__name__
        reads = [tensors[name] for name in ig.inputs(node)]
        zeros[node.name] = zeros[node.input] if kind in ("MaxPool", "Flatten") else getattr(node, "zero", 0)
        zero = zeros[ig.inputs(node)[0]] if reads else 0
        tensors[node.name] = globals()[f"_{kind.lower()}"](node, zero, *(reads or [image]))
    return tensors


def _input(node: ig.Input, zero: int, image: np.ndarray[Any, Any]) -> Tensor:
    return {index: int(image[index]) for index in np.ndindex(image.shape)}


def _weight(weights: ig.Weights, *index: int) -> int:
    code, k = int(weights.codes[index]), weights.bits
    return 2 * code - (2**k - 1) if weights.grid == "odd" else code - 2 ** (k - 1)


def _size(x: Tensor) -> tuple[int, ...]:
    return tuple(1 + max(index[axis] for index in x) for axis in range(len(next(iter(x)))))


def _positions(length: int, kernel: int, stride: int, pad: int) -> list[int]:
    """Where the windows begin."""
    return [begin for begin in range(-pad, length + pad - kernel + 1) if (begin + pad) % stride == 0]


def _conv(node: ig.Conv, zero: int, x: Tensor) -> Tensor:
    out, each, kh, kw = node.weights.codes.shape
    _, height, width = _size(x)
    tops = _positions(height, kh, node.stride[0], node.padding[0])
    lefts = _positions(width, kw, node.stride[1], node.padding[1])
    made = {}
    for o, (i, top), (j, left) in itertools.product(range(out), enumerate(tops), enumerate(lefts)):
        first = o // (out // node.groups) * each
        made[o, i, j] = sum(
            _weight(node.weights, o, c, u, v) * (x[first + c, top + u, left + v] - zero)
            for c, u, v in np.ndindex(each, kh, kw)
            if (first + c, top + u, left + v) in x
        )
    return made


def _linear(node: ig.Linear, zero: int, x: Tensor) -> Tensor:
    out, count = node.weights.codes.shape
    return {(o,): sum(_weight(node.weights, o, i) * (x[i,] - zero) for i in range(count)) for o in range(out)}


def _requantize(node: ig.Requantize, zero: int, x: Tensor) -> Tensor:
    made = {}
    for index, value in x.items():
        c = index[0] if len(node.bias) > 1 else 0
        exact = Fraction((value + int(node.bias[c])) * int(node.multiplier[c]), 2 ** int(node.exponent[c]))
        made[index] = min(max(round(exact), node.low), node.high)
    return made


def _add(node: ig.Add, zero: int, left: Tensor, right: Tensor) -> Tensor:
    return {index: left[index] * 2**node.left_shift + right[index] * 2**node.right_shift for index in left}


def _windows(x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]) -> Any:
    channels, height, width = _size(x)
    tops = enumerate(_positions(height, kernel[0], stride[0], padding[0]))
    lefts = list(enumerate(_positions(width, kernel[1], stride[1], padding[1])))
    for (i, top), (j, left), c in itertools.product(tops, lefts, range(channels)):
        where = [(c, top + u, left + v) for u, v in np.ndindex(kernel)]
        yield (c, i, j), [x[index] for index in where if index in x]


def _maxpool(node: ig.MaxPool, zero: int, x: Tensor) -> Tensor:
    return {index: max(seen) for index, seen in _windows(x, node.kernel, node.stride, node.padding)}


def _averagepool(node: ig.AveragePool, zero: int, x: Tensor) -> Tensor:
    return {index: sum(seen) for index, seen in _windows(x, node.kernel, node.stride, (0, 0))}


def _sumpool(node: ig.SumPool, zero: int, x: Tensor) -> Tensor:
    made = {}
    for c, (i, row), (j, column) in itertools.product(
        range(_size(x)[0]), enumerate(node.rows), enumerate(node.columns)
    ):
        pixels = itertools.product(range(row[0], row[1]), range(column[0], column[1]))
        made[c, i, j] = sum(row[2] * column[2] * x[c, u, v] for u, v in pixels)
    return made


def _subsample(node: ig.Subsample, zero: int, x: Tensor) -> Tensor:
    channels, height, width = _size(x)
    down, right = node.stride
    return {
        (c, i, j): x.get((c, i * down, j * right), 0)
        for c in range(channels + node.channels)
        for i in range(-(-height // down))
        for j in range(-(-width // right))
    }


def _flatten(node: ig.Flatten, zero: int, x: Tensor) -> Tensor:
    return {(position,): x[index] for position, index in enumerate(sorted(x))}


def _logits(node: ig.Logits, zero: int, x: Tensor) -> list[float]:
    """A product of two float32 is exact in float64, so each line rounds once."""
    sums = [np.float32(float(x[k,] + int(node.bias[k]))) for k in range(len(x))]
    return [float(np.float32(float(a) * float(scale))) for a, scale in zip(sums, node.scale, strict=True)]
