"""Which pixels a logit depends on: the reverse pass, in float64 from the integers of the forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import numpy as np
from jaxtyping import Float64, Int64, Num, UInt8

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
    inputs,
    sides,
)
from ._pixels import check_pixels, check_targets
from ._run import batches, blocks, windows


def saliency(
    nodes: Sequence[Node], images: UInt8[np.ndarray, "n c h w"], target: int | Int64[np.ndarray, " n"] | None = None
) -> Float64[np.ndarray, "n h w"]:
    """Return the map of each image; see `IntGraph.saliency`."""
    logits = nodes[-1]
    assert isinstance(logits, Logits)
    classes = len(logits.scale)
    first = nodes[0]
    assert isinstance(first, Input)
    check_pixels(images, (first.channels, first.height, first.width))
    wanted = None if target is None else np.broadcast_to(check_targets(target, len(images), classes), (len(images),))
    tensors = infer_all(nodes)
    maps = []
    for where, values in batches(nodes, images):
        chosen = values[logits.name].argmax(1) if wanted is None else wanted[where]
        gradient = np.eye(classes)[chosen] * logits.scale.astype(np.float64)
        read = values[logits.input].shape
        everywhere = np.broadcast_to(gradient.reshape(*gradient.shape, *[1] * (len(read) - 2)), read)
        gradients: dict[str, np.ndarray[Any, Any]] = {logits.input: everywhere}
        for node in reversed(nodes[1:-1]):
            arriving = gradients.pop(node.name)
            names = inputs(node)
            for name, part in zip(names, reverse(node, arriving, values, tensors[names[0]].low), strict=True):
                gradients[name] = gradients[name] + part if name in gradients else part
        maps.append(np.abs(255 * gradients[nodes[0].name]).sum(1))
    return np.concatenate(maps)


def reverse(
    node: Node, gradient: Float64[np.ndarray, "n ..."], values: Mapping[str, Num[np.ndarray, "n ..."]], low: int
) -> tuple[Float64[np.ndarray, "n ..."], ...]:
    """Return the gradients of what a node reads, from that of what it makes.

    Args:
        node: any but the input and the logits.
        gradient: of the node's tensor.
        values: the integers of every tensor.
        low: where the window of what it reads begins.
    """
    match node:
        case Conv():
            return (_transposed(node, gradient, values[node.input]),)
        case Linear():
            return (gradient @ node.weights.values.astype(np.float64),)
        case Requantize():
            codes = values[node.name]
            slope = np.ldexp(node.multiplier.astype(np.float64), -node.exponent).reshape(1, -1, *[1] * (codes.ndim - 2))
            return (np.where((codes > node.low) & (codes < node.high), gradient * slope, 0.0),)
        case Sum():
            return tuple(gradient * 2.0**shift for shift in node.shifts)
        case Multiply():
            return _of_the_operands(gradient, values[node.left], values[node.right])
        case Concat():
            ends = np.cumsum([values[name].shape[1] for name in node.inputs])[:-1]
            return tuple(np.split(gradient, ends, axis=1))
        case Select():
            every: np.ndarray[Any, Any] = np.zeros(values[node.input].shape)
            every[:, list(node.channels)] = gradient
            return (every,)
        case Lookup():
            return (gradient * node.slopes.astype(np.float64)[values[node.input] - low],)
        case MaxPool():
            return (_to_the_first_maximum(node, gradient, values[node.input]),)
        case AveragePool():
            spread = np.broadcast_to(gradient[..., None, None], (*gradient.shape, *node.kernel))
            return (fold(spread, values[node.input].shape[2:], node.stride),)
        case SumPool():
            rows, columns = node.matrices(*values[node.input].shape[2:])
            return (rows.T @ gradient @ columns,)
        case Subsample():
            read: np.ndarray[Any, Any] = np.zeros(values[node.input].shape)
            read[:, :, :: node.stride[0], :: node.stride[1]] = gradient[:, : read.shape[1]]
            return (read,)
        case Flatten():
            return (gradient.reshape(values[node.input].shape),)
        case Input() | Logits():
            raise AssertionError("the reverse pass begins behind the logits and ends at the image")
        case _:
            assert_never(node)


def _of_the_operands(
    gradient: Float64[np.ndarray, "n ..."], left: Int64[np.ndarray, "n ..."], right: Int64[np.ndarray, "n ..."]
) -> tuple[Float64[np.ndarray, "n ..."], Float64[np.ndarray, "n ..."]]:
    """Each gets the other; a gate gets the sum over its pixels."""
    to_the_right = gradient * left
    if left.shape != right.shape:
        to_the_right = to_the_right.sum((2, 3)).reshape(right.shape)
    return gradient * right.reshape(*right.shape, *[1] * (left.ndim - right.ndim)), to_the_right


def fold(
    parts: Float64[np.ndarray, "n c i j u v"],
    size: tuple[int, ...],
    stride: Pair,
    padding: Pads = (0, 0),
    dilation: Pair = (1, 1),
) -> Float64[np.ndarray, "n c h w"]:
    """Return the sum over windows at each pixel of a map of `size`: the reverse of `windows`."""
    n, c, rows, columns, height, width = parts.shape
    (top, left, bottom, after), (down, right) = sides(padding), stride
    padded = np.zeros((n, c, size[0] + top + bottom, size[1] + left + after))
    for u in range(height):
        for v in range(width):
            y, x = u * dilation[0], v * dilation[1]
            padded[:, :, y : y + down * rows : down, x : x + right * columns : right] += parts[..., u, v]
    return padded[:, :, top : top + size[0], left : left + size[1]]


def _transposed(
    node: Conv, gradient: Float64[np.ndarray, "n o i j"], read: Int64[np.ndarray, "n c h w"]
) -> Float64[np.ndarray, "n c h w"]:
    weights = node.weights.values.astype(np.float64)
    out = len(weights) // node.groups
    n, _, height, columns = gradient.shape
    (tall, wide), (top, left, bottom, right), down = weights.shape[2:], sides(node.padding), node.stride[0]
    groups = []
    for group in range(node.groups):
        where = slice(group * out, (group + 1) * out)
        padded = np.zeros((n, weights.shape[1], read.shape[2] + top + bottom, read.shape[3] + left + right))
        for rows in blocks(height, weights[0].size * n * columns):
            flat = gradient[:, where, rows].transpose(1, 0, 2, 3).reshape(out, -1)
            parts = weights[where].reshape(out, -1).T @ flat
            shaped = parts.reshape(weights.shape[1], tall, wide, n, rows.stop - rows.start, columns)
            part = padded[:, :, down * rows.start : down * (rows.stop - 1) + node.reach[0]]
            part += fold(shaped.transpose(3, 0, 4, 5, 1, 2), part.shape[2:], node.stride, dilation=node.dilation)
        groups.append(padded[:, :, top : top + read.shape[2], left : left + read.shape[3]])
    return np.concatenate(groups, axis=1)


def _to_the_first_maximum(
    node: MaxPool, gradient: Float64[np.ndarray, "n c i j"], read: Int64[np.ndarray, "n c h w"]
) -> Float64[np.ndarray, "n c h w"]:
    lowest = np.iinfo(np.int64).min
    seen = windows(read, node.kernel, node.stride, node.padding, fill=lowest)
    first = seen.reshape(*seen.shape[:4], node.kernel[0] * node.kernel[1]).argmax(-1)
    chosen = first[..., None] == np.arange(node.kernel[0] * node.kernel[1])
    parts = (chosen * gradient[..., None]).reshape(seen.shape)
    return fold(parts, read.shape[2:], node.stride, node.padding)
