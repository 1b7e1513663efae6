"""The rules of an integer network."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from glassbit._arguments import is_whole
from glassbit._errors import GraphError
from glassbit._text import brief

from ._infer import TensorInfo, interval, kernel_of, kind, shape, zero
from ._limits import NAME, is_line, of_all_tensors, of_the_tensor, of_the_whole
from ._nodes import (
    Add,
    AveragePool,
    Conv,
    Flatten,
    Grid,
    Input,
    Linear,
    Logits,
    MaxPool,
    Node,
    Pair,
    Requantize,
    Resize,
    Subsample,
    SumPool,
    Weights,
    inputs,
)
from ._window_rules import LONGEST as _LONGEST
from ._window_rules import inside, spans

if TYPE_CHECKING:
    from ._graph import IntGraph

EXACT = 2**24
"""Below it every integer is a float32."""

_BITS = (2, 8)
_LARGEST_BIAS = 2**30
_LARGEST_SUM = 2**31
_SCALES = (2.0**-100, 2.0**90)
_WINDOWS = [*((0, 2**bits - 1) for bits in range(2, 9)), (-128, 127)]


def validate(graph: IntGraph) -> None:
    """Check every rule.

    Raises:
        GraphError: rules are broken; all of them, by the names of the nodes.
    """
    problems = list(of_the_whole(graph))
    if not problems:
        problems = [*_of_the_order(graph.nodes), *_of_the_nodes(graph.nodes), *_of_the_whole(graph)]
    problems = problems or list(of_all_tensors(graph))
    if problems:
        raise GraphError(problems)


def _of_the_order(nodes: Sequence[Node]) -> Iterator[str]:
    for name, count in Counter(node.name for node in nodes).items():
        if count > 1:
            yield f"{name}: a name belongs to one node; {count} nodes have it"
    for position, node in enumerate(nodes):
        if not _is_text(node.name):
            yield (
                f"node {position}: the name must be printable text of at most {NAME} characters; got {brief(node.name)}"
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
        if isinstance(node, Logits) and not isinstance(makers.get(node.input, node), Linear | Logits):
            yield f"{node.name}: must read a Linear; {node.input} is {_a(makers[node.input])}"


def _of_the_nodes(nodes: Sequence[Node]) -> Iterator[str]:
    """Rules of each node, alone and with what it reads. Where a node has no shape, its readers are not judged by it;
    where its values are wrong, it is taken to hold zeros.
    """
    known: dict[str, TensorInfo | None] = {}
    for node in nodes:
        geometry, values = list(_of_the_geometry(node)), list(_of_the_values(node))
        yield from geometry
        yield from values
        for name in inputs(node):
            if name not in known:
                yield f"{node.name}: reads {name!r}, which no earlier node makes"
        found = None
        reads = [read for name in inputs(node) if (read := known.get(name))]
        if len(reads) == len(inputs(node)) and not geometry and not _broken_arrays(node):
            misfits = list(_of_the_fit(node, reads))
            misfits = misfits or list(of_the_tensor(node, shape(node, reads)))
            yield from misfits
            if not misfits:
                if not values:
                    yield from _of_the_sums(node, reads)
                low, high = (0, 0) if values else interval(node, reads)
                found = TensorInfo(shape(node, reads), low, high, kind(node), zero(node, reads))
        known[node.name] = found


def _of_the_geometry(node: Node) -> Iterator[str]:
    """What the shape of a node's tensor comes from."""
    match node:
        case Input():
            yield from _whole(node, "channels", node.channels, 1)
            yield from _whole(node, "height", node.height, 1)
            yield from _whole(node, "width", node.width, 1)
            yield from _whole(node, "zero", node.zero, 0, 255)
        case Conv():
            yield from _pair(node, "stride", node.stride, 1)
            yield from _pair(node, "padding", node.padding, 0)
            yield from _whole(node, "groups", node.groups, 1)
        case MaxPool():
            yield from _pair(node, "kernel", node.kernel, 1)
            yield from _pair(node, "stride", node.stride, 1)
            yield from _pair(node, "padding", node.padding, 0)
        case AveragePool():
            yield from _pair(node, "kernel", node.kernel, 1)
            yield from _pair(node, "stride", node.stride, 1)
        case SumPool():
            yield from spans(node, "rows", node.rows)
            yield from spans(node, "columns", node.columns)
        case Subsample():
            yield from _pair(node, "stride", node.stride, 1)
            yield from _whole(node, "channels", node.channels, 0)
        case _:
            pass


def _of_the_values(node: Node) -> Iterator[str]:
    """What the integers of a node's tensor come from."""
    match node:
        case Conv():
            yield from _of_the_weights(node, node.weights, 4)
        case Linear():
            yield from _of_the_weights(node, node.weights, 2)
        case Requantize():
            yield from _of_the_requantizer(node)
        case Add():
            yield from _whole(node, "left_shift", node.left_shift, 0, 16)
            yield from _whole(node, "right_shift", node.right_shift, 0, 16)
            if node.left_shift and node.right_shift:
                yield (
                    f"{node.name}: left_shift or right_shift must be 0; got {node.left_shift} and {node.right_shift}, "
                    "whose common part belongs into the steps"
                )
        case Logits():
            yield from _of_the_logits(node)
        case _:
            pass


def _of_the_weights(node: Conv | Linear, weights: Weights, axes: int) -> Iterator[str]:
    broken = list(_array(node, "codes", weights.codes, np.uint8, axes))
    yield from broken
    if weights.grid not in get_args(Grid):
        yield f"{node.name}: grid must be one of {', '.join(get_args(Grid))}; got {weights.grid!r}"
    if not _is_whole(weights.bits) or not _BITS[0] <= weights.bits <= _BITS[1]:
        yield f"{node.name}: bits must be an int of {_BITS[0]}..{_BITS[1]}; got {weights.bits!r}"
        return
    if weights.grid == "odd" and weights.bits == _BITS[1]:
        yield f"{node.name}: the odd grid has 2..7 bits, whose weights fit int8; at 8 bits use the signed grid"
    if not broken and int(weights.codes.max()) > 2**weights.bits - 1:
        yield (
            f"{node.name}: codes of {weights.bits} bits must be 0..{2**weights.bits - 1}; "
            f"got {int(weights.codes.max())}"
        )


def _of_the_logits(node: Logits) -> Iterator[str]:
    broken = [*_array(node, "bias", node.bias, np.int32), *_array(node, "scale", node.scale, np.float32)]
    yield from broken
    if broken:
        return
    yield from _of_the_bias(node, node.bias)
    wrong = [float(value) for value in node.scale if not _SCALES[0] <= value <= _SCALES[1]]
    if wrong:
        yield (
            f"{node.name}: every scale must be finite and above 0, between 2^-100 and 2^90, so that no logit "
            f"overflows or vanishes; got {wrong[0]!r}"
        )


def _of_the_requantizer(node: Requantize) -> Iterator[str]:
    arrays = {"bias": node.bias, "multiplier": node.multiplier, "exponent": node.exponent}
    broken = [problem for name, values in arrays.items() for problem in _array(node, name, values, np.int32)]
    yield from broken
    if broken:
        return
    counts = {name: len(values) for name, values in arrays.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{count} of {name}" for name, count in counts.items())
        yield f"{node.name}: bias, multiplier and exponent must be equally many; got {listed}"
    yield from _of_the_bias(node, node.bias)
    wrong = [int(value) for value in node.multiplier if not (value % 2 and 1 <= value <= 255)]
    if wrong:
        yield f"{node.name}: every multiplier must be odd and 1..255; got {wrong[0]}"
    exponents = [int(value) for value in node.exponent]
    wrong = [value for value in exponents if not 0 <= value <= 30]
    if wrong:
        yield f"{node.name}: every exponent must be 0..30; got {wrong[0]}"
    if (node.low, node.high) not in _WINDOWS or not (_is_whole(node.low) and _is_whole(node.high)):
        yield (
            f"{node.name}: the window must be 0..2^k - 1 with k of 2..8, or -128..127; got {node.low!r}..{node.high!r}"
        )
    elif not wrong and exponents:
        size = max(abs(node.low), abs(node.high)) + 1
        if size << max(exponents) > EXACT:
            largest = (EXACT // size).bit_length() - 1
            yield (
                f"{node.name}: 2^e (max(|low|, |high|) + 1) must be at most 2^24, so that float32 rounds as integers "
                f"do; with the window {node.low}..{node.high} e is at most {largest}; got {max(exponents)}; "
                "halve m until it fits"
            )


def _of_the_bias(node: Requantize | Logits, bias: np.ndarray[Any, Any]) -> Iterator[str]:
    wrong = [int(value) for value in bias if abs(int(value)) > _LARGEST_BIAS]
    if wrong:
        yield f"{node.name}: every bias must be within ±2^30; got {wrong[0]}"


def _of_the_fit(node: Node, reads: Sequence[TensorInfo]) -> Iterator[str]:
    """Rules of kinds, shapes and zeros."""
    for name, read in zip(inputs(node), reads, strict=True):
        if read.kind == "accumulators" and not isinstance(node, Requantize | Logits):
            yield f"{node.name}: must read codes; {name} holds accumulators; put a Requantize between"
        elif read.low < 0 and read.kind == "codes" and not isinstance(node, Add):
            yield f"{node.name}: codes below 0 are operands of a sum alone; {name} holds {read.low}..{read.high}"
        keeps = isinstance(node, Conv | Linear | Flatten) or (isinstance(node, MaxPool) and node.padding == (0, 0))
        if read.zero and not keeps:
            yield (
                f"{node.name}: the zero of {name} is {read.zero}, which only Conv, Linear, Flatten and a MaxPool "
                "without padding know of; it must be 0"
            )
    if isinstance(node, Conv | MaxPool | AveragePool | SumPool | Subsample | Flatten) and len(reads[0].shape) != 3:
        yield f"{node.name}: must read maps (c, h, w); {inputs(node)[0]} has the shape {reads[0].shape}"
        return
    match node:
        case Conv():
            yield from _of_the_groups(node, reads[0])
            yield from _of_the_kernel(node, kernel_of(node), node.padding, reads[0])
            if any(pad >= size for pad, size in zip(node.padding, kernel_of(node), strict=True)):
                yield f"{node.name}: padding must be below the kernel {kernel_of(node)}; got {node.padding}"
        case Linear():
            if reads[0].shape != node.weights.codes.shape[1:]:
                yield (
                    f"{node.name}: weights for {node.weights.codes.shape[1]} flat inputs; "
                    f"{node.input} has the shape {reads[0].shape}"
                )
        case Requantize():
            if len(node.bias) not in (1, reads[0].shape[0]):
                yield (
                    f"{node.name}: bias, multiplier and exponent must be {reads[0].shape[0]}, one a channel of "
                    f"{node.input}, or 1; got {len(node.bias)}"
                )
        case Add():
            if reads[0].shape != reads[1].shape:
                yield (
                    f"{node.name}: both operands must have one shape; {node.left} has {reads[0].shape}, "
                    f"{node.right} has {reads[1].shape}"
                )
        case MaxPool():
            yield from _of_the_kernel(node, node.kernel, node.padding, reads[0])
            if any(2 * pad > size for pad, size in zip(node.padding, node.kernel, strict=True)):
                yield f"{node.name}: padding must be at most half the kernel {node.kernel}; got {node.padding}"
        case AveragePool():
            yield from _of_the_kernel(node, node.kernel, (0, 0), reads[0])
        case SumPool():
            yield from inside(node, "rows", node.rows, reads[0].shape[1])
            yield from inside(node, "columns", node.columns, reads[0].shape[2])
        case Logits():
            if not len(node.bias) == len(node.scale) == reads[0].shape[0]:
                yield (
                    f"{node.name}: bias and scale must be {reads[0].shape[0]}, one a class of {node.input}; "
                    f"got {len(node.bias)} and {len(node.scale)}"
                )
        case _:
            pass


def _of_the_groups(node: Conv, read: TensorInfo) -> Iterator[str]:
    out, each = node.weights.codes.shape[:2]
    if each * node.groups != read.shape[0]:
        yield (
            f"{node.name}: weights for {each * node.groups} channels ({node.groups} groups of {each}); "
            f"{node.input} has {read.shape[0]}"
        )
    if out % node.groups:
        yield f"{node.name}: {node.groups} groups must divide the {out} output channels"


def _of_the_kernel(node: Node, kernel: Pair, padding: Pair, read: TensorInfo) -> Iterator[str]:
    for axis, pixels in enumerate(read.shape[1:]):
        if kernel[axis] > pixels + 2 * padding[axis]:
            yield (
                f"{node.name}: the kernel {kernel} must fit into the map with its padding; "
                f"{inputs(node)[0]} has the shape {read.shape}, padding is {padding}"
            )
            return


def _of_the_sums(node: Node, reads: Sequence[TensorInfo]) -> Iterator[str]:
    """Accumulators, alone and with the bias, are int32; weighted sums are exact in float32."""
    if isinstance(node, SumPool) and node.reach * reads[0].bound > EXACT:
        yield (
            f"{node.name}: its sums must be at most 2^24, so that float32 holds them; got up to "
            f"{node.reach} x {reads[0].bound}"
        )
    if isinstance(node, Requantize | Logits):
        largest = max(abs(int(value)) for value in node.bias)
        if reads[0].bound + largest >= _LARGEST_SUM:
            yield (
                f"{node.name}: |accumulator| + |bias| must stay below 2^31; "
                f"got up to {reads[0].bound} of {node.input} and {largest}"
            )


def _of_the_whole(graph: IntGraph) -> Iterator[str]:
    if len(graph.classes) < 2:
        yield f"classes: there must be 2 or more; got {len(graph.classes)}"
    for name in graph.classes:
        if not _is_text(name):
            yield f"classes: names must be printable text of at most {NAME} characters; got {brief(name)}"
    if len(set(graph.classes)) != len(graph.classes):
        yield "classes: each must have a name of its own"
    last = graph.nodes[-1] if graph.nodes else None
    if isinstance(last, Logits) and len(last.bias) != len(graph.classes):
        yield f"classes: as many as logits, {len(last.bias)}; got {len(graph.classes)}"
    first = graph.nodes[0] if graph.nodes else None
    frame = graph.preprocessing
    if isinstance(first, Input):
        reads = (first.channels, first.height, first.width)
        makes = (frame.channels, frame.height, frame.width)
        if reads != makes or not all(map(is_whole, makes)):
            yield f"preprocessing: must make images of the shape {reads} that {first.name} has; got {makes}"
    if frame.resize not in get_args(Resize):
        yield f"preprocessing: resize must be one of {', '.join(get_args(Resize))}; got {frame.resize!r}"


def _array(
    node: Node, name: str, values: np.ndarray[Any, Any], dtype: type[np.generic], axes: int = 1
) -> Iterator[str]:
    is_array = isinstance(values, np.ndarray)
    if not is_array or values.dtype != dtype or values.ndim != axes or not values.size:
        got = f"{values.dtype} of shape {values.shape}" if is_array else repr(values)
        yield f"{node.name}: {name} must be a filled {np.dtype(dtype).name} array of {axes} axes; got {got}"


def _broken_arrays(node: Node) -> bool:
    """Whether a node has no shape because an array that it comes from has another number of axes, or none."""
    arrays: list[tuple[np.ndarray[Any, Any], int]] = []
    match node:
        case Conv():
            arrays = [(node.weights.codes, 4)]
        case Linear():
            arrays = [(node.weights.codes, 2)]
        case Requantize():
            arrays = [(node.bias, 1)]
        case Logits():
            arrays = [(node.bias, 1), (node.scale, 1)]
        case _:
            pass
    return any(not isinstance(array, np.ndarray) or array.ndim != axes or not array.size for array, axes in arrays)


def _is_text(value: object) -> bool:
    return is_line(value) and value != ""


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(node: Node, name: str, value: int, low: int, high: int = _LONGEST) -> Iterator[str]:
    if not _is_whole(value) or not low <= value <= high:
        yield f"{node.name}: {name} must be an int of {low}..{high}; got {value!r}"


def _pair(node: Node, name: str, value: Pair, low: int) -> Iterator[str]:
    if not (isinstance(value, tuple) and len(value) == 2 and all(_is_whole(v) and low <= v <= _LONGEST for v in value)):
        yield f"{node.name}: {name} must be two ints of {low}..{_LONGEST}; got {value!r}"


def _a(node: Node) -> str:
    return f"a{'n' if type(node).__name__[0] in 'AI' else ''} {type(node).__name__}"
