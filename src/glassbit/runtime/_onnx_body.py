"""Operators and constants of an ONNX graph that is being written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, Any]


class Body:
    """What has been written so far; every tensor name once, equal constants once."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._names: set[str] = set()
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def op(self, kind: str, *inputs: str, name: str, attributes: Mapping[str, Any] | None = None) -> str:
        """Append an operator with one output.

        Args:
            kind: the operator's type.
            inputs: names of tensors, "" where an optional one is left out.
            name: of its output; a number is appended where it is taken.
            attributes: as the operator defines them.

        Returns:
            The name of its output.
        """
        return self.ops(kind, *inputs, names=(name,), attributes=attributes)[0]

    def ops(
        self, kind: str, *inputs: str, names: tuple[str, ...], attributes: Mapping[str, Any] | None = None
    ) -> tuple[str, ...]:
        """Append an operator with several outputs; see `op`."""
        outputs = tuple(self.reserve(name) for name in names)
        self.nodes.append(helper.make_node(kind, inputs, outputs, **(attributes or {})))
        return outputs

    def last(self, kind: str, *inputs: str, output: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Append an operator that makes an output of the graph, whose name is reserved."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **(attributes or {})))

    def constant(self, values: Array) -> str:
        """Return the name of a constant; the same one for the same values, type and shape."""
        key = (values.dtype.str, values.shape, values.tobytes())
        if key not in self._constants:
            self._constants[key] = self.reserve(f"constant{len(self._constants)}")
            self.initializers.append(numpy_helper.from_array(values, self._constants[key]))
        return self._constants[key]

    def stored(self, tensor: TensorProto) -> str:
        """Add an initializer under its own name."""
        tensor.name = self.reserve(tensor.name)
        self.initializers.append(tensor)
        return str(tensor.name)

    def filled(self, value: Array, shape: tuple[int, ...], *, name: str) -> str:
        """Return a tensor that is made of one value at load, so that the file does not hold it."""
        scalar = numpy_helper.from_array(value.reshape(1))
        return self.op(
            "ConstantOfShape", self.constant(np.array(shape, np.int64)), name=name, attributes={"value": scalar}
        )

    def reserve(self, name: str) -> str:
        """Return the name itself, or, where it is taken, with the first free number behind it."""
        free, number = name, 1
        while free in self._names:
            number += 1
            free = f"{name}.{number}"
        self._names.add(free)
        return free
