"""How large an integer network may be: checked on its description, before anything of that size is made.

A file with a right digest may still have been made to exhaust the machine that reads it. The limits leave room for what
is exported: ResNet-56 at 512 x 512, ResNet-20 at 1024 x 1024, VGG-16 at 224 x 224.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from glassbit._text import brief

from ._infer import TensorInfo, kernel_of
from ._nodes import AveragePool, Conv, Linear, MaxPool, Node, SumPool, inputs

if TYPE_CHECKING:
    from ._graph import IntGraph

NODES = 1024
CLASSES = 2**16 - 1
NAME = 256
"""Characters of a name."""
NOTES, NOTE = 64, 1000
"""How many, and characters of one."""
WEIGHTS = 150_000_000
"""Of all layers together."""
TENSOR = 2**25
"""Elements of one tensor, for one image."""
TENSORS = 2**29
"""Elements of all tensors together, for one image."""
PRODUCTS = 2**37
"""Multiply-accumulates for one image; an element, or a pixel of a pool's window, counts as `_SLOWER` of them."""
_SLOWER = 32
KERNEL = 2**20
"""Pixels of one window."""
WINDOWS = 2**27
"""Pixels of all windows of a pool, for one image."""
ROW = 2**26
"""Elements of all windows of one row of a convolution, with their channels."""


def of_the_whole(graph: IntGraph) -> Iterator[str]:
    """What is too much of a network, whatever its shapes are."""
    if len(graph.nodes) > NODES:
        yield f"nodes: there must be at most {NODES}; got {len(graph.nodes)}"
    if len(graph.classes) > CLASSES:
        yield f"classes: there must be at most {CLASSES}; got {len(graph.classes)}"
    weights = sum(node.weights.codes.size for node in graph.nodes if isinstance(node, Conv | Linear))
    if weights > WEIGHTS:
        yield f"weights: there must be at most {WEIGHTS} in all layers; got {weights}"
    about = graph.about
    for name, text in (("plan", about.plan), ("network", about.network), ("run", about.run)):
        if not is_line(text):
            yield f"about: {name} must be printable text of at most {NAME} characters; got {brief(text)}"
    wrong = [note for note in about.notes if not is_line(note, most=NOTE)]
    if len(about.notes) > NOTES or wrong:
        got = brief(wrong[0]) if wrong else f"{len(about.notes)} notes"
        yield f"about: notes must be at most {NOTES}, of printable text of at most {NOTE} characters each; got {got}"


def of_the_tensor(node: Node, made: tuple[int, ...]) -> Iterator[str]:
    """What is too large of one node.

    Args:
        node: any whose shapes are right.
        made: the shape that it makes.
    """
    size = math.prod(made)
    if size > TENSOR:
        yield f"{node.name}: must make at most {TENSOR} elements for an image; got {size}, of the shape {made}"
    kernel = kernel_of(node) if isinstance(node, Conv) else getattr(node, "kernel", (1, 1))
    if math.prod(kernel) > KERNEL:
        yield f"{node.name}: a window must have at most {KERNEL} pixels; got {kernel}"
    elif isinstance(node, MaxPool | AveragePool) and math.prod(kernel) * size > WINDOWS:
        yield f"{node.name}: all its windows must have at most {WINDOWS} pixels; got {math.prod(kernel) * size}"
    elif isinstance(node, Conv) and math.prod(node.weights.codes.shape[1:]) * made[2] > ROW:
        elements = math.prod(node.weights.codes.shape[1:]) * made[2]
        yield f"{node.name}: the windows of one row must have at most {ROW} elements; got {elements}"


def of_all_tensors(graph: IntGraph) -> Iterator[str]:
    """What is too much of a valid network for one image."""
    tensors = graph.tensors()
    elements = sum(tensor.size for tensor in tensors.values())
    if elements > TENSORS:
        yield f"tensors: all together must have at most {TENSORS} elements for an image; got {elements}"
    products = sum(
        _products(node, tensors[node.name], [tensors[name] for name in inputs(node)]) for node in graph.nodes
    )
    if products > PRODUCTS:
        yield f"products: there must be at most {PRODUCTS} for an image; got {products}"


def _products(node: Node, made: TensorInfo, reads: Sequence[TensorInfo]) -> int:
    if isinstance(node, SumPool):
        channels, height, width = reads[0].shape
        return channels * len(node.rows) * width * (height + len(node.columns))
    if isinstance(node, Conv | Linear):
        return node.weights.codes.size * made.size // made.shape[0]
    kernel = node.kernel if isinstance(node, MaxPool | AveragePool) else (1, 1)
    return _SLOWER * made.size * math.prod(kernel)


def is_line(value: object, *, most: int = NAME) -> bool:
    """Whether it is text that can be printed on one line, perhaps empty."""
    return isinstance(value, str) and value.isprintable() and len(value) <= most
