"""A network as a JSON value and a few arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ._nodes import About, Node, Preprocessing, Weights
from ._pack import pack

STORED: dict[str, type[np.generic]] = {
    "bias": np.int32,
    "multiplier": np.uint8,
    "exponent": np.uint8,
    "scale": np.float32,
}
"""The arrays of nodes, weights left out, and their types in the file."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """A network in two parts.

    Args:
        description: JSON. A node is `{"op": class, field: value, ...}`; of an array it says the length, of weights
            `{"bits", "grid", "shape"}`.
        arrays: `weights.<node>` the packed codes of a node; `bias`, `multiplier`, `exponent` and `scale` those of all
            nodes in their order, end to end.
    """

    description: Any
    arrays: Mapping[str, np.ndarray[Any, Any]]


def encode(nodes: Sequence[Node], classes: Sequence[str], preprocessing: Preprocessing, about: About) -> Encoded:
    """Take a network apart.

    Args:
        nodes, classes, preprocessing, about: see `IntGraph`.
    """
    parts: dict[str, list[np.ndarray[Any, Any]]] = {}
    every = []
    for node in nodes:
        described: dict[str, Any] = {"op": type(node).__name__}
        for field in fields(node):
            value = getattr(node, field.name)
            if isinstance(value, Weights):
                parts[f"weights.{node.name}"] = [pack(value.codes, value.bits)]
                described[field.name] = {"bits": value.bits, "grid": value.grid, "shape": value.codes.shape}
            elif isinstance(value, np.ndarray):
                parts.setdefault(field.name, []).append(value.astype(STORED[field.name]))
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
    return Encoded(description, {name: np.concatenate(values) for name, values in parts.items()})
