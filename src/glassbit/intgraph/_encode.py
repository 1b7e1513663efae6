"""A network as a JSON value and a few arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ._combined import Sum
from ._nodes import About, Node, Preprocessing, Weights
from ._pack import pack

STORED: dict[str, type[np.generic]] = {
    "bias": np.int32,
    "multiplier": np.uint8,
    "exponent": np.uint8,
    "scale": np.float32,
    "table": np.int16,
    "slopes": np.float32,
}
"""The arrays of nodes, weights left out, and their types in the file."""
SIGNED_SINCE = 3
"""From this version of the format on, a multiplier m is stored as (m - 1) / 2, int8: every odd number of -255..255."""


ADDENDS = 2
"""Of a sum that every version of the format holds."""


@dataclass(frozen=True, eq=False)
class Add:
    """How a `Sum` of two is written, in every version."""

    name: str
    left: str
    right: str
    left_shift: int
    right_shift: int

    @property
    def node(self) -> Sum:
        """What it stands for."""
        return Sum(self.name, (self.left, self.right), (self.left_shift, self.right_shift))


LATER = {"dilation": (1, 1)}
"""Fields that files have where they are not this: versions 1 and 2 know nothing of them."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """A network in two parts.

    Args:
        description: JSON. A node is `{"op": class, field: value, ...}`; of an array it says the length, of weights
            `{"bits", "grid", "shape"}`.
        arrays: `weights.<node>` the packed codes of a node; those of `STORED` (`bias`, `scale`, ...) those of all
            nodes in their order, end to end.
        version: of the format.
    """

    description: Any
    arrays: Mapping[str, np.ndarray[Any, Any]]
    version: int

    @property
    def types(self) -> dict[str, type[np.generic]]:
        """`STORED`, in this version of the format."""
        return STORED | ({"multiplier": np.int8} if self.version >= SIGNED_SINCE else {})


def encode(
    nodes: Sequence[Node], classes: Sequence[str], preprocessing: Preprocessing, about: About, version: int
) -> Encoded:
    """Take a network apart.

    Args:
        nodes, classes, preprocessing, about: see `IntGraph`.
        version: of the format, see `version_of`.
    """
    parts: dict[str, list[np.ndarray[Any, Any]]] = {}
    every = []
    for node in nodes:
        written = _written(node)
        described: dict[str, Any] = {"op": type(written).__name__}
        for field in fields(written):
            value = getattr(written, field.name)
            if field.name in LATER and value == LATER[field.name]:
                continue
            if isinstance(value, Weights):
                parts[f"weights.{node.name}"] = [pack(value.codes, value.bits)]
                described[field.name] = {"bits": value.bits, "grid": value.grid, "shape": value.codes.shape}
            elif isinstance(value, np.ndarray):
                parts.setdefault(field.name, []).append(_stored(field.name, value, version))
                described[field.name] = len(value)
            else:
                described[field.name] = value
        every.append(described)
    description = {
        "nodes": every,
        "classes": classes,
        "preprocessing": vars(preprocessing),
        "about": vars(about),
    }
    return Encoded(description, {name: np.concatenate(values) for name, values in parts.items()}, version)


def _written(node: Node) -> Node | Add:
    """Return what stands for a node in a file."""
    if isinstance(node, Sum) and len(node.inputs) == ADDENDS:
        (left, right), (left_shift, right_shift) = node.inputs, node.shifts
        return Add(node.name, left, right, left_shift, right_shift)
    return node


def _stored(name: str, values: np.ndarray[Any, Any], version: int) -> np.ndarray[Any, Any]:
    if name == "multiplier" and version >= SIGNED_SINCE:
        return ((values - 1) // 2).astype(np.int8)
    return values.astype(STORED[name])
