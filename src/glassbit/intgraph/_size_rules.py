"""The rules of size: checked on the description of a network, before anything of that size is made."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from glassbit._text import brief

from ._infer import TensorInfo, infer_all
from ._limits import (
    KERNEL,
    LONGEST_NAME,
    MOST_CLASSES,
    NODES,
    NOTE,
    NOTES,
    PRODUCTS,
    ROW,
    TENSOR,
    TENSORS,
    WEIGHTS,
    WINDOWS,
)
from ._nodes import About, Layer, Node, inputs
from ._work import work


def of_the_whole(nodes: Sequence[Node], classes: Sequence[str], about: About) -> Iterator[str]:
    """Yield what is too much of a network, whatever its shapes are."""
    if len(nodes) > NODES:
        yield f"nodes: there must be at most {NODES}; got {len(nodes)}"
    if len(classes) > MOST_CLASSES:
        yield f"classes: there must be at most {MOST_CLASSES}; got {len(classes)}"
    weights = sum(node.weights.codes.size for node in nodes if isinstance(node, Layer))
    if weights > WEIGHTS:
        yield f"weights: there must be at most {WEIGHTS} in all layers; got {weights}"
    for name, text in (("plan", about.plan), ("network", about.network), ("run", about.run)):
        if not is_line(text):
            yield f"about: {name} must be printable text of at most {LONGEST_NAME} characters; got {brief(text)}"
    wrong = [note for note in about.notes if not is_line(note, most=NOTE)]
    if len(about.notes) > NOTES or wrong:
        got = brief(wrong[0]) if wrong else f"{len(about.notes)} notes"
        yield f"about: notes must be at most {NOTES}, of printable text of at most {NOTE} characters each; got {got}"


def of_the_tensor(node: Node, made: TensorInfo, reads: Sequence[TensorInfo]) -> Iterator[str]:
    """Yield what is too large of one node.

    Args:
        node: any whose shapes are right.
        made: what it makes.
        reads: what it reads, in the order of `inputs(node)`.
    """
    takes = work(node, made, reads)
    if made.size > TENSOR:
        yield (
            f"{node.name}: must make at most {TENSOR} elements for an image; got {made.size}, of the shape {made.shape}"
        )
    if math.prod(takes.kernel) > KERNEL:
        yield f"{node.name}: a window must have at most {KERNEL} pixels; got {takes.kernel}"
    elif takes.pooled > WINDOWS:
        yield f"{node.name}: all its windows must have at most {WINDOWS} pixels; got {takes.pooled}"
    elif takes.row > ROW:
        yield f"{node.name}: the windows of one row must have at most {ROW} elements; got {takes.row}"


def of_all_tensors(nodes: Sequence[Node]) -> Iterator[str]:
    """Yield what is too much of a valid network for one image."""
    tensors = infer_all(nodes)
    elements = sum(tensor.size for tensor in tensors.values())
    if elements > TENSORS:
        yield f"tensors: all together must have at most {TENSORS} elements for an image; got {elements}"
    every = (work(node, tensors[node.name], [tensors[name] for name in inputs(node)]) for node in nodes)
    products = sum(takes.products for takes in every)
    if products > PRODUCTS:
        yield f"products: there must be at most {PRODUCTS} for an image; got {products}"


def is_line(value: object, *, most: int = LONGEST_NAME) -> bool:
    """Whether it is text that can be printed on one line, perhaps empty."""
    return isinstance(value, str) and value.isprintable() and len(value) <= most
