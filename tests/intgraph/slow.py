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
    lows: dict[str, int] = {}
    for node in graph.nodes:
        kind = type(node).__name__
        reads = [tensors[name] for name in ig.inputs(node)]
        read = ig.inputs(node)[0] if reads else ""
        lows[node.name] = -node.zero if kind == "Input" else getattr(node, "low", lows.get(read, 0))
        more = (lows[read],) if kind == "Lookup" else ()
        tensors[node.name] = globals()[f"_{kind.lower()}"](node, *more, *(reads or [image]))
    return tensors


def _input(node: ig.Input, image: np.ndarray[Any, Any]) -> Tensor:
    return {index: int(image[index]) - node.zero for index in np.ndindex(image.shape)}


def _weight(weights: ig.Weights, *index: int) -> int:
    code, k = int(weights.codes[index]), weights.bits
    return 2 * code - (2**k - 1) if weights.grid == "odd" else code - 2 ** (k - 1)


def _size(x: Tensor) -> tuple[int, ...]:
    return tuple(1 + max(index[axis] for index in x) for axis in range(len(next(iter(x)))))


def _positions(length: int, kernel: int, stride: int, pad: int, after: int) -> list[int]:
    """Where the windows begin."""
    return [begin for begin in range(-pad, length + after - kernel + 1) if (begin + pad) % stride == 0]


def _conv(node: ig.Conv, x: Tensor) -> Tensor:
    out, each, kh, kw = node.weights.codes.shape
    _, height, width = _size(x)
    (down, across), (top, left, bottom, right) = node.dilation, (node.padding * 2)[:4]
    tops = _positions(height, 1 + (kh - 1) * down, node.stride[0], top, bottom)
    lefts = _positions(width, 1 + (kw - 1) * across, node.stride[1], left, right)
    made = {}
    for o, (i, top), (j, left) in itertools.product(range(out), enumerate(tops), enumerate(lefts)):
        first = o // (out // node.groups) * each
        made[o, i, j] = sum(
            _weight(node.weights, o, c, u, v) * x[first + c, top + u * down, left + v * across]
            for c, u, v in np.ndindex(each, kh, kw)
            if (first + c, top + u * down, left + v * across) in x
        )
    return made


def _linear(node: ig.Linear, x: Tensor) -> Tensor:
    out, count = node.weights.codes.shape
    return {(o,): sum(_weight(node.weights, o, i) * x[i,] for i in range(count)) for o in range(out)}


def _requantize(node: ig.Requantize, x: Tensor) -> Tensor:
    made = {}
    for index, value in x.items():
        c = index[0] if len(node.bias) > 1 else 0
        exact = Fraction((value + int(node.bias[c])) * int(node.multiplier[c]), 2 ** int(node.exponent[c]))
        made[index] = min(max(round(exact), node.low), node.high)
    return made


def _sum(node: ig.Sum, *reads: Tensor) -> Tensor:
    return {index: sum(x[index] * 2**shift for x, shift in zip(reads, node.shifts, strict=True)) for index in reads[0]}


def _multiply(node: ig.Multiply, left: Tensor, right: Tensor) -> Tensor:
    gate = len(right) < len(left)
    short = len(next(iter(right))) == 1
    return {
        index: value * right[index if not gate else index[:1] if short else (index[0], 0, 0)]
        for index, value in left.items()
    }


def _concat(node: ig.Concat, *parts: Tensor) -> Tensor:
    made: Tensor = {}
    for part in parts:
        before = _size(made)[0] if made else 0
        made |= {(before + index[0], *index[1:]): value for index, value in part.items()}
    return made


def _select(node: ig.Select, x: Tensor) -> Tensor:
    return {
        (place, *index[1:]): x[index]
        for place, channel in enumerate(node.channels)
        for index in x
        if index[0] == channel
    }


def _lookup(node: ig.Lookup, low: int, x: Tensor) -> Tensor:
    return {index: int(node.table[value - low]) for index, value in x.items()}


def _windows(x: Tensor, kernel: tuple[int, int], stride: tuple[int, int], padding: Any) -> Any:
    channels, height, width = _size(x)
    top, left, bottom, right = (padding * 2)[:4]
    tops = enumerate(_positions(height, kernel[0], stride[0], top, bottom))
    lefts = list(enumerate(_positions(width, kernel[1], stride[1], left, right)))
    for (i, top), (j, left), c in itertools.product(tops, lefts, range(channels)):
        where = [(c, top + u, left + v) for u, v in np.ndindex(kernel)]
        yield (c, i, j), [x[index] for index in where if index in x]


def _maxpool(node: ig.MaxPool, x: Tensor) -> Tensor:
    return {index: max(seen) for index, seen in _windows(x, node.kernel, node.stride, node.padding)}


def _averagepool(node: ig.AveragePool, x: Tensor) -> Tensor:
    return {index: sum(seen) for index, seen in _windows(x, node.kernel, node.stride, (0, 0))}


def _sumpool(node: ig.SumPool, x: Tensor) -> Tensor:
    made = {}
    for c, (i, row), (j, column) in itertools.product(
        range(_size(x)[0]), enumerate(node.rows), enumerate(node.columns)
    ):
        pixels = itertools.product(range(row[0], row[1]), range(column[0], column[1]))
        made[c, i, j] = sum(row[2] * column[2] * x[c, u, v] for u, v in pixels)
    return made


def _subsample(node: ig.Subsample, x: Tensor) -> Tensor:
    channels, height, width = _size(x)
    down, right = node.stride
    return {
        (c, i, j): x.get((c, i * down, j * right), 0)
        for c in range(channels + node.channels)
        for i in range(-(-height // down))
        for j in range(-(-width // right))
    }


def _flatten(node: ig.Flatten, x: Tensor) -> Tensor:
    return {(position,): x[index] for position, index in enumerate(sorted(x))}


def _logits(node: ig.Logits, x: Tensor) -> list[float]:
    """A product of two float32 is exact in float64, so each line rounds once."""
    maps = [sum(value for index, value in x.items() if index[0] == k) for k in range(len(node.bias))]
    sums = [np.float32(float(maps[k] + int(node.bias[k]))) for k in range(len(maps))]
    return [float(np.float32(float(a) * float(scale))) for a, scale in zip(sums, node.scale, strict=True)]
