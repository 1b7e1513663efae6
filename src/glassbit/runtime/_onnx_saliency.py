"""The saliency map, as operators behind the prediction.

The reverse pass is float32, but every mask comes from the integer codes of the prediction, so it is the same on every
machine. Weights are the integers of the prediction, folded once more by ONNX Runtime: the file holds them once.

Factors that are known beforehand, `m_c 2^-e_c` of a requantizer above all, do not cost an operator: a gradient is a
tensor together with such a factor per channel, and the next layer takes it into its weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from jaxtyping import Float64
from onnx import TensorProto

from glassbit.intgraph import (
    AveragePool,
    Concat,
    Conv,
    Flatten,
    Input,
    IntGraph,
    Linear,
    Logits,
    Lookup,
    MaxPool,
    Multiply,
    Node,
    Pads,
    Requantize,
    Select,
    Subsample,
    Sum,
    SumPool,
    sides,
)

from ._names import LOGITS, SALIENCY, TARGET
from ._onnx_body import Array
from ._onnx_forward import Forward, by_channel, contiguous, placed, steps


@dataclass(frozen=True, eq=False)
class _Gradient:
    """`tensor * factor`, the factor one per channel, or one for all."""

    tensor: str
    factor: Float64[np.ndarray, " c"]

    def times(self, factor: Array | float) -> _Gradient:
        return _Gradient(self.tensor, self.factor * factor)


_FEW = 8
"""Channels: ONNX Runtime pads what a `Conv` writes to whole vectors; below this a `ConvTranspose` takes less time."""

_Part = _Gradient | Callable[[float], _Gradient]
"""What arrives from one reader: a gradient as it is, or one that a layer will write with the factor that it is told."""


def append_saliency(graph: IntGraph, forward: Forward) -> None:
    """Write the reverse pass behind the prediction.

    Args:
        graph: the network.
        forward: its prediction.
    """
    _Reverse(forward).write(graph)


class _Reverse:
    """Writes the reverse of each node, from the logits to the image."""

    def __init__(self, forward: Forward) -> None:
        self.forward = forward
        self.body = forward.body
        self.parts: dict[str, list[_Part]] = {name: [] for name in forward.nodes}

    def write(self, graph: IntGraph) -> None:
        for node in reversed(graph.nodes):
            if isinstance(node, Input):
                self._map(node)
            elif isinstance(node, Logits):
                self.parts[node.input].append(self._seed(node))
            else:
                self._reverse(node, self._arriving(node.name))

    def _reverse(self, node: Node, gradient: _Gradient) -> None:
        match node:
            case Requantize():
                self.parts[node.input].append(self._mask(node, gradient).times(steps(node).astype(np.float64)))
            case Conv():
                self.parts[node.input].append(lambda factor: self._convolution(node, gradient, factor))
            case Linear():
                self.parts[node.input].append(lambda factor: self._linear(node, gradient, factor))
            case Sum():
                for name, shift in zip(node.inputs, node.shifts, strict=True):
                    self.parts[name].append(gradient.times(2.0**shift))
            case Multiply():
                self._factors(node, gradient)
            case Concat():
                self._split(node, gradient)
            case Select():
                self.parts[node.input].append(self._spread(node, gradient))
            case Lookup():
                self.parts[node.input].append(self._slopes(node, gradient))
            case MaxPool():
                self.parts[node.input].append(self._max_pool(node, gradient))
            case AveragePool():
                self.parts[node.input].append(self._average_pool(node, gradient))
            case SumPool():
                self.parts[node.input].append(self._sum_pool(node, gradient))
            case Subsample():
                self.parts[node.input].append(self._subsample(node, gradient))
            case Flatten():
                shape = self._constant((-1, *self._shape(node.input)))
                tensor = self._op("Reshape", self._with_factor(gradient, 1.0, 1), shape, name=node.name)
                self.parts[node.input].append(_Gradient(tensor, np.ones(1)))
            case Input() | Logits():
                raise AssertionError("the reverse pass begins behind the logits and ends at the image")
            case _:
                assert_never(node)

    def _arriving(self, name: str) -> _Gradient:
        """Return the sum of what the readers send."""
        parts = self.parts.pop(name)
        fixed = [part for part in parts if isinstance(part, _Gradient)]
        if len(fixed) == len(parts) == 1:
            return fixed[0]
        common = next((float(part.factor[0]) for part in fixed if len(np.unique(part.factor)) == 1), 1.0)
        return self._sum(name, parts, common)

    def _sum(self, name: str, parts: list[_Part], common: float) -> _Gradient:
        axes = len(self._shape(name))
        tensors = [
            self._with_factor(part if isinstance(part, _Gradient) else part(common), common, axes) for part in parts
        ]
        total = tensors[0]
        for tensor in tensors[1:]:
            total = self._op("Add", total, tensor, name=name)
        return _Gradient(total, np.array([common]))

    def _with_factor(self, gradient: _Gradient, common: float, axes: int) -> str:
        """Return the tensor whose factor is the common one, for each channel."""
        ratio = gradient.factor / common
        if (ratio == 1).all():
            return gradient.tensor
        values = by_channel(ratio, axes - 1).astype(np.float32)
        return self._op("Mul", gradient.tensor, self.body.constant(values), name=f"{gradient.tensor}.scaled")

    def _map(self, node: Input) -> None:
        """Add the sum over channels of the absolute gradient by pixel / 255."""
        tensor = self._sum(node.name, self.parts.pop(node.name), 1 / 255).tensor
        self.body.last("ReduceL1", tensor, self._constant((1,)), output=SALIENCY, attributes={"keepdims": 0})

    def _seed(self, node: Logits) -> _Gradient:
        """1 at the target."""
        predicted = self._op("ArgMax", LOGITS, name="predicted", attributes={"axis": 1, "keepdims": 0})
        wanted = self.body.constant(np.array(0, np.int64))
        none = self._op("Less", TARGET, wanted, name="target.none")
        chosen = self._op("Where", none, predicted, TARGET, name="target.chosen")
        depth = self.body.constant(np.array(len(node.bias), np.int64))
        values = self.body.constant(np.array([0, 1], np.float32))
        seed = self._op("OneHot", chosen, depth, values, name="target.seed")
        classes, *pixels = self._shape(node.input)
        if pixels:
            pixel = self._op("Reshape", seed, self._constant((-1, classes, 1, 1)), name="target.pixel")
            seed = self._op("Expand", pixel, self._constant((1, classes, *pixels)), name="target.map")
        return _Gradient(seed, node.scale.astype(np.float64))

    def _mask(self, node: Requantize, gradient: _Gradient) -> _Gradient:
        """Nothing passes where the code is an end of its window.

        The product with a mask of 0 and 1 takes half the time of a `Where`.
        """
        codes, zero = self.forward.codes[node.name], self.forward.zero(node.name)
        ends = (self.body.constant(np.array(end + zero, np.uint8)) for end in (node.low + 1, node.high - 1))
        inside = self._op("Clip", codes, *ends, name=f"{node.name}.inside")
        passes = self._op("Equal", inside, codes, name=f"{node.name}.passes")
        mask = self._op("Cast", passes, name=f"{node.name}.mask", attributes={"to": TensorProto.FLOAT})
        return _Gradient(self._op("Mul", gradient.tensor, mask, name=node.name), gradient.factor)

    def _linear(self, node: Linear, gradient: _Gradient, factor: float) -> _Gradient:
        weights = self._weights(node, gradient.factor / factor)
        return _Gradient(self._op("MatMul", gradient.tensor, weights, name=node.name), np.array([factor]))

    def _convolution(self, node: Conv, gradient: _Gradient, factor: float) -> _Gradient:
        weights = self._weights(node, gradient.factor / factor)
        if node.stride == (1, 1) and node.weights.codes.shape[1] >= _FEW:
            turned = self._turned(node, weights)
            pads = tuple(size - 1 - pad for size, pad in zip(node.reach * 2, sides(node.padding), strict=True))
            attributes = placed(node) | {"pads": pads}
            del attributes["strides"]
            tensor = self._op("Conv", gradient.tensor, turned, name=node.name, attributes=attributes)
        else:
            rest = self._rest(node.input, node.reach, node.stride, node.padding)
            attributes = placed(node) | {"output_padding": rest}
            tensor = self._op("ConvTranspose", gradient.tensor, weights, name=node.name, attributes=attributes)
        return _Gradient(tensor, np.array([factor]))

    def _weights(self, node: Conv | Linear, factor: Array) -> str:
        """W times a factor for each output channel."""
        real = self._op(
            "Cast", self.forward.weights[node.name], name=f"{node.name}.weights", attributes={"to": TensorProto.FLOAT}
        )
        scale = by_channel(factor, node.weights.codes.ndim - 1).astype(np.float32)
        return self._op("Mul", real, self.body.constant(scale), name=f"{node.name}.weights")

    def _turned(self, node: Conv, weights: str) -> str:
        """Kernels upside down, and input and output channels swapped within each group."""
        name = f"{node.name}.turned"
        out, each, height, width = node.weights.codes.shape
        if node.groups == 1:
            weights = self._op("Transpose", weights, name=name, attributes={"perm": (1, 0, 2, 3)})
        else:
            grouped = self._constant((node.groups, out // node.groups, each, height, width))
            weights = self._op("Reshape", weights, grouped, name=name)
            weights = self._op("Transpose", weights, name=name, attributes={"perm": (0, 2, 1, 3, 4)})
            flat = self._constant((node.groups * each, out // node.groups, height, width))
            weights = self._op("Reshape", weights, flat, name=name)
        if (height, width) == (1, 1):
            return weights
        parts = ((-1, -1), (-(2**31), -(2**31)), (2, 3), (-1, -1))
        return self._op("Slice", weights, *(self._constant(part) for part in parts), name=name)

    def _factors(self, node: Multiply, gradient: _Gradient) -> None:
        """Each operand gets the other one; a gate gets the sum over its pixels."""
        left, right = self._shape(node.left), self._shape(node.right)
        values = self.forward.real(node.right)
        if len(left) != len(right):
            values = self._op("Reshape", values, self._constant((-1, *right, 1, 1)), name=f"{node.name}.gate")
        to_the_left = self._op("Mul", gradient.tensor, values, name=f"{node.name}.left")
        self.parts[node.left].append(_Gradient(to_the_left, gradient.factor))
        product = self._op("Mul", gradient.tensor, self.forward.real(node.left), name=f"{node.name}.right")
        if left != right:
            attributes = {"keepdims": int(len(left) == len(right))}
            axes = self._constant((2, 3))
            product = self._op("ReduceSum", product, axes, name=f"{node.name}.pixels", attributes=attributes)
        self.parts[node.right].append(_Gradient(product, gradient.factor))

    def _split(self, node: Concat, gradient: _Gradient) -> None:
        """Each input gets its own channels."""
        first = 0
        for name in node.inputs:
            stop = first + self._shape(name)[0]
            parts = ((first,), (stop,), (1,))
            tensor = self._op("Slice", gradient.tensor, *map(self._constant, parts), name=f"{node.name}.part")
            factor = gradient.factor[first:stop] if len(gradient.factor) > 1 else gradient.factor
            self.parts[name].append(_Gradient(tensor, factor))
            first = stop

    def _spread(self, node: Select, gradient: _Gradient) -> _Gradient:
        """Back to the channels that were picked; the others get 0."""
        shape, picked = self._shape(node.input), node.channels
        factor = gradient.factor
        if len(factor) > 1:
            factor = np.ones(shape[0])
            factor[list(picked)] = gradient.factor
        span, rest = contiguous(node), [0] * (len(shape) - 1)
        first, stop = span or (0, shape[0] - 1)
        tensor = gradient.tensor
        if len(picked) < shape[0]:
            pads = self._constant((0, first, *rest, 0, shape[0] - stop, *rest))
            tensor = self._op("Pad", tensor, pads, name=f"{node.name}.zeros")
        if span is None:
            back = np.full(shape[0], len(picked))
            back[list(picked)] = range(len(picked))
            tensor = self._op("Gather", tensor, self._constant(tuple(back)), name=node.name, attributes={"axis": 1})
        return _Gradient(tensor, factor)

    def _slopes(self, node: Lookup, gradient: _Gradient) -> _Gradient:
        slope = self.forward.entries(node, node.slopes, f"{node.name}.slopes")
        return _Gradient(self._op("Mul", gradient.tensor, slope, name=node.name), gradient.factor)

    def _max_pool(self, node: MaxPool, gradient: _Gradient) -> _Gradient:
        """Each window's gradient, added at the place of its first maximum; places count through the whole batch.

        The places come from a pool of float32: that of uint8 loses them where a window is all 0, in ONNX Runtime before
        1.32.
        """
        codes, name = self.forward.codes[node.input], node.name
        real = self._op("Cast", codes, name=f"{name}.float", attributes={"to": TensorProto.FLOAT})
        attributes = {"kernel_shape": node.kernel, "strides": node.stride, "pads": sides(node.padding)}
        _, indices = self.body.ops("MaxPool", real, names=(f"d {name}.max", f"d {name}.found"), attributes=attributes)
        flat = self._constant((-1,))
        places = self._op("Reshape", indices, flat, name=f"{name}.places")
        tensor = self._with_factor(gradient, 1.0, len(self._shape(name)))
        updates = self._op("Reshape", tensor, flat, name=f"{name}.updates")
        size = self._op("Size", codes, name=f"{name}.size")
        length = self._op("Reshape", size, self._constant((1,)), name=f"{name}.length")
        empty = self._op("ConstantOfShape", length, name=f"{name}.empty")
        scattered = self._op(
            "ScatterElements", empty, places, updates, name=f"{name}.scattered", attributes={"reduction": "add"}
        )
        shape = self._constant((-1, *self._shape(node.input)))
        return _Gradient(self._op("Reshape", scattered, shape, name=name), np.ones(1))

    def _average_pool(self, node: AveragePool, gradient: _Gradient) -> _Gradient:
        """Every pixel of a window gets its gradient."""
        channels, height, width = self._shape(node.input)
        if node.kernel == (height, width):
            shape = self._constant((1, channels, height, width))
            return _Gradient(self._op("Expand", gradient.tensor, shape, name=node.name), gradient.factor)
        ones = self.body.filled(np.array(1, np.float32), (channels, 1, *node.kernel), name=f"{node.name}.spread")
        rest = self._rest(node.input, node.kernel, node.stride, (0, 0))
        attributes = {"strides": node.stride, "output_padding": rest, "group": channels}
        return _Gradient(
            self._op("ConvTranspose", gradient.tensor, ones, name=node.name, attributes=attributes), gradient.factor
        )

    def _sum_pool(self, node: SumPool, gradient: _Gradient) -> _Gradient:
        """Every pixel gets the gradients of its windows times their weights, `R^T g S`."""
        rows, columns = node.matrices(*self._shape(node.input)[1:])
        across = self.body.constant(columns.astype(np.float32))
        down = self.body.constant(rows.T.astype(np.float32))
        tensor = self._op("MatMul", gradient.tensor, across, name=f"{node.name}.columns")
        return _Gradient(self._op("MatMul", down, tensor, name=node.name), gradient.factor)

    def _subsample(self, node: Subsample, gradient: _Gradient) -> _Gradient:
        """Back to the pixels that were kept; what arrives at the channels of zeros is dropped."""
        channels = self._shape(node.input)[0]
        tensor, factor = gradient.tensor, gradient.factor
        if node.channels:
            parts = ((0,), (channels,), (1,))
            tensor = self._op("Slice", tensor, *(self._constant(part) for part in parts), name=f"{node.name}.kept")
            factor = factor[:channels]
        if node.stride == (1, 1):
            return _Gradient(tensor, factor)
        one = self.body.filled(np.array(1, np.float32), (channels, 1, 1, 1), name=f"{node.name}.spread")
        rest = self._rest(node.input, (1, 1), node.stride, (0, 0))
        attributes = {"strides": node.stride, "output_padding": rest, "group": channels}
        return _Gradient(self._op("ConvTranspose", tensor, one, name=node.name, attributes=attributes), factor)

    def _rest(self, name: str, kernel: tuple[int, ...], stride: tuple[int, int], padding: Pads) -> list[int]:
        """Return the pixels at the lower and the right edge that no window reaches."""
        sizes = self._shape(name)[1:]
        pads = sides(padding)
        return [(sizes[axis] + pads[axis] + pads[axis + 2] - kernel[axis]) % stride[axis] for axis in (0, 1)]

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.forward.tensors[name].shape

    def _constant(self, numbers: tuple[int, ...]) -> str:
        return self.body.constant(np.array(numbers, np.int64))

    def _op(self, kind: str, *inputs: str, name: str, attributes: dict[str, Any] | None = None) -> str:
        return self.body.op(kind, *inputs, name=name if name.startswith("d ") else f"d {name}", attributes=attributes)
