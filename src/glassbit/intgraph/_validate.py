"""The rules of an integer network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import get_args

from glassbit._arguments import is_whole
from glassbit._errors import GraphError
from glassbit._resize import Resize
from glassbit._text import brief

from ._forms import check_parts, of_the_forms
from ._infer import TensorInfo, infer
from ._limits import LEAST_CLASSES, LONGEST_NAME
from ._node_rules import Beside, alone, beside
from ._nodes import About, Accumulates, Input, Logits, Node, Preprocessing, inputs
from ._size_rules import is_line, of_all_tensors, of_the_tensor, of_the_whole


def validate(nodes: Sequence[Node], classes: Sequence[str], preprocessing: Preprocessing, about: About) -> None:
    """Check every rule of a network.

    Args:
        nodes, classes, preprocessing, about: see `IntGraph`.

    Raises:
        UsageError: one of them is of another type.
        GraphError: rules are broken; all of them, by the names of the nodes.
    """
    check_parts(nodes, classes, preprocessing, about)
    problems = list(of_the_forms(nodes, classes, preprocessing, about)) or list(of_the_whole(nodes, classes, about))
    if not problems:
        problems = [*_of_the_order(nodes), *_of_the_nodes(nodes), *_of_the_ends(nodes, classes, preprocessing)]
    problems = problems or list(of_all_tensors(nodes))
    if problems:
        raise GraphError(problems)


def _of_the_order(nodes: Sequence[Node]) -> Iterator[str]:
    for name, count in Counter(node.name for node in nodes).items():
        if count > 1:
            yield f"{name}: a name belongs to one node; {count} nodes have it"
    for position, node in enumerate(nodes):
        if not _is_text(node.name):
            yield (
                f"node {position}: the name must be printable text of at most {LONGEST_NAME} characters; got "
                f"{brief(node.name)}"
            )
        if isinstance(node, Input) != (position == 0):
            yield f"{node.name}: the first node, and no other, must be an Input; node {position} is {_a(node)}"
        if isinstance(node, Logits) != (position == len(nodes) - 1):
            yield f"{node.name}: the last node, and no other, must be Logits; node {position} is {_a(node)}"
    if not nodes:
        yield "nodes: there must be an Input and Logits at least; there are none"
    read = {name for node in nodes for name in inputs(node)}
    for node in nodes[:-1]:
        if node.name not in read:
            yield f"{node.name}: nothing reads it; leave it out, or name it as an input"
    makers = {node.name: node for node in nodes}
    for node in nodes:
        if isinstance(node, Logits) and not isinstance(makers.get(node.input, node), Accumulates | Logits):
            yield f"{node.name}: must read accumulators, as a Linear makes; {node.input} is {_a(makers[node.input])}"


def _of_the_nodes(nodes: Sequence[Node]) -> Iterator[str]:
    """Rules of each node, alone and with what it reads. Where a node has no shape, its readers are not judged by it;
    where its values are wrong, it is taken to hold zeros.
    """
    known: dict[str, TensorInfo | None] = {}
    for node in nodes:
        own = alone(node)
        geometry, values = list(own.geometry), list(own.values)
        yield from geometry
        yield from values
        for name in inputs(node):
            if name not in known:
                yield f"{node.name}: reads {name!r}, which no earlier node makes"
        reached = None
        reads = [read for name in inputs(node) if (read := known.get(name))]
        if len(reads) == len(inputs(node)) and not geometry and own.has_a_shape:
            rules = beside(node, reads)
            problems = list(_of_the_fit(node, reads, rules))
            if not problems:
                made = infer(node, reads, values=not values)
                problems = list(of_the_tensor(node, made, reads))
                reached = None if problems else made
            yield from problems
            if not problems and not values:
                yield from rules.sums
        known[node.name] = reached


def _of_the_fit(node: Node, reads: Sequence[TensorInfo], rules: Beside) -> Iterator[str]:
    """Rules of kinds and shapes."""
    for name, read in zip(inputs(node), reads, strict=True):
        if read.kind == "accumulators" and not rules.accumulators:
            yield f"{node.name}: must read codes; {name} holds accumulators; put a Requantize between"
    if rules.maps and len(reads[0].shape) != 3:
        yield f"{node.name}: must read maps (c, h, w); {inputs(node)[0]} has the shape {reads[0].shape}"
    else:
        yield from rules.fit


def _of_the_ends(nodes: Sequence[Node], classes: Sequence[str], frame: Preprocessing) -> Iterator[str]:
    """Yield where the image differs from the preprocessing, or the logits from the classes."""
    if len(classes) < LEAST_CLASSES:
        yield f"classes: there must be {LEAST_CLASSES} or more; got {len(classes)}"
    for name in classes:
        if not _is_text(name):
            yield f"classes: names must be printable text of at most {LONGEST_NAME} characters; got {brief(name)}"
    if len(set(classes)) != len(classes):
        yield "classes: each must have a name of its own"
    last = nodes[-1] if nodes else None
    if isinstance(last, Logits) and len(last.bias) != len(classes):
        yield f"classes: as many as logits, {len(last.bias)}; got {len(classes)}"
    first = nodes[0] if nodes else None
    if isinstance(first, Input):
        reads = (first.channels, first.height, first.width)
        makes = (frame.channels, frame.height, frame.width)
        if reads != makes or not all(map(is_whole, makes)):
            yield f"preprocessing: must make images of the shape {reads} that {first.name} has; got {makes}"
    if frame.resize not in get_args(Resize):
        yield f"preprocessing: resize must be one of {', '.join(get_args(Resize))}; got {frame.resize!r}"


def _is_text(value: object) -> bool:
    return is_line(value) and value != ""


def _a(node: Node) -> str:
    return f"a{'n' if type(node).__name__[0] in 'AI' else ''} {type(node).__name__}"
