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
    Accumulates,
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
    inputs,
    sides,
)

from ._names import IMAGE, LOGITS
from ._onnx_body import Array, Body
from ._onnx_forward import by_channel, placed, steps


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
            case Select() | MaxPool() | Subsample() | Flatten():
                read = self._reals[node.input]
                self._reals[node.name] = _Real(self._move(node, read.tensor), read.unit)
            case Logits():
                self._logits(node)
            case Concat():
                unit = self._reals[node.inputs[0]].unit
                parts = [self._in_unit(name, unit, node.name) for name in node.inputs]
                self._reals[node.name] = _Real(self._op("Concat", *parts, name=node.name, attributes={"axis": 1}), unit)
            case Lookup():
                self._reals[node.name] = _Real(self._look_up(node), 1.0)
            case Conv() | Linear() | Sum() | Multiply() | AveragePool() | SumPool():
                pass  # written with what reads it
            case _:
                assert_never(node)

    def _waits(self, node: Requantize) -> bool:
        """Whether the sum behind a layer chooses its unit."""
        layer = isinstance(self._nodes[node.input], Conv | Linear)
        return layer and all(isinstance(reader, Sum) for reader in self._readers[node.name])

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
            case Sum() | Multiply() | AveragePool() | SumPool():
                return self._step(node, self._accumulated(read))
            case Input() | Requantize() | Concat() | Select() | Lookup() | MaxPool() | Subsample() | Flatten():
                return self._step(node, self._reals[node.input])
            case Logits():
                raise AssertionError("nothing reads logits")
            case _:
                assert_never(read)

    def _accumulated(self, node: Sum | Multiply | AveragePool | SumPool) -> _Real:
        match node:
            case Sum():
                return self._sum(node)
            case Multiply():
                return self._multiplied(node)
            case AveragePool():
                source = self._reals[node.input]
                area = node.kernel[0] * node.kernel[1]
                return _Real(self._mean(node, source.tensor), source.unit / area)
            case SumPool():
                source = self._reals[node.input]
                return _Real(self._means(node, source.tensor), source.unit / node.reach)
            case _:
                assert_never(node)

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
        return self._op("Conv", *operands, name=name, attributes=placed(layer))

    def _sum(self, node: Sum) -> _Real:
        """All operands in units that make their sum a plain `Add`."""
        pairs = [(name, 2.0**shift) for name, shift in zip(node.inputs, node.shifts, strict=True)]
        unit = next((self._reals[name].unit / factor for name, factor in pairs if name in self._reals), 1.0)
        operands = []
        for name, factor in pairs:
            if name not in self._reals:
                waiting = self._nodes[name]
                assert isinstance(waiting, Requantize)
                layer = self._nodes[waiting.input]
                assert isinstance(layer, Conv | Linear)
                self._reals[name] = self._layer(waiting, layer, unit * factor)
            operands.append(self._in_unit(name, unit * factor, node.name))
        total = operands[0]
        for operand in operands[1:]:
            total = self._op("Add", total, operand, name=node.name)
        return _Real(total, unit)

    def _in_unit(self, name: str, unit: float, reader: str) -> str:
        """Return a tensor that stands for codes times `unit`."""
        real = self._reals[name]
        return self._times(real.tensor, np.array(unit / real.unit), reader)

    def _multiplied(self, node: Multiply) -> _Real:
        left, right = self._reals[node.left], self._reals[node.right]
        shape, factor = self.tensors[node.right].shape, right.tensor
        if len(shape) < len(self.tensors[node.left].shape):
            flat = self.body.constant(np.array((-1, *shape, 1, 1), np.int64))
            factor = self._op("Reshape", factor, flat, name=f"{node.name}.gate")
        return _Real(self._op("Mul", left.tensor, factor, name=node.name), left.unit * right.unit)

    def _look_up(self, node: Lookup) -> str:
        """Return the nearest entry of the table: which function it is of is not known."""
        codes = self._in_unit(node.input, 1.0, node.name)
        above = self._op("Add", codes, self._constant(np.array(0.5 - self.tensors[node.input].low)), name=node.name)
        ends = (self._constant(np.array(end)) for end in (0, len(node.table) - 0.5))
        inside = self._op("Clip", above, *ends, name=node.name)
        places = self._op("Cast", inside, name=f"{node.name}.places", attributes={"to": TensorProto.INT32})
        return self._op("Gather", self._constant(node.table), places, name=node.name, attributes={"axis": 0})

    def _step(self, node: Requantize, real: _Real) -> _Real:
        """Any other requantizer: a change of the unit alone, where it is the same for all channels."""
        scale = steps(node).astype(np.float64)
        axes = len(self.tensors[node.name].shape) - 1
        tensor, unit = real.tensor, real.unit
        if node.bias.any():
            bias = by_channel(node.bias * unit, axes)
            tensor = self._op("Add", tensor, self._constant(bias), name=node.name)
        common = abs(float(scale[0]))  # a unit below 0 would turn what is larger
        tensor = self._times(tensor, by_channel(scale / common, axes), node.name)
        return _Real(self._relu(node, tensor), unit / common)

    def _relu(self, node: Requantize, tensor: str) -> str:
        read = self.tensors[node.input]
        positive = (np.where(node.multiplier > 0, read.low + node.bias, -(read.high + node.bias)) >= 0).all()
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

    def _move(self, node: Select | MaxPool | Subsample | Flatten, tensor: str) -> str:
        if isinstance(node, Flatten):
            return self._op("Flatten", tensor, name=node.name)
        if isinstance(node, Select):
            channels = self.body.constant(np.array(node.channels, np.int64))
            return self._op("Gather", tensor, channels, name=node.name, attributes={"axis": 1})
        if isinstance(node, MaxPool):
            attributes = {"kernel_shape": node.kernel, "strides": node.stride, "pads": sides(node.padding)}
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
            assert isinstance(layer, Accumulates)
            if isinstance(layer, Conv):
                ones = np.ones(len(scale))
                real = _Real(self._product(layer, ones / self._reals[layer.input].unit, 0 * ones, layer.name), 1.0)
            else:
                real = self._accumulated(layer)
            sums = real.tensor
            if len(self.tensors[layer.name].shape) > 1:
                axes = self.body.constant(np.array((2, 3), np.int64))
                sums = self._op("ReduceSum", sums, axes, name=f"{node.name}.map", attributes={"keepdims": 0})
            biased = self._op("Add", sums, self._constant(node.bias * real.unit), name=node.name)
            tensor = self._times(biased, scale / real.unit, node.name)
        self.body.last("Identity", tensor, output=LOGITS)

    def _times(self, tensor: str, factor: Array, name: str) -> str:
        return tensor if (factor == 1).all() else self._op("Mul", tensor, self._constant(factor), name=name)

    def _constant(self, values: Array) -> str:
        return self.body.constant(values.astype(np.float32))

    def _op(self, kind: str, *inputs: str, name: str, attributes: dict[str, Any] | None = None) -> str:
        return self.body.op(kind, *inputs, name=name, attributes=attributes)
