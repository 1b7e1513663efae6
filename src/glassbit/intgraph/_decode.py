"""A network from a JSON value and a few arrays that need not be what they should."""

from __future__ import annotations

import math
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
from jaxtyping import UInt8

from glassbit._text import brief, excerpt, listed

from ._combined import Sum
from ._encode import ADDENDS, LATER, SIGNED_SINCE, STORED, Add, Encoded
from ._graph import IntGraph
from ._limits import BITS, MOST_CLASSES, NODES, NOTES, WEIGHTS
from ._nodes import About, Grid, Node, Preprocessing, Weights
from ._pack import packed_size, unpack

_OPERATIONS: dict[str, type[Any]] = {kind.__name__: kind for kind in (*get_args(Node), Add)}


def decode(encoded: Encoded) -> IntGraph:
    """Put a network together.

    Raises:
        ValueError: the parts do not describe a network.
        GraphError: they describe one that breaks rules.
    """
    arrays = _Arrays(encoded)
    given = _keys("the network", encoded.description, ["nodes", "classes", "preprocessing", "about"])
    if not isinstance(given["nodes"], list):
        raise ValueError(f"nodes must be a list; got {brief(given['nodes'])}")
    _at_most("nodes", given["nodes"], NODES)
    _at_most("classes", given["classes"], MOST_CLASSES)
    if isinstance(given["about"], dict):
        _at_most("notes", given["about"].get("notes"), NOTES)
    nodes = tuple(_node(i, described, arrays) for i, described in enumerate(given["nodes"]))
    arrays.check_used()
    return IntGraph(
        nodes=nodes,
        classes=_value("classes", tuple[str, ...], given["classes"]),
        preprocessing=_flat("preprocessing", Preprocessing, given["preprocessing"]),
        about=_flat("about", About, given["about"]),
    )


class _Arrays:
    """Hands the stored arrays out, each element once."""

    def __init__(self, encoded: Encoded) -> None:
        self.left = dict(encoded.arrays)
        self.halved = ("multiplier",) if encoded.version >= SIGNED_SINCE else ()
        self.weights = 0
        for name, values in encoded.arrays.items():
            wanted = np.dtype(encoded.types.get(name, np.uint8))
            if values.ndim != 1 or values.dtype != wanted:
                raise ValueError(f"{name} must be a flat {wanted.name} array; got {values.dtype}, {values.shape}")

    def take(self, name: str, count: int) -> np.ndarray[Any, Any]:
        """Return the next elements of an array."""
        values = self.left.get(name, np.zeros(0))
        if not 0 < count <= len(values):
            raise ValueError(f"{count} elements of {name} are asked for, {len(values)} are left")
        self.left[name] = values[count:]
        taken = values[:count].astype(np.float32 if STORED[name] is np.float32 else np.int32)
        return 2 * taken + 1 if name in self.halved else taken

    def codes(self, name: str, bits: int, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
        """Return the unpacked weights of a node."""
        data = self.left.pop(f"weights.{name}", np.zeros(0, np.uint8))
        if (
            not BITS[0] <= bits <= BITS[1]
            or min(shape, default=0) < 1
            or len(data) != packed_size(math.prod(shape), bits)
        ):
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


def _node(position: int, described: Any, arrays: _Arrays) -> Node:
    kind = _OPERATIONS.get(str(described.get("op"))) if isinstance(described, dict) else None
    if kind is None:
        raise ValueError(f"node {position}: must be one of {', '.join(_OPERATIONS)}; got {brief(described)}")
    hints = {key: hint for key, hint in get_type_hints(kind).items() if key not in LATER or key in described}
    name = described.get("name")
    place = f"node {position}{f' ({excerpt(name, 40)})' if isinstance(name, str) else ''}"
    given = _keys(place, described, ["op", *hints])
    values: dict[str, Any] = {}
    for key, hint in hints.items():
        if hint is Weights:
            told = _keys(f"{place}: {key}", given[key], ["bits", "grid", "shape"])
            bits, grid = (
                _value(f"{place}: {part}", kind, told[part]) for part, kind in (("bits", int), ("grid", Grid))
            )
            shape = _value(f"{place}: shape", tuple[int, ...], told["shape"])
            values[key] = Weights(arrays.codes(values["name"], bits, shape), bits, grid)
        elif key in STORED:
            values[key] = arrays.take(key, _value(f"{place}: {key}", int, given[key]))
        else:
            values[key] = _value(f"{place}: {key}", hint, given[key])
    node: Node | Add = kind(**values)
    if any(values.get(key) == default for key, default in LATER.items()):
        raise ValueError(f"{place}: what is left at its default must be left out; got {brief(described)}")
    if isinstance(node, Sum) and len(node.inputs) == ADDENDS:
        raise ValueError(f"{place}: a sum of two must be an Add")
    return node.node if isinstance(node, Add) else node


def _flat(place: str, kind: type[Any], given: Any) -> Any:
    hints = get_type_hints(kind)
    every = _keys(place, given, list(hints)).items()
    return kind(**{name: _value(f"{place}: {name}", hints[name], value) for name, value in every})


def _at_most(name: str, given: Any, most: int) -> None:
    """Refuse long lists before their items are looked at; what is no list is refused later."""
    if isinstance(given, list) and len(given) > most:
        raise ValueError(f"there must be at most {most} {name}; got {len(given)}")


def _keys(place: str, given: Any, names: list[str]) -> dict[str, Any]:
    if not isinstance(given, dict) or set(given) != set(names):
        got = listed(given, longest=40) or "none" if isinstance(given, dict) else brief(given)
        raise ValueError(f"{place}: the keys must be {', '.join(names)}; got {got}")
    return given


def _value(place: str, hint: Any, given: Any) -> Any:
    """`given`, of the type that the annotation says; JSON has lists for tuples."""
    if isinstance(hint, UnionType):
        lengths = {len(get_args(each)): each for each in get_args(hint)}
        if isinstance(given, list) and len(given) in lengths:
            return _value(place, lengths[len(given)], given)
    if get_origin(hint) is tuple and isinstance(given, list):
        inner = get_args(hint)
        inner = (inner[0],) * len(given) if inner[-1] is Ellipsis else inner
        if len(inner) == len(given):
            return tuple(_value(place, each, item) for each, item in zip(inner, given, strict=True))
    choices = get_args(hint) if get_origin(hint) is Literal else None
    if (isinstance(given, str) and given in choices) if choices else type(given) is hint:
        return given
    raise ValueError(f"{place} must be {_words(hint)}; got {brief(given)}")


def _words(hint: Any, *, many: bool = False) -> str:
    """Return what an annotation asks for: `a list of 2 whole numbers`."""
    if get_origin(hint) is Literal:
        return f"one of {', '.join(get_args(hint))}"
    if isinstance(hint, UnionType):
        counts = " or ".join(str(len(get_args(each))) for each in get_args(hint))
        return f"a list of {counts} {_words(get_args(get_args(hint)[0])[0], many=True)}"
    if get_origin(hint) is tuple:
        inner = get_args(hint)
        count = "" if inner[-1] is Ellipsis else f"{len(inner)} "
        return f"{'lists' if many else 'a list'} of {count}{_words(inner[0], many=True)}"
    one, several = {int: ("a whole number", "whole numbers"), str: ("text", "texts"), bool: ("true or false",) * 2}[
        hint
    ]
    return several if many else one
