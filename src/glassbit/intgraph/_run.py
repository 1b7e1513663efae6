"""The definition of what an integer network computes: slow, obvious, in NumPy integers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, assert_never

import numpy as np
from jaxtyping import Float32, Int64, Num, UInt8

from ._combined import Concat, Lookup, Multiply, Select, Sum
from ._infer import infer_all
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
from ._pixels import check_pixels
from ._work import work

_Integers = np.ndarray[Any, np.dtype[np.int64]]

_BATCH_BYTES = 2**26
_WEIGHTS_AT_ONCE = 2**22
_WINDOWS_AT_ONCE = 2**23
_LOWEST = np.iinfo(np.int64).min


def run(nodes: Sequence[Node], images: UInt8[np.ndarray, "n c h w"]) -> Float32[np.ndarray, "n k"]:
    """Return the logits, a batch at a time."""
    return np.concatenate([values[nodes[-1].name] for _, values in batches(nodes, images, keep=False)])


def trace(nodes: Sequence[Node], images: UInt8[np.ndarray, "n c h w"]) -> dict[str, Num[np.ndarray, "n ..."]]:
    """Every tensor by name: int64, the logits float32."""
    parts = [values for _, values in batches(nodes, images)]
    return {node.name: np.concatenate([part[node.name] for part in parts]) for node in nodes}


def batches(
    nodes: Sequence[Node], images: UInt8[np.ndarray, "n c h w"], *, keep: bool = True
) -> Iterator[tuple[slice, dict[str, Num[np.ndarray, "b ..."]]]]:
    """Slices of the images that fit into some 64 MiB, at least one, and every tensor of each.

    Args:
        nodes: of a valid network.
        images: of the input's shape.
        keep: whether tensors that no later node reads are kept.

    Raises:
        UsageError: the images are not what the network reads.
    """
    tensors = infer_all(nodes)
    first = nodes[0]
    assert isinstance(first, Input)
    check_pixels(images, tensors[first.name].shape)
    each = 8 * sum(tensor.size for tensor in tensors.values())
    each += 16 * max(work(node, tensors[node.name], [tensors[name] for name in inputs(node)]).held for node in nodes)
    size = max(1, _BATCH_BYTES // each)
    last = {name: node for node in nodes for name in inputs(node)}
    for start in range(0, max(len(images), 1), size):
        where = slice(start, start + size)
        values: dict[str, np.ndarray[Any, Any]] = {first.name: images[where].astype(np.int64) - first.zero}
        for node in nodes[1:]:
            names = inputs(node)
            values[node.name] = compute(node, [values[name] for name in names], tensors[names[0]].low)
            for name in () if keep else {name for name in names if last[name] is node}:
                del values[name]
        yield where, values


def compute(node: Node, reads: Sequence[Int64[np.ndarray, "n ..."]], low: int) -> Num[np.ndarray, "n ..."]:
    """One operation, exactly as its class says.

    Args:
        node: any but the input.
        reads: the integers of what it reads.
        low: where the window of the first of them begins.
    """
    x = reads[0]
    result: np.ndarray[Any, Any]
    match node:
        case Conv():
            result = _convolve(x, node)
        case Linear():
            result = _multiply(x, node.weights)
        case Requantize():
            bias, multiplier, exponent = (_a_channel(v, x) for v in (node.bias, node.multiplier, node.exponent))
            result = round_half_even((x + bias) * multiplier, exponent).clip(node.low, node.high)
        case Sum():
            result = np.sum([read << shift for read, shift in zip(reads, node.shifts, strict=True)], axis=0)
        case Multiply():
            result = x * _for_each_pixel(reads[1], x)
        case Concat():
            result = np.concatenate(reads, axis=1)
        case Select():
            result = x[:, list(node.channels)]
        case Lookup():
            result = node.table.astype(np.int64)[x - low]
        case MaxPool():
            result = windows(x, node.kernel, node.stride, node.padding, fill=_LOWEST).max((-2, -1))
        case AveragePool():
            result = windows(x, node.kernel, node.stride).sum((-2, -1))
        case SumPool():
            down, across = (matrix.astype(np.float64) for matrix in node.matrices(x.shape[2], x.shape[3]))
            result = (down @ x @ across.T).astype(np.int64)  # exact: no sum is beyond 2^24
        case Subsample():
            kept = x[:, :, :: node.stride[0], :: node.stride[1]]
            result = np.pad(kept, ((0, 0), (0, node.channels), (0, 0), (0, 0)))
        case Flatten():
            result = x.reshape(len(x), math.prod(x.shape[1:]))
        case Logits():
            sums = x.sum(tuple(range(2, x.ndim)))
            result = (sums + node.bias).astype(np.float32) * node.scale
        case Input():
            raise AssertionError("the image is given, not computed")
        case _:
            assert_never(node)
    return result


def round_half_even(product: Int64[np.ndarray, "..."], exponent: Int64[np.ndarray, "..."]) -> Int64[np.ndarray, "..."]:
    """`product / 2^exponent`, rounded to the nearest integer, halves to the even one; exact."""
    floor: _Integers = product >> exponent
    twice_rest = 2 * (product - (floor << exponent))
    one = np.int64(1) << exponent
    rounded: _Integers = floor + ((twice_rest > one) | ((twice_rest == one) & (floor % 2 == 1)))
    return rounded


def windows(
    x: Int64[np.ndarray, "n c h w"], kernel: Pair, stride: Pair, padding: Pads = (0, 0), fill: int = 0
) -> Int64[np.ndarray, "n c i j u v"]:
    """Return the window of every output pixel; outside the map there is `fill`."""
    top, left, bottom, right = sides(padding)
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(2, 3))[:, :, :: stride[0], :: stride[1]]


def exact_matmul(a: Int64[np.ndarray, "m k"], b: Int64[np.ndarray, "k n"]) -> Int64[np.ndarray, "m n"]:
    """Return the integer product. Partial sums are integers below 2^53, so float64 is exact, and 40 times as fast."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)


def _multiply(x: Int64[np.ndarray, "n i"], weights: Weights) -> Int64[np.ndarray, "n o"]:
    """`x W^T`, some rows of W at a time, so that their integers do not take all of the memory."""
    each = max(1, _WEIGHTS_AT_ONCE // weights.codes.shape[1])
    parts = (weights.codes[start : start + each] for start in range(0, len(weights.codes), each))
    return np.concatenate([exact_matmul(x, replace(weights, codes=part).values.T) for part in parts], axis=1)


def _convolve(x: Int64[np.ndarray, "n c h w"], node: Conv) -> Int64[np.ndarray, "n o i j"]:
    weights = node.weights.values
    out, each = len(weights) // node.groups, weights.shape[1]
    parts = []
    for group in range(node.groups):
        part = windows(x[:, group * each : (group + 1) * each], node.reach, node.stride, node.padding)
        part = part[..., :: node.dilation[0], :: node.dilation[1]]
        n, _, height, width, _, _ = part.shape
        sums = np.empty((n, out, height, width), np.int64)
        for rows in blocks(height, weights[0].size * n * width):
            some = part[:, :, rows]
            columns = some.transpose(1, 4, 5, 0, 2, 3).reshape(weights[0].size, -1)
            products = exact_matmul(weights[group * out : (group + 1) * out].reshape(out, -1), columns)
            sums[:, :, rows] = products.reshape(out, n, some.shape[2], width).transpose(1, 0, 2, 3)
        parts.append(sums)
    return np.concatenate(parts, axis=1)


def blocks(rows: int, each: int) -> Iterator[slice]:
    """Rows of a map, some at a time, at least one, so that their windows do not take all of the memory.

    Args:
        rows: how many there are.
        each: elements in the windows of one.
    """
    some = max(1, _WINDOWS_AT_ONCE // max(each, 1))
    for start in range(0, rows, some):
        yield slice(start, min(start + some, rows))


def _for_each_pixel(gate: Int64[np.ndarray, "n ..."], x: Int64[np.ndarray, "n ..."]) -> Int64[np.ndarray, "n ..."]:
    """Return the right operand of a `Multiply`, shaped to meet the left one."""
    return gate.reshape(*gate.shape, *[1] * (x.ndim - gate.ndim))


def _a_channel(values: np.ndarray[Any, Any], x: np.ndarray[Any, Any]) -> Int64[np.ndarray, "..."]:
    """One value per channel, shaped to meet `(n, c, ...)`."""
    return values.astype(np.int64).reshape(1, -1, *[1] * (x.ndim - 2))
