"""The prediction, as integer operators of the standard.

Codes are uint8, `value - low`, with the zero point -low. A requantizer behind a convolution is one `QLinearConv` with
all steps 1 but those of the weights, `|m_c| 2^-e_c`: ONNX Runtime rounds its float32 product half to even, and every
product inside the window is exact; where m_c is negative the weights and the bias of the channel are. Other
accumulators take the same steps one by one: `Add B -> Cast -> Mul m 2^-e -> QuantizeLinear`.
"""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
from onnx import TensorProto

from glassbit.intgraph import (
    EXACT,
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
    Requantize,
    Select,
    Subsample,
    Sum,
    SumPool,
    sides,
)

from ._names import IMAGE, LOGITS, SALIENCY, TARGET
from ._onnx_body import Array, Body
from ._onnx_weights import integers, operand

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
        places: of each `Lookup` where it looks, int32, flat.
    """

    def __init__(self, graph: IntGraph) -> None:
        self.body = Body()
        self.tensors = graph.tensors()
        self.nodes = {node.name: node for node in graph.nodes}
        self.codes: dict[str, str] = {}
        self.weights: dict[str, str] = {}
        self.places: dict[str, str] = {}
        self._accumulators: dict[str, str] = {}
        for name in (IMAGE, TARGET, LOGITS, SALIENCY):
            self.body.reserve(name)
        for node in graph.nodes:
            self._write(node)

    def zero(self, name: str) -> int:
        """Return the uint8 value that stands for 0 in a tensor of codes."""
        return -self.tensors[name].low

    def _write(self, node: Node) -> None:
        match node:
            case Input():
                self.codes[node.name] = IMAGE
            case Conv() | Linear():
                self.weights[node.name] = integers(self.body, node.weights, node.name)
            case Sum() | Multiply() | AveragePool() | SumPool():
                pass  # the requantizers that read them decide how they are computed
            case Requantize():
                self.codes[node.name] = self._clip(node, self._requantize(node))
            case Concat():
                parts = [self.codes[name] for name in node.inputs]
                self.codes[node.name] = self.body.op("Concat", *parts, name=node.name, attributes={"axis": 1})
            case Select():
                self.codes[node.name] = self._select(node)
            case Lookup():
                self.codes[node.name] = self._look_up(node)
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
            case Conv() if self._fits_int8(node, read):
                return self._convolution(node, read)
            case AveragePool():
                return self._window_sum(node, read)
            case Sum() if self._is_exact_in_float(node, read):
                return self._sum(node, read)
            case Multiply() if self._is_exact_as_product(node, read):
                return self._scaled_product(node, read)
            case Input() | Requantize() | Concat() | Select() | Lookup() | MaxPool() | Subsample() if len(
                node.bias
            ) > 1 and self._is_map(node.input):
                channels = self.tensors[node.name].shape[0]
                return self._quantized(node, node.input, *self._ones(node, (1, 1)), {"group": channels})
            case (
                Conv()
                | Sum()
                | Multiply()
                | Linear()
                | SumPool()
                | Input()
                | Requantize()
                | Concat()
                | Select()
                | Lookup()
                | MaxPool()
                | Subsample()
                | Flatten()
            ):
                return self._steps(node)
            case Logits():
                raise AssertionError("nothing reads logits")
            case _:
                assert_never(read)

    def _convolution(self, node: Requantize, conv: Conv) -> str:
        values, signs = self.weights[conv.name], _signs(node)
        if (signs < 0).any():
            turned = self.body.constant(signs.reshape(-1, 1, 1, 1))
            values = self.body.op("Mul", values, turned, name=f"{node.name}.turned")
        depthwise = conv.groups == len(conv.weights.codes) == self.tensors[conv.input].shape[0]
        span = self.tensors[conv.input].span
        weights = operand(self.body, values, conv.weights, span, conv.name, depthwise=depthwise)
        return self._quantized(node, conv.input, weights.tensor, weights.zero, placed(conv))

    def _fits_int8(self, node: Requantize, conv: Conv) -> bool:
        """Whether the weights still do once those of channels with a negative multiplier are negated: not with -128."""
        negated = np.broadcast_to(node.multiplier < 0, len(conv.weights.codes))
        return not negated.any() or int(conv.weights.values[negated].min()) > -128

    def _window_sum(self, node: Requantize, pool: AveragePool) -> str:
        """Return a convolution of each channel with ones."""
        attributes = {"strides": pool.stride, "group": self.tensors[pool.input].shape[0]}
        return self._quantized(node, pool.input, *self._ones(node, pool.kernel), attributes)

    def _ones(self, node: Requantize, kernel: tuple[int, int]) -> tuple[str, str]:
        """Return the weights of each channel by itself, 1 or, where the multiplier is negative, -1; and their zero."""
        shape, signs, name = (self.tensors[node.name].shape[0], 1, *kernel), _signs(node), f"{node.input}.ones"
        if len(np.unique(signs)) == 1:
            ones = self.body.filled(signs[:1].astype(np.int8), shape, name=name)
        else:
            each = self.body.constant(signs.astype(np.int8).reshape(-1, 1, 1, 1))
            ones = self.body.op("Expand", each, self.body.constant(np.array(shape, np.int64)), name=name)
        return ones, self.body.constant(np.array(0, np.int8))

    def _is_map(self, name: str) -> bool:
        return len(self.tensors[name].shape) == 3

    def _quantized(
        self, node: Requantize, read: str, weights: str, weight_zero: str, attributes: dict[str, object]
    ) -> str:
        """Return the accumulators of a convolution and their requantizer in one."""
        channels = self.tensors[node.name].shape[0]
        one = self.body.constant(np.array(1, np.float32))
        return self.body.op(
            "QLinearConv",
            self.codes[read], one, self.body.constant(np.array(self.zero(read), np.uint8)),
            weights, self.body.constant(np.broadcast_to(abs(steps(node)), channels)), weight_zero,
            one, self.body.constant(np.array(self.zero(node.name), np.uint8)),
            self.body.constant(np.broadcast_to(node.bias * _signs(node), channels)),
            name=_before_clip(node), attributes=attributes,
        )  # fmt: skip

    def _is_exact_in_float(self, node: Requantize, added: Sum) -> bool:
        """Whether every intermediate result of `_sum` is a multiple of `2^-e` that float32 holds."""
        if np.unique(np.stack([node.bias, node.multiplier, node.exponent]), axis=1).shape[1] != 1:
            return False
        if node.multiplier[0] < 0:
            return False
        largest = sum(255 << shift for shift in added.shifts) + abs(int(node.bias[0]))
        return largest * int(node.multiplier[0]) <= EXACT

    def _sum(self, node: Requantize, added: Sum) -> str:
        """Products with powers of two times one m, their sum, one rounding.

        `Sum`, not `Add`: ONNX Runtime would fuse an Add into a kernel that rounds halves away from zero on ARM.
        """
        step = steps(node)[0]
        parts = [
            self.body.op(
                "DequantizeLinear",
                self.codes[name],
                self.body.constant(np.array(step * 2**shift, np.float32)),
                self.body.constant(np.array(self.zero(name), np.uint8)),
                name=f"{added.name}.operand",
            )
            for name, shift in zip(added.inputs, added.shifts, strict=True)
        ]
        if node.bias[0]:
            parts.append(self.body.constant(np.array(node.bias[0] * step, np.float32)))
        return self._round(node, self.body.op("Sum", *parts, name=f"{added.name}.sum"))

    def _is_exact_as_product(self, node: Requantize, product: Multiply) -> bool:
        """Whether every intermediate result of `_scaled_product` is a multiple of `2^-e` that float32 holds."""
        largest = self.tensors[product.name].bound + np.abs(node.bias.astype(np.int64))
        return bool((largest * abs(node.multiplier) <= EXACT).all())

    def _scaled_product(self, node: Requantize, product: Multiply) -> str:
        """One factor times m 2^-e, the other as it is, one rounding.

        The other is cast, not dequantized: ONNX Runtime would fuse two `DequantizeLinear` and a `Mul` into a kernel
        that adds the zero point before it rounds, which moves halves wherever that is odd.
        """
        axes = len(self.tensors[node.name].shape) - 1
        step = steps(node)
        zeros = np.full(step.shape, self.zero(product.left), np.uint8)
        scale, zero = (values if len(values) > 1 else values[0] for values in (step, zeros))
        operands = (
            self.codes[product.left],
            self.body.constant(np.asarray(scale)),
            self.body.constant(np.asarray(zero)),
        )
        left = self.body.op("DequantizeLinear", *operands, name=f"{product.name}.left")
        right = self._for_each_pixel(product, self.real(product.right))
        real = self.body.op("Mul", left, right, name=f"{product.name}.products")
        return self._round(
            node, self._plus(real, by_channel((node.bias * step).astype(np.float32), axes), f"{product.name}.biased")
        )

    def real(self, name: str) -> str:
        """Return a node's codes as float32, their values."""
        real = self.body.op("Cast", self.codes[name], name=f"{name}.real", attributes={"to": TensorProto.FLOAT})
        return self._plus(real, np.array(-self.zero(name), np.float32), f"{name}.values")

    def _for_each_pixel(self, node: Multiply, right: str) -> str:
        """Return the right operand, shaped to meet the left one."""
        left, shape = self.tensors[node.left].shape, self.tensors[node.right].shape
        return right if len(left) == len(shape) else self._reshape(right, (-1, *shape, 1, 1), f"{node.name}.gate")

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
        if not _is_clipped(node):
            return saturated
        highest = self.body.constant(np.array(node.high - node.low, np.uint8))
        return self.body.op("Clip", saturated, "", highest, name=node.name)

    def _integers(self, name: str) -> str:
        """Return a node's integers as int32, written once."""
        if name not in self._accumulators:
            self._accumulators[name] = self._as_int32(self.nodes[name])
        return self._accumulators[name]

    def _as_int32(self, node: Node) -> str:
        match node:
            case Linear():
                return self._product(node)
            case Sum():
                total, *others = (
                    self._times(self._integers(name), 2**shift, f"{node.name}.operand")
                    for name, shift in zip(node.inputs, node.shifts, strict=True)
                )
                for other in others:
                    total = self.body.op("Add", total, other, name=f"{node.name}.sums")
                return total
            case Multiply():
                right = self._for_each_pixel(node, self._integers(node.right))
                return self.body.op("Mul", self._integers(node.left), right, name=f"{node.name}.products")
            case SumPool():
                return self._weighted_sums(node)
            case Input() | Requantize() | Concat() | Select() | Lookup() | MaxPool() | Subsample() | Flatten():
                wide = self.body.op(
                    "Cast", self.codes[node.name], name=f"{node.name}.wide", attributes={"to": TensorProto.INT32}
                )
                return self._plus(wide, np.array(-self.zero(node.name), np.int32), f"{node.name}.integers")
            case Conv():
                weights = operand(
                    self.body, self.weights[node.name], node.weights, self.tensors[node.input].span, node.name
                )
                return self._convolved(node, weights.tensor, weights.zero, placed(node))
            case AveragePool():
                channels = self.tensors[node.input].shape[0]
                ones = self.body.filled(np.array(1, np.int8), (channels, 1, *node.kernel), name=f"{node.name}.ones")
                return self._convolved(
                    node, ones, self.body.constant(np.array(0, np.int8)), {"strides": node.stride, "group": channels}
                )
            case Logits():
                raise AssertionError("nothing reads logits")
            case _:
                assert_never(node)

    def _convolved(
        self, node: Conv | AveragePool, weights: str, weight_zero: str, attributes: dict[str, object]
    ) -> str:
        """Return accumulators that no requantizer takes in."""
        zero = self.body.constant(np.array(self.zero(node.input), np.uint8))
        operands = (self.codes[node.input], weights, zero, weight_zero)
        return self.body.op("ConvInteger", *operands, name=f"{node.name}.sums", attributes=attributes)

    def _product(self, node: Linear) -> str:
        weights = operand(self.body, self.weights[node.name], node.weights, self.tensors[node.input].span, node.name)
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
        if zero := self.zero(node.input):
            real = self.body.op("Sub", real, self.body.constant(np.array(zero, np.float32)), name=f"{node.name}.values")
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
        zero = self.zero(node.input)
        zeros = (self.body.constant(np.array(zero, np.uint8)),) if zero else ()
        sums = self.body.op("MatMulInteger", flat, weights, *zeros, name=f"{name}.windows")
        return self._reshape(sums, (-1, channels, out_height, out_width), f"{name}.sums")

    def _reshape(self, tensor: str, shape: tuple[int, ...], name: str) -> str:
        return self.body.op("Reshape", tensor, self.body.constant(np.array(shape, np.int64)), name=name)

    def _plus(self, integers: str, values: Array, name: str) -> str:
        return self.body.op("Add", integers, self.body.constant(values), name=name) if values.any() else integers

    def _times(self, integers: str, factor: int, name: str) -> str:
        if factor == 1:
            return integers
        return self.body.op("Mul", integers, self.body.constant(np.array(factor, np.int32)), name=name)

    def _select(self, node: Select) -> str:
        span = contiguous(node)
        if span is None:
            channels = self.body.constant(np.array(node.channels, np.int64))
            return self.body.op("Gather", self.codes[node.input], channels, name=node.name, attributes={"axis": 1})
        parts = ((span[0],), (span[1],), (1,))
        numbers = (self.body.constant(np.array(part, np.int64)) for part in parts)
        return self.body.op("Slice", self.codes[node.input], *numbers, name=node.name)

    def _look_up(self, node: Lookup) -> str:
        flat = self._reshape(self.codes[node.input], (-1,), f"{node.name}.flat")
        to_int32 = {"to": TensorProto.INT32}
        self.places[node.name] = self.body.op("Cast", flat, name=f"{node.name}.places", attributes=to_int32)
        return self.entries(node, (node.table - node.low).astype(np.uint8), node.name)

    def entries(self, node: Lookup, table: Array, name: str) -> str:
        """Return the entry of a table for each code, in the shape of the codes.

        `GatherElements` of flat codes takes a quarter of the time of `Gather` (measured).
        """
        places, axis = self.places[node.name], {"axis": 0}
        flat = self.body.op(
            "GatherElements", self.body.constant(table), places, name=f"{name}.entries", attributes=axis
        )
        return self._reshape(flat, (-1, *self.tensors[node.name].shape), name)

    def _max_pool(self, node: MaxPool) -> str:
        attributes = {"kernel_shape": node.kernel, "strides": node.stride, "pads": sides(node.padding)}
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
        integers = self._integers(node.input)
        if len(self.tensors[node.input].shape) > 1:
            axes = self.body.constant(np.array((2, 3), np.int64))
            integers = self.body.op("ReduceSum", integers, axes, name=f"{node.name}.map", attributes={"keepdims": 0})
        sums = self._plus(integers, node.bias, f"{node.name}.biased")
        real = self.body.op("Cast", sums, name=f"{node.name}.float", attributes={"to": TensorProto.FLOAT})
        self.body.last("Mul", real, self.body.constant(node.scale), output=LOGITS)


def steps(node: Requantize) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """m 2^-e, exactly."""
    exact: np.ndarray[tuple[int], np.dtype[np.float32]] = np.ldexp(node.multiplier.astype(np.float32), -node.exponent)
    return exact


def placed(conv: Conv) -> dict[str, Any]:
    """Return the attributes of a convolution."""
    attributes: dict[str, Any] = {"strides": conv.stride, "pads": sides(conv.padding), "group": conv.groups}
    return attributes if conv.dilation == (1, 1) else {**attributes, "dilations": conv.dilation}


def contiguous(node: Select) -> tuple[int, int] | None:
    """Return the first and one past the last of the channels, where they are neighbours in their own order."""
    first, count = node.channels[0], len(node.channels)
    return (first, first + count) if node.channels == tuple(range(first, first + count)) else None


def by_channel(values: Array, axes: int) -> Array:
    """One value per channel, shaped to meet `(n, c, ...)` with `axes` axes behind the channels."""
    return values.reshape(-1, *[1] * axes) if len(values) > 1 else values.reshape(())


def _before_clip(node: Requantize) -> str:
    return f"{node.name}.saturated" if _is_clipped(node) else node.name


def _is_clipped(node: Requantize) -> bool:
    return node.high - node.low < 255


def _signs(node: Requantize) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Of the multipliers."""
    signs: np.ndarray[tuple[int], np.dtype[np.int32]] = np.sign(node.multiplier)
    return signs
