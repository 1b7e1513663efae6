"""Which pixels a logit depends on: the reverse pass, in float64 from the integers of the forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import numpy as np
from jaxtyping import Float64, Int64, Num, UInt8

from ._infer import kernel_of
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
    inputs,
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
    maps = []
    for where, values in batches(nodes, images):
        chosen = values[logits.name].argmax(1) if wanted is None else wanted[where]
        gradient = np.eye(classes)[chosen] * logits.scale.astype(np.float64)
        gradients: dict[str, np.ndarray[Any, Any]] = {logits.input: gradient}
        for node in reversed(nodes[1:-1]):
            arriving = gradients.pop(node.name)
            for name, part in zip(inputs(node), reverse(node, arriving, values), strict=True):
                gradients[name] = gradients[name] + part if name in gradients else part
        maps.append(np.abs(255 * gradients[nodes[0].name]).sum(1))
    return np.concatenate(maps)


def reverse(
    node: Node, gradient: Float64[np.ndarray, "n ..."], values: Mapping[str, Num[np.ndarray, "n ..."]]
) -> tuple[Float64[np.ndarray, "n ..."], ...]:
    """Return the gradients of what a node reads, from that of what it makes.

    Args:
        node: any but the input and the logits.
        gradient: of the node's tensor.
        values: the integers of every tensor.
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
        case Add():
            return gradient * 2.0**node.left_shift, gradient * 2.0**node.right_shift
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


def fold(
    parts: Float64[np.ndarray, "n c i j u v"], size: tuple[int, ...], stride: Pair, padding: Pair = (0, 0)
) -> Float64[np.ndarray, "n c h w"]:
    """Return the sum over windows at each pixel of a map of `size`: the reverse of `windows`."""
    n, c, rows, columns, height, width = parts.shape
    (top, left), (down, right) = padding, stride
    padded = np.zeros((n, c, size[0] + 2 * top, size[1] + 2 * left))
    for u in range(height):
        for v in range(width):
            padded[:, :, u : u + down * rows : down, v : v + right * columns : right] += parts[..., u, v]
    return padded[:, :, top : top + size[0], left : left + size[1]]


def _transposed(
    node: Conv, gradient: Float64[np.ndarray, "n o i j"], read: Int64[np.ndarray, "n c h w"]
) -> Float64[np.ndarray, "n c h w"]:
    weights = node.weights.values.astype(np.float64)
    out = len(weights) // node.groups
    n, _, height, columns = gradient.shape
    (tall, wide), (top, left), down = kernel_of(node), node.padding, node.stride[0]
    groups = []
    for group in range(node.groups):
        where = slice(group * out, (group + 1) * out)
        padded = np.zeros((n, weights.shape[1], read.shape[2] + 2 * top, read.shape[3] + 2 * left))
        for rows in blocks(height, weights[0].size * n * columns):
            flat = gradient[:, where, rows].transpose(1, 0, 2, 3).reshape(out, -1)
            parts = weights[where].reshape(out, -1).T @ flat
            shaped = parts.reshape(weights.shape[1], tall, wide, n, rows.stop - rows.start, columns)
            part = padded[:, :, down * rows.start : down * (rows.stop - 1) + tall]
            part += fold(shaped.transpose(3, 0, 4, 5, 1, 2), part.shape[2:], node.stride)
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
