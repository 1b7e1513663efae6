"""A network from a JSON value and a few arrays that need not be what they should."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from jaxtyping import UInt8

from ._encode import STORED, Encoded
from ._graph import IntGraph
from ._limits import CLASSES, NODES, NOTES, WEIGHTS
from ._nodes import About, Grid, Node, Preprocessing, Weights
from ._pack import packed_size, unpack

_OPERATIONS: dict[str, type[Any]] = {kind.__name__: kind for kind in get_args(Node)}


def decode(encoded: Encoded) -> IntGraph:
    """Put a network together.

    Raises:
        ValueError: the parts do not describe a network.
        GraphError: they describe one that breaks rules.
    """
    arrays = _Arrays(encoded.arrays)
    given = _keys(encoded.description, ["nodes", "classes", "preprocessing", "about"])
    if not isinstance(given["nodes"], list):
        raise ValueError("nodes must be a list")
    _at_most("nodes", given["nodes"], NODES)
    _at_most("classes", given["classes"], CLASSES)
    if isinstance(given["about"], dict):
        _at_most("notes", given["about"].get("notes"), NOTES)
    nodes = tuple(_node(described, arrays) for described in given["nodes"])
    arrays.check_used()
    return IntGraph(
        nodes=nodes,
        classes=_value(tuple[str, ...], given["classes"]),
        preprocessing=_flat(Preprocessing, given["preprocessing"]),
        about=_flat(About, given["about"]),
    )


class _Arrays:
    """Hands the stored arrays out, each element once."""

    def __init__(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        self.left = dict(arrays)
        self.weights = 0
        for name, values in arrays.items():
            wanted = np.dtype(STORED.get(name, np.uint8))
            if values.ndim != 1 or values.dtype != wanted:
                raise ValueError(f"{name} must be a flat {wanted.name} array; got {values.dtype}, {values.shape}")

    def take(self, name: str, count: int) -> np.ndarray[Any, Any]:
        """The next elements of an array."""
        values = self.left.get(name, np.zeros(0))
        if not 0 < count <= len(values):
            raise ValueError(f"{count} elements of {name} are asked for, {len(values)} are left")
        self.left[name] = values[count:]
        return values[:count].astype(np.float32 if name == "scale" else np.int32)

    def codes(self, name: str, bits: int, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
        """The unpacked weights of a node."""
        data = self.left.pop(f"weights.{name}", np.zeros(0, np.uint8))
        if not 2 <= bits <= 8 or min(shape, default=0) < 1 or len(data) != packed_size(math.prod(shape), bits):
            shown = f"{str(name)[:80]}: {str(bits)[:80]} bits, shape {str(shape)[:80]}"
            raise ValueError(f"{len(data)} bytes are not the weights of {shown}")
        self.weights += math.prod(shape)
        if self.weights > WEIGHTS:
            raise ValueError(f"there must be at most {WEIGHTS} weights in all layers; got {self.weights} and more")
        return unpack(data, bits, math.prod(shape)).reshape(shape)

    def check_used(self) -> None:
        """Refuse arrays, or parts of them, that belong to no node."""
        left = [name for name, values in self.left.items() if len(values) or name not in STORED]
        if left:
            raise ValueError(f"{left[0]} belongs to no node")


def _node(described: Any, arrays: _Arrays) -> Node:
    kind = _OPERATIONS.get(str(described.get("op"))) if isinstance(described, dict) else None
    if kind is None:
        raise ValueError(f"a node must be one of {', '.join(_OPERATIONS)}; got {str(described)[:80]}")
    hints = get_type_hints(kind)
    given = _keys(described, ["op", *hints])
    values: dict[str, Any] = {}
    for name, hint in hints.items():
        if hint is Weights:
            told = _keys(given[name], ["bits", "grid", "shape"])
            bits, grid = _value(int, told["bits"]), _value(Grid, told["grid"])
            shape = _value(tuple[int, ...], told["shape"])
            values[name] = Weights(arrays.codes(values["name"], bits, shape), bits, grid)
        elif name in STORED:
            values[name] = arrays.take(name, _value(int, given[name]))
        else:
            values[name] = _value(hint, given[name])
    node: Node = kind(**values)
    return node


def _flat(kind: type[Any], given: Any) -> Any:
    hints = get_type_hints(kind)
    return kind(**{name: _value(hints[name], value) for name, value in _keys(given, list(hints)).items()})


def _at_most(name: str, given: Any, most: int) -> None:
    """Refuse long lists before their items are looked at; what is no list is refused later."""
    if isinstance(given, list) and len(given) > most:
        raise ValueError(f"there must be at most {most} {name}; got {len(given)}")


def _keys(given: Any, names: list[str]) -> dict[str, Any]:
    if not isinstance(given, dict) or set(given) != set(names):
        raise ValueError(f"the keys must be {', '.join(names)}; got {str(given)[:80]}")
    return given


def _value(hint: Any, given: Any) -> Any:
    """`given`, of the type that the annotation says; JSON has lists for tuples."""
    if get_origin(hint) is tuple and isinstance(given, list):
        inner = get_args(hint)
        inner = (inner[0],) * len(given) if inner[-1] is Ellipsis else inner
        if len(inner) == len(given):
            return tuple(_value(each, item) for each, item in zip(inner, given, strict=True))
    choices = get_args(hint) if get_origin(hint) is Literal else None
    if (isinstance(given, str) and given in choices) if choices else type(given) is hint:
        return given
    raise ValueError(f"must be {hint}; got {str(given)[:80]}")
