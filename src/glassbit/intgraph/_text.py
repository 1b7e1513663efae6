"""An integer network in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any

from glassbit._count import counted

from ._combined import Select, Sum
from ._infer import TensorInfo, infer_all
from ._nodes import About, Input, Node, Weights, inputs

_FEW = 8
"""Channels that are listed."""


def text(nodes: Sequence[Node], classes: Sequence[str], about: About) -> str:
    """One line for the network, and one per node: its name, what it does to what, and the shape of the result."""
    origin = ", ".join(part for part in (about.network, about.plan, counted(len(classes), "class", "classes")) if part)
    lines = [_line(node, info) for node, info in zip(nodes, infer_all(nodes).values(), strict=True)]
    return "\n  ".join([f"IntGraph({origin}):", *lines])


def _line(node: Node, info: TensorInfo) -> str:
    reads = ", ".join(inputs(node))
    options = "".join(f", {option}" for option in _options(node))
    return f"{node.name}: {type(node).__name__}({reads}{options if reads else ''}) -> {_by(info.shape)}"


def _options(node: Node) -> Iterator[str]:
    """Bits, and the numbers that are not their defaults; arrays are left out."""
    for field in fields(node):
        if field.name == "inputs":
            continue
        value = getattr(node, field.name)
        if isinstance(value, Weights):
            yield f"{value.bits} bits, {_by(value.codes.shape)}"
        elif isinstance(node, Select | Sum) and isinstance(value, tuple):
            if isinstance(node, Sum) and not any(value):
                continue
            more = ", ..." if len(value) > _FEW else ""
            yield f"{field.name} {', '.join(map(str, value[:_FEW]))}{more}"
        elif isinstance(value, int | tuple) and not isinstance(node, Input) and not _is_default(field, value):
            yield f"{field.name} {_by(value) if isinstance(value, tuple) else value}"


def _is_default(field: Field[Any], value: object) -> bool:
    return field.default is not MISSING and bool(field.default == value)


def _by(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
