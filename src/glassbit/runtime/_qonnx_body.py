"""The operators of the QONNX form: every tensor holds integers as float32, the image's zero subtracted."""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
from onnx import TensorProto, helper

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
    Requantize,
    Select,
    Subsample,
    Sum,
    SumPool,
    sides,
)

from ._names import IMAGE, LOGITS, QONNX
from ._onnx_body import Array, Body
from ._onnx_forward import by_channel, placed, steps


class QuantForward:
    """Writes a graph's nodes.

    Args:
        graph: the network.

    Attributes:
        body: the operators.
        tensors: what each node of the graph makes.
    """

    def __init__(self, graph: IntGraph) -> None:
        self.body = Body()
        self.tensors = graph.tensors()
        self._made: dict[str, str] = {}
        self.body.reserve(IMAGE)
        self.body.reserve(LOGITS)
        for node in graph.nodes:
            self._made[node.name] = self._write(node)

    def _write(self, node: Node) -> str:
        match node:
            case Input():
                return self._op("Sub", IMAGE, self._real(np.array(node.zero)), name=node.name) if node.zero else IMAGE
            case Conv():
                attributes = placed(node) | {"kernel_shape": node.weights.codes.shape[2:]}
                return self._op(
                    "Conv", self._made[node.input], self._weights(node), name=node.name, attributes=attributes
                )
            case Linear():
                operands = (self._made[node.input], self._weights(node))
                return self._op("Gemm", *operands, name=node.name, attributes={"transB": 1})
            case Requantize():
                return self._requantize(node)
            case Sum():
                total, *others = (
                    self._times(self._made[name], 2**shift, f"{node.name}.operand")
                    for name, shift in zip(node.inputs, node.shifts, strict=True)
                )
                for other in others:
                    total = self._op("Add", total, other, name=node.name)
                return total
            case Multiply():
                right, shape = self._made[node.right], self.tensors[node.right].shape
                if len(shape) < len(self.tensors[node.left].shape):
                    flat = self.body.constant(np.array((-1, *shape, 1, 1), np.int64))
                    right = self._op("Reshape", right, flat, name=f"{node.name}.gate")
                return self._op("Mul", self._made[node.left], right, name=node.name)
            case Concat():
                parts = [self._made[name] for name in node.inputs]
                return self._op("Concat", *parts, name=node.name, attributes={"axis": 1})
            case Select():
                picked = self.body.constant(np.array(node.channels, np.int64))
                return self._op("Gather", self._made[node.input], picked, name=node.name, attributes={"axis": 1})
            case Lookup():
                first = self._plus(self._made[node.input], np.array(-self.tensors[node.input].low), node.name)
                places = self._op("Cast", first, name=f"{node.name}.places", attributes={"to": TensorProto.INT64})
                return self._op("Gather", self._real(node.table), places, name=node.name, attributes={"axis": 0})
            case MaxPool():
                attributes = {"kernel_shape": node.kernel, "strides": node.stride, "pads": sides(node.padding)}
                return self._op("MaxPool", self._made[node.input], name=node.name, attributes=attributes)
            case AveragePool():
                channels = self.tensors[node.input].shape[0]
                ones = self._real(np.ones((channels, 1, *node.kernel)))
                attributes = {"strides": node.stride, "group": channels, "kernel_shape": node.kernel}
                return self._op("Conv", self._made[node.input], ones, name=node.name, attributes=attributes)
            case SumPool():
                rows, columns = node.matrices(*self.tensors[node.input].shape[1:])
                across = self._op("MatMul", self._made[node.input], self._real(columns.T), name=f"{node.name}.columns")
                return self._op("MatMul", self._real(rows), across, name=node.name)
            case Subsample():
                return self._subsample(node)
            case Flatten():
                return self._op("Flatten", self._made[node.input], name=node.name)
            case Logits():
                made = self._made[node.input]
                if len(self.tensors[node.input].shape) > 1:
                    axes = self.body.constant(np.array((2, 3), np.int64))
                    made = self._op("ReduceSum", made, axes, name=f"{node.name}.map", attributes={"keepdims": 0})
                sums = self._plus(made, node.bias, node.name)
                self.body.last("Mul", sums, self.body.constant(node.scale), output=LOGITS)
                return LOGITS
            case _:
                assert_never(node)

    def _weights(self, node: Conv | Linear) -> str:
        """`W = gain (code - offset / gain)` of k-bit codes; on the odd grid the zero point is between two codes."""
        weights = node.weights
        operands = [weights.values, weights.gain, weights.offset / weights.gain, weights.bits]
        return self._quant(*(self._real(np.array(value)) for value in operands), signed=False, name=f"{node.name}.W")

    def _requantize(self, node: Requantize) -> str:
        axes = len(self.tensors[node.name].shape) - 1
        sums = self._plus(self._made[node.input], by_channel(node.bias, axes), node.name)
        scaled = self._op("Mul", sums, self._real(by_channel(steps(node), axes)), name=f"{node.name}.scaled")
        signed = node.low < 0
        bits = max(node.high.bit_length(), (-node.low - 1).bit_length()) + 1 if signed else node.high.bit_length()
        numbers = [self._real(np.array(value)) for value in (1, 0, bits)]
        if (node.low, node.high) == ((-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)):
            return self._quant(scaled, *numbers, signed=signed, name=node.name)
        codes = self._quant(scaled, *numbers, signed=signed, name=f"{node.name}.wide")
        return self._op("Clip", codes, *(self._real(np.array(end)) for end in (node.low, node.high)), name=node.name)

    def _quant(self, read: str, scale: str, zero: str, bits: str, *, signed: bool, name: str) -> str:
        output = self.body.reserve(name)
        attributes: dict[str, Any] = {"signed": int(signed), "narrow": 0, "rounding_mode": "ROUND"}
        self.body.nodes.append(
            helper.make_node("Quant", [read, scale, zero, bits], [output], domain=QONNX, **attributes)
        )
        return output

    def _subsample(self, node: Subsample) -> str:
        parts = ((0, 0), self.tensors[node.input].shape[1:], (2, 3), node.stride)
        numbers = (self.body.constant(np.array(part, np.int64)) for part in parts)
        kept = self._op("Slice", self._made[node.input], *numbers, name=f"{node.name}.kept")
        pads = self.body.constant(np.array([0, 0, 0, 0, 0, node.channels, 0, 0], np.int64))
        return self._op("Pad", kept, pads, self._real(np.array(0)), name=node.name)

    def _plus(self, read: str, values: Array, name: str) -> str:
        return self._op("Add", read, self._real(values), name=f"{name}.biased") if values.any() else read

    def _times(self, read: str, factor: int, name: str) -> str:
        return read if factor == 1 else self._op("Mul", read, self._real(np.array(factor)), name=name)

    def _real(self, values: Array) -> str:
        return self.body.constant(values.astype(np.float32))

    def _op(self, kind: str, *inputs: str, name: str, attributes: dict[str, Any] | None = None) -> str:
        return self.body.op(kind, *inputs, name=name, attributes=attributes)
