"""The operators of the QONNX form: every tensor holds integers as float32, the image's zero subtracted."""

from __future__ import annotations

from typing import Any, assert_never

import numpy as np
from onnx import helper

from glassbit.intgraph import (
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

from ._names import IMAGE, LOGITS, QONNX
from ._onnx_body import Array, Body
from ._onnx_forward import by_channel, steps


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
                attributes = {"strides": node.stride, "pads": node.padding * 2, "group": node.groups}
                attributes["kernel_shape"] = node.weights.codes.shape[2:]
                return self._op(
                    "Conv", self._made[node.input], self._weights(node), name=node.name, attributes=attributes
                )
            case Linear():
                operands = (self._made[node.input], self._weights(node))
                return self._op("Gemm", *operands, name=node.name, attributes={"transB": 1})
            case Requantize():
                return self._requantize(node)
            case Add():
                left = self._times(self._made[node.left], 2**node.left_shift, f"{node.name}.left")
                right = self._times(self._made[node.right], 2**node.right_shift, f"{node.name}.right")
                return self._op("Add", left, right, name=node.name)
            case MaxPool():
                attributes = {"kernel_shape": node.kernel, "strides": node.stride, "pads": node.padding * 2}
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
                sums = self._plus(self._made[node.input], node.bias, node.name)
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
        operands = (1, 0, (node.high - node.low).bit_length())
        numbers = (self._real(np.array(value)) for value in operands)
        return self._quant(scaled, *numbers, signed=node.low < 0, name=node.name)

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
