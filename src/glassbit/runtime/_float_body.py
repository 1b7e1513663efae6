"""The operators of the float twin.

A tensor stands for `codes * unit`. Units are chosen so that a step between layers costs no operator: a layer that feeds
a sum takes the unit of the other operand into its weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, assert_never

import numpy as np
from onnx import TensorProto

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
    inputs,
)

from ._names import IMAGE, LOGITS
from ._onnx_body import Array, Body
from ._onnx_forward import by_channel, steps


@dataclass(frozen=True)
class _Real:
    """`tensor`, which stands for codes times `unit`."""

    tensor: str
    unit: float


class FloatForward:
    """Writes a graph's nodes in float32.

    Args:
        graph: the network.

    Attributes:
        body: the operators.
        tensors: what each node of the graph makes.
    """

    def __init__(self, graph: IntGraph) -> None:
        self.body = Body()
        self.tensors = graph.tensors()
        self._nodes = {node.name: node for node in graph.nodes}
        self._readers: dict[str, list[Node]] = {node.name: [] for node in graph.nodes}
        for node in graph.nodes:
            for name in inputs(node):
                self._readers[name].append(node)
        self._reals: dict[str, _Real] = {}
        self.body.reserve(IMAGE)
        self.body.reserve(LOGITS)
        for node in graph.nodes:
            self._write(node)

    def _write(self, node: Node) -> None:
        match node:
            case Input():
                self._reals[node.name] = self._input(node)
            case Requantize():
                if not self._waits(node):
                    self._reals[node.name] = self._requantize(node)
            case MaxPool() | Subsample() | Flatten():
                read = self._reals[node.input]
                self._reals[node.name] = _Real(self._move(node, read.tensor), read.unit)
            case Logits():
                self._logits(node)
            case Conv() | Linear() | Add() | AveragePool() | SumPool():
                pass  # written with what reads it
            case _:
                assert_never(node)

    def _waits(self, node: Requantize) -> bool:
        """Whether the sum behind a layer chooses its unit."""
        layer = isinstance(self._nodes[node.input], Conv | Linear)
        return layer and all(isinstance(reader, Add) for reader in self._readers[node.name])

    def _input(self, node: Input) -> _Real:
        real = self._op("Cast", IMAGE, name=node.name, attributes={"to": TensorProto.FLOAT})
        if node.zero:
            real = self._op("Sub", real, self.body.constant(np.array(node.zero, np.float32)), name=node.name)
        return _Real(real, 1.0)

    def _requantize(self, node: Requantize) -> _Real:
        read = self._nodes[node.input]
        match read:
            case Conv() | Linear():
                return self._layer(node, read, 1.0)
            case Add():
                return self._step(node, self._sum(read))
            case AveragePool():
                source = self._reals[read.input]
                area = read.kernel[0] * read.kernel[1]
                return self._step(node, _Real(self._mean(read, source.tensor), source.unit / area))
            case SumPool():
                source = self._reals[read.input]
                return self._step(node, _Real(self._means(read, source.tensor), source.unit / read.reach))
            case Input() | Requantize() | MaxPool() | Subsample() | Flatten():
                return self._step(node, self._reals[node.input])
            case Logits():
                raise AssertionError("nothing reads logits")
            case _:
                assert_never(read)

    def _layer(self, node: Requantize, layer: Conv | Linear, unit: float) -> _Real:
        """Add a convolution or linear layer, its bias, and ReLU if the window begins at 0."""
        scale = steps(node).astype(np.float64) * unit
        bias = np.broadcast_to(node.bias * scale, len(layer.weights.codes))
        tensor = self._product(layer, scale / self._reals[layer.input].unit, bias, layer.name)
        return _Real(self._relu(node, tensor), unit)

    def _product(self, layer: Conv | Linear, factor: Array, bias: Array, name: str) -> str:
        axes = layer.weights.codes.ndim - 1
        weights = (layer.weights.values * by_channel(factor, axes)).astype(np.float32)
        operands = (self._reals[layer.input].tensor, self.body.constant(weights), self._constant(bias))
        if isinstance(layer, Linear):
            return self._op("Gemm", *operands, name=name, attributes={"transB": 1})
        attributes = {"strides": layer.stride, "pads": layer.padding * 2, "group": layer.groups}
        return self._op("Conv", *operands, name=name, attributes=attributes)

    def _sum(self, add: Add) -> _Real:
        """Both operands in units that make their sum a plain `Add`."""
        pairs = ((add.left, 2.0**add.left_shift), (add.right, 2.0**add.right_shift))
        unit = next((self._reals[name].unit / factor for name, factor in pairs if name in self._reals), 1.0)
        operands = []
        for name, factor in pairs:
            if name not in self._reals:
                waiting = self._nodes[name]
                assert isinstance(waiting, Requantize)
                layer = self._nodes[waiting.input]
                assert isinstance(layer, Conv | Linear)
                self._reals[name] = self._layer(waiting, layer, unit * factor)
            real = self._reals[name]
            operands.append(self._times(real.tensor, np.array(unit * factor / real.unit), add.name))
        return _Real(self._op("Add", *operands, name=add.name), unit)

    def _step(self, node: Requantize, real: _Real) -> _Real:
        """Any other requantizer: a change of the unit alone, where it is the same for all channels."""
        scale = steps(node).astype(np.float64)
        axes = len(self.tensors[node.name].shape) - 1
        tensor, unit = real.tensor, real.unit
        if node.bias.any():
            bias = by_channel(node.bias * unit, axes)
            tensor = self._op("Add", tensor, self._constant(bias), name=node.name)
        tensor = self._times(tensor, by_channel(scale / scale[0], axes), node.name)
        return _Real(self._relu(node, tensor), unit / float(scale[0]))

    def _relu(self, node: Requantize, tensor: str) -> str:
        positive = self.tensors[node.input].low + int(node.bias.min()) >= 0
        return tensor if node.low < 0 or positive else self._op("Relu", tensor, name=node.name)

    def _mean(self, pool: AveragePool, tensor: str) -> str:
        if pool.kernel == self.tensors[pool.input].shape[1:]:
            return self._op("GlobalAveragePool", tensor, name=pool.name)
        attributes = {"kernel_shape": pool.kernel, "strides": pool.stride}
        return self._op("AveragePool", tensor, name=pool.name, attributes=attributes)

    def _means(self, pool: SumPool, tensor: str) -> str:
        """Return the sums over their largest weights."""
        rows, columns = pool.matrices(*self.tensors[pool.input].shape[1:])
        across = self._constant(columns.T / columns.sum(1).max())
        tensor = self._op("MatMul", tensor, across, name=f"{pool.name}.columns")
        return self._op("MatMul", self._constant(rows / rows.sum(1).max()), tensor, name=pool.name)

    def _move(self, node: MaxPool | Subsample | Flatten, tensor: str) -> str:
        if isinstance(node, Flatten):
            return self._op("Flatten", tensor, name=node.name)
        if isinstance(node, MaxPool):
            attributes = {"kernel_shape": node.kernel, "strides": node.stride, "pads": node.padding * 2}
            return self._op("MaxPool", tensor, name=node.name, attributes=attributes)
        if node.stride != (1, 1):
            parts = ((0, 0), self.tensors[node.input].shape[1:], (2, 3), node.stride)
            numbers = (self.body.constant(np.array(part, np.int64)) for part in parts)
            tensor = self._op("Slice", tensor, *numbers, name=node.name)
        if not node.channels:
            return tensor
        pads = self.body.constant(np.array([0, 0, 0, 0, 0, node.channels, 0, 0], np.int64))
        return self._op("Pad", tensor, pads, self._constant(np.array(0)), name=node.name)

    def _logits(self, node: Logits) -> None:
        layer = self._nodes[node.input]
        scale = node.scale.astype(np.float64)
        if isinstance(layer, Linear):
            tensor = self._product(layer, scale / self._reals[layer.input].unit, node.bias * scale, layer.name)
        else:
            assert isinstance(layer, Add)
            real = self._sum(layer)
            biased = self._op("Add", real.tensor, self._constant(node.bias * real.unit), name=node.name)
            tensor = self._times(biased, scale / real.unit, node.name)
        self.body.last("Identity", tensor, output=LOGITS)

    def _times(self, tensor: str, factor: Array, name: str) -> str:
        return tensor if (factor == 1).all() else self._op("Mul", tensor, self._constant(factor), name=name)

    def _constant(self, values: Array) -> str:
        return self.body.constant(values.astype(np.float32))

    def _op(self, kind: str, *inputs: str, name: str, attributes: dict[str, Any] | None = None) -> str:
        return self.body.op(kind, *inputs, name=name, attributes=attributes)
