"""What the parts of a network are at all: looked at before any rule reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args

import numpy as np

from glassbit._arguments import shown
from glassbit._takes import check_kind, instance, several

from ._combined import Concat, Lookup, Sum
from ._combined_rules import of_the_names
from ._encode import STORED
from ._limits import LONGEST_NAME
from ._nodes import About, Input, Layer, Logits, Node, Preprocessing, Requantize, inputs

_NODES = several(instance(get_args(Node), "a node of glassbit.intgraph", "lower a network, glassbit.lower(model, ...)"))
_CLASSES = instance((tuple, list), "a tuple or list of names", 'pass one name for each logit, such as ("cat", "dog")')
_PREPROCESSING = instance(
    Preprocessing, "a glassbit.intgraph.Preprocessing", "pass Preprocessing(channels=1, height=28, width=28)"
)
_ABOUT = instance(About, "a glassbit.intgraph.About", "leave it out")
_WHOLE = {Input: ("channels", "height", "width", "zero"), Requantize: ("low", "high"), Lookup: ("low", "high")}
_ARRAYS = {Requantize: ("bias", "multiplier", "exponent"), Logits: ("bias", "scale"), Lookup: ("table", "slopes")}


def check_parts(nodes: object, classes: object, preprocessing: object, about: object) -> None:
    """Refuse a network whose parts are of other types.

    Raises:
        UsageError: with what it must be, what it is, and the repair.
    """
    for name, kind, value in (
        ("nodes", _NODES, nodes),
        ("classes", _CLASSES, classes),
        ("preprocessing", _PREPROCESSING, preprocessing),
        ("about", _ABOUT, about),
    ):
        check_kind("IntGraph", name, kind, value)


def of_the_forms(nodes: Sequence[Node], classes: Sequence[str], frame: Preprocessing, about: About) -> Iterator[str]:
    """Names that are no text, weights that are none, and arrays where a number or a word is due."""
    for position, node in enumerate(nodes):
        if isinstance(node, Concat | Sum) and (broken := list(of_the_names(node))):
            yield from broken
            continue
        for what, value in (("the name", node.name), *(("what it reads", name) for name in inputs(node))):
            if not isinstance(value, str):
                must = f"printable text of at most {LONGEST_NAME} characters"
                yield f"node {position}: {what} must be {must}; got {shown(value)}"
        if isinstance(node, Layer) and not isinstance(getattr(node.weights, "codes", None), np.ndarray):
            yield f"{node.name}: weights must be Weights with a uint8 array of codes; got {shown(node.weights)}"
        elif isinstance(node, Layer):
            yield from _no_array(str(node.name), {"grid": node.weights.grid, "bits": node.weights.bits})
        for name in _ARRAYS.get(type(node), ()):
            value = getattr(node, name)
            dtype = np.dtype(np.float32 if STORED[name] is np.float32 else np.int32).name
            if not isinstance(value, np.ndarray) or not value.ndim:
                yield f"{node.name}: {name} must be a filled {dtype} array of 1 axes; got {value!r}"
        yield from _no_array(str(node.name), {name: getattr(node, name) for name in _WHOLE.get(type(node), ())})
    yield from _no_array("preprocessing", vars(frame))
    for name in classes:
        if not isinstance(name, str):
            yield f"classes: names must be text; got {shown(name)}"
            break
    if not isinstance(about.notes, tuple | list):
        yield f"about: notes must be a tuple of text; got {shown(about.notes)}"
    if not isinstance(about.trained, bool):
        yield f"about: trained must be True or False; got {shown(about.trained)}"


def _no_array(owner: str, values: dict[str, Any]) -> Iterator[str]:
    """Yield the arrays among values: a rule that compares an array with a number has no single answer."""
    for name, value in values.items():
        if hasattr(type(value), "__array__") and not isinstance(value, np.generic):
            yield f"{owner}: {name} must be one value; got {shown(value)}"
