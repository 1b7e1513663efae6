"""The prediction, as integer operators of the standard.

A requantizer behind a convolution is one `QLinearConv` with all steps 1 but those of the weights, `m_c 2^-e_c`: ONNX
Runtime rounds its float32 product half to even, and every product inside the window is exact. Other accumulators take
the same steps one by one: `Add B -> Cast -> Mul m 2^-e -> QuantizeLinear`.
"""

from __future__ import annotations

from typing import assert_never

import numpy as np
from onnx import TensorProto

from glassbit.intgraph import (
    EXACT,
    Add,
    AveragePool,
    Conv,
    Flatten,
    Input,
    IntGraph,
    Linear,
    Logits,
    MaxPool,
    Node,
    Requantize,
    Subsample,
    SumPool,
)

from ._names import IMAGE, LOGITS, SALIENCY, TARGET
from ._onnx_body import Array, Body
from ._onnx_weights import integers, operand

SIGNED = 128
"""The zero point of operands of a sum, -128..127, which are stored as uint8."""

_FEW_WINDOWS = 64
"""Up to here one integer product with the weights of all windows takes less time than two of float32 (measured)."""
_LARGEST_WEIGHT = 255


class Forward:
    """Writes a graph's nodes and knows the names of what they made.

    Args:
        graph: the network.

    Attributes:
        body: the operators.
        codes: the uint8 tensor of each node that makes codes.
        weights: the int32 weights of each layer.
    """

    def __init__(self, graph: IntGraph) -> None:
        self.body = Body()
        self.tensors = graph.tensors()
        self.nodes = {node.name: node for node in graph.nodes}
        self.codes: dict[str, str] = {}
        self.weights: dict[str, str] = {}
        self._accumulators: dict[str, str] = {}
        for name in (IMAGE, TARGET, LOGITS, SALIENCY):
            self.body.reserve(name)
        for node in graph.nodes:
            self._write(node)

    def zero(self, name: str) -> int:
        """Return the uint8 value that stands for 0 in a tensor of codes."""
        return SIGNED if self.tensors[name].low < 0 else self.tensors[name].zero

    def _write(self, node: Node) -> None:
        match node:
            case Input():
                self.codes[node.name] = IMAGE
            case Conv() | Linear():
                self.weights[node.name] = integers(self.body, node.weights, node.name)
            case Add() | AveragePool() | SumPool():
                pass  # the requantizers that read them decide how they are computed
            case Requantize():
                self.codes[node.name] = self._clip(node, self._requantize(node))
            case MaxPool():
                self.codes[node.name] = self._max_pool(node)
            case Subsample():
                self.codes[node.name] = self._subsample(node)
            case Flatten():
                self.codes[node.name] = self.body.op("Flatten", self.codes[node.input], name=node.name)
            case Logits():
                self._logits(node)
            case _:
                assert_never(node)

    def _requantize(self, node: Requantize) -> str:
        read = self.nodes[node.input]
        match read:
            case Conv():
                return self._convolution(node, read)
            case AveragePool():
                return self._window_sum(node, read)
            case Add() if self._is_exact_in_float(node, read):
                return self._sum(node, read)
            case Add() | Linear() | SumPool() | Input() | Requantize() | MaxPool() | Subsample() | Flatten():
                return self._steps(node)
            case Logits():
                raise AssertionError("nothing reads logits")
            case _:
                assert_never(read)

    def _convolution(self, node: Requantize, conv: Conv) -> str:
        largest = self.tensors[conv.input].high
        weights = operand(self.body, self.weights[conv.name], conv.weights, largest, conv.name)
        attributes = {"strides": conv.stride, "pads": conv.padding * 2, "group": conv.groups}
        return self._quantized(node, conv.input, weights.tensor, weights.zero, attributes)

    def _window_sum(self, node: Requantize, pool: AveragePool) -> str:
        """Return a convolution of each channel with ones."""
        channels = self.tensors[pool.input].shape[0]
        ones = self.body.filled(np.array(1, np.int8), (channels, 1, *pool.kernel), name=f"{pool.name}.ones")
        attributes = {"strides": pool.stride, "group": channels}
        return self._quantized(node, pool.input, ones, self.body.constant(np.array(0, np.int8)), attributes)

    def _quantized(
        self, node: Requantize, read: str, weights: str, weight_zero: str, attributes: dict[str, object]
    ) -> str:
        """Return the accumulators of a convolution and their requantizer in one."""
        channels = self.tensors[node.name].shape[0]
        one = self.body.constant(np.array(1, np.float32))
        return self.body.op(
            "QLinearConv",
            self.codes[read], one, self.body.constant(np.array(self.zero(read), np.uint8)),
            weights, self.body.constant(np.broadcast_to(steps(node), channels)), weight_zero,
            one, self.body.constant(np.array(self.zero(node.name), np.uint8)),
            self.body.constant(np.broadcast_to(node.bias, channels)),
            name=_before_clip(node), attributes=attributes,
        )  # fmt: skip

    def _is_exact_in_float(self, node: Requantize, add: Add) -> bool:
        """Whether every intermediate result of `_sum` is a multiple of `2^-e` that float32 holds."""
        if np.unique(np.stack([node.bias, node.multiplier, node.exponent]), axis=1).shape[1] != 1:
            return False
        largest = (255 << add.left_shift) + (255 << add.right_shift) + abs(int(node.bias[0]))
        return largest * int(node.multiplier[0]) <= EXACT

    def _sum(self, node: Requantize, add: Add) -> str:
        """Two products with powers of two times one m, their sum, one rounding.

        `Sum`, not `Add`: ONNX Runtime would fuse an Add into a kernel that rounds halves away from zero on ARM.
        """
        step = steps(node)[0]
        parts = [
            self.body.op(
                "DequantizeLinear",
                self.codes[name],
                self.body.constant(np.array(step * 2**shift, np.float32)),
                self.body.constant(np.array(self.zero(name), np.uint8)),
                name=f"{add.name}.{side}",
            )
            for side, name, shift in (("left", add.left, add.left_shift), ("right", add.right, add.right_shift))
        ]
        if node.bias[0]:
            parts.append(self.body.constant(np.array(node.bias[0] * step, np.float32)))
        return self._round(node, self.body.op("Sum", *parts, name=f"{add.name}.sum"))

    def _steps(self, node: Requantize) -> str:
        """Any accumulators or codes: the requantizer one operator at a time."""
        axes = len(self.tensors[node.name].shape) - 1
        sums = self._plus(self._integers(node.input), by_channel(node.bias, axes), f"{node.name}.biased")
        real = self.body.op("Cast", sums, name=f"{node.name}.float", attributes={"to": TensorProto.FLOAT})
        scale = self.body.constant(by_channel(steps(node), axes))
        return self._round(node, self.body.op("Mul", real, scale, name=f"{node.name}.scaled"))

    def _round(self, node: Requantize, real: str) -> str:
        """Half to even, and into 0..255."""
        one = self.body.constant(np.array(1, np.float32))
        zero = self.body.constant(np.array(self.zero(node.name), np.uint8))
        return self.body.op("QuantizeLinear", real, one, zero, name=_before_clip(node))

    def _clip(self, node: Requantize, saturated: str) -> str:
        """Return the upper end of the window, where uint8 does not end there."""
        if node.high >= 255 or node.low < 0:
            return saturated
        return self.body.op("Clip", saturated, "", self.body.constant(np.array(node.high, np.uint8)), name=node.name)

    def _integers(self, name: str) -> str:
        """Return a node's integers as int32, written once."""
        if name not in self._accumulators:
            self._accumulators[name] = self._as_int32(self.nodes[name])
        return self._accumulators[name]

    def _as_int32(self, node: Node) -> str:
        match node:
            case Linear():
                return self._product(node)
            case Add():
                sides = (("left", node.left, node.left_shift), ("right", node.right, node.right_shift))
                parts = [
                    self._times(self._integers(name), 2**shift, f"{node.name}.{side}") for side, name, shift in sides
                ]
                return self.body.op("Add", *parts, name=f"{node.name}.sums")
            case SumPool():
                return self._weighted_sums(node)
            case Input() | Requantize() | MaxPool() | Subsample() | Flatten():
                wide = self.body.op(
                    "Cast", self.codes[node.name], name=f"{node.name}.wide", attributes={"to": TensorProto.INT32}
                )
                zero_point = SIGNED if self.tensors[node.name].low < 0 else 0
                return self._plus(wide, np.array(-zero_point, np.int32), f"{node.name}.integers")
            case Conv() | AveragePool() | Logits():
                raise AssertionError("they are written whole, with their requantizer or as the output")
            case _:
                assert_never(node)

    def _product(self, node: Linear) -> str:
        weights = operand(self.body, self.weights[node.name], node.weights, self.tensors[node.input].high, node.name)
        columns = self.body.op("Transpose", weights.tensor, name=f"{node.name}.columns", attributes={"perm": (1, 0)})
        zero = self.body.constant(np.array(self.zero(node.input), np.uint8))
        operands = (self.codes[node.input], columns, zero, weights.zero)
        return self.body.op("MatMulInteger", *operands, name=f"{node.name}.sums")

    def _weighted_sums(self, node: SumPool) -> str:
        """`R x S^T` of each channel: few windows by one integer product, many by two of float32, exact up to 2^24."""
        rows, columns = node.matrices(*self.tensors[node.input].shape[1:])
        if len(rows) * len(columns) <= _FEW_WINDOWS and rows.max() * columns.max() <= _LARGEST_WEIGHT:
            return self._sums_at_once(node, rows, columns)
        real = self.body.op(
            "Cast", self.codes[node.input], name=f"{node.name}.float", attributes={"to": TensorProto.FLOAT}
        )
        across = self.body.constant(columns.T.astype(np.float32))
        real = self.body.op("MatMul", real, across, name=f"{node.name}.columns")
        real = self.body.op("MatMul", self.body.constant(rows.astype(np.float32)), real, name=f"{node.name}.rows")
        return self.body.op("Cast", real, name=f"{node.name}.sums", attributes={"to": TensorProto.INT32})

    def _sums_at_once(self, node: SumPool, rows: Array, columns: Array) -> str:
        """uint8 weights, whose kernels are exact on every CPU, made at load from those of the rows and the columns."""
        (out_height, height), (out_width, width) = rows.shape, columns.shape
        channels, name = self.tensors[node.name].shape[0], node.name
        factors = [
            self.body.constant(values.T.astype(np.int32).reshape(shape))
            for values, shape in ((rows, (height, 1, out_height, 1)), (columns, (1, width, 1, out_width)))
        ]
        weights = self.body.op("Mul", *factors, name=f"{name}.products")
        weights = self._reshape(weights, (height * width, out_height * out_width), f"{name}.flat")
        weights = self.body.op("Cast", weights, name=f"{name}.weights", attributes={"to": TensorProto.UINT8})
        flat = self._reshape(self.codes[node.input], (-1, channels, height * width), f"{name}.pixels")
        sums = self.body.op("MatMulInteger", flat, weights, name=f"{name}.windows")
        return self._reshape(sums, (-1, channels, out_height, out_width), f"{name}.sums")

    def _reshape(self, tensor: str, shape: tuple[int, ...], name: str) -> str:
        return self.body.op("Reshape", tensor, self.body.constant(np.array(shape, np.int64)), name=name)

    def _plus(self, integers: str, values: Array, name: str) -> str:
        return self.body.op("Add", integers, self.body.constant(values), name=name) if values.any() else integers

    def _times(self, integers: str, factor: int, name: str) -> str:
        if factor == 1:
            return integers
        return self.body.op("Mul", integers, self.body.constant(np.array(factor, np.int32)), name=name)

    def _max_pool(self, node: MaxPool) -> str:
        attributes = {"kernel_shape": node.kernel, "strides": node.stride, "pads": node.padding * 2}
        return self.body.op("MaxPool", self.codes[node.input], name=node.name, attributes=attributes)

    def _subsample(self, node: Subsample) -> str:
        kept = self.codes[node.input]
        if node.stride != (1, 1):
            parts = ((0, 0), tuple(self.tensors[node.input].shape[1:]), (2, 3), node.stride)
            kept = self.body.op(
                "Slice", kept, *(self.body.constant(np.array(part, np.int64)) for part in parts),
                name=f"{node.name}.kept",
            )  # fmt: skip
        if not node.channels:
            return kept
        pads = self.body.constant(np.array([0, 0, 0, 0, 0, node.channels, 0, 0], np.int64))
        zero = self.body.constant(np.array(self.zero(node.input), np.uint8))
        return self.body.op("Pad", kept, pads, zero, name=node.name)

    def _logits(self, node: Logits) -> None:
        sums = self._plus(self._integers(node.input), node.bias, f"{node.name}.biased")
        real = self.body.op("Cast", sums, name=f"{node.name}.float", attributes={"to": TensorProto.FLOAT})
        self.body.last("Mul", real, self.body.constant(node.scale), output=LOGITS)


def steps(node: Requantize) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """m 2^-e, exactly."""
    exact: np.ndarray[tuple[int], np.dtype[np.float32]] = np.ldexp(node.multiplier.astype(np.float32), -node.exponent)
    return exact


def by_channel(values: Array, axes: int) -> Array:
    """One value per channel, shaped to meet `(n, c, ...)` with `axes` axes behind the channels."""
    return values.reshape(-1, *[1] * axes) if len(values) > 1 else values.reshape(())


def _before_clip(node: Requantize) -> str:
    return node.name if node.high >= 255 or node.low < 0 else f"{node.name}.saturated"
