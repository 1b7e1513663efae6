"""The rules of one node: alone, and beside what it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, assert_never, get_args

import numpy as np

from ._combined import Concat, Lookup, Multiply, Select, Sum
from ._combined_rules import (
    of_the_addends,
    of_the_channels_kept,
    of_the_channels_there,
    of_the_entries,
    of_the_factors,
    of_the_lows,
    of_the_neighbours,
    of_the_shifts,
    of_the_table,
)
from ._infer import TensorInfo
from ._limits import (
    BITS,
    EXACT,
    EXPONENT,
    LARGEST_BIAS,
    LARGEST_SUM,
    LONGEST,
    MULTIPLIER,
    SCALES,
    SPAN,
    power,
)
from ._nodes import (
    AveragePool,
    Conv,
    Flatten,
    Grid,
    Input,
    Linear,
    Logits,
    MaxPool,
    Node,
    Pads,
    Pair,
    Requantize,
    Subsample,
    SumPool,
    Weights,
    inputs,
    sides,
)
from ._window_rules import inside, spans

_SIDES = ("top", "left", "bottom", "right")


@dataclass(frozen=True)
class Alone:
    """What is wrong with a node, whatever it reads.

    Args:
        geometry: with what the shape of its tensor comes from.
        values: with what the integers of its tensor come from.
        arrays: those that its shape comes from, and how many axes each must have.
    """

    geometry: Iterable[str] = ()
    values: Iterable[str] = ()
    arrays: tuple[tuple[Any, int], ...] = ()

    @property
    def has_a_shape(self) -> bool:
        """Whether every array has its axes, and something in it."""
        return all(isinstance(array, np.ndarray) and array.ndim == axes and array.size for array, axes in self.arrays)


@dataclass(frozen=True)
class Beside:
    """What is wrong with a node beside what it reads, and what it may read at all.

    Args:
        fit: with the shapes; looked at where it reads maps, if it must.
        sums: with the integers; looked at where all else is right.
        maps: whether it must read maps `(c, h, w)`.
        accumulators: whether it may read accumulators.
    """

    fit: Iterable[str] = ()
    sums: Iterable[str] = ()
    maps: bool = False
    accumulators: bool = False


def alone(node: Node) -> Alone:
    """Return the rules that a node obeys by itself."""
    match node:
        case Input():
            sizes = (_whole(node, name, getattr(node, name), 1) for name in ("channels", "height", "width"))
            return Alone(chain(*sizes, _whole(node, "zero", node.zero, 0, 255)))
        case Conv():
            pairs = (*_pair(node, "stride", node.stride, 1), *_pads(node), *_pair(node, "dilation", node.dilation, 1))
            weights = _of_the_weights(node, node.weights, 4)
            return Alone((*pairs, *_whole(node, "groups", node.groups, 1)), weights, ((node.weights.codes, 4),))
        case Linear():
            return Alone(values=_of_the_weights(node, node.weights, 2), arrays=((node.weights.codes, 2),))
        case Requantize():
            return Alone(values=_of_the_requantizer(node), arrays=((node.bias, 1),))
        case Sum():
            return Alone(values=of_the_shifts(node))
        case Multiply() | Concat():
            return Alone()
        case Select():
            return Alone(of_the_channels_kept(node))
        case Lookup():
            return Alone(values=_of_the_lookup(node), arrays=((node.table, 1), (node.slopes, 1)))
        case MaxPool():
            pairs = (*_pair(node, "kernel", node.kernel, 1), *_pair(node, "stride", node.stride, 1))
            return Alone((*pairs, *_pads(node)))
        case AveragePool():
            return Alone((*_pair(node, "kernel", node.kernel, 1), *_pair(node, "stride", node.stride, 1)))
        case SumPool():
            return Alone((*spans(node, "rows", node.rows), *spans(node, "columns", node.columns)))
        case Subsample():
            return Alone((*_pair(node, "stride", node.stride, 1), *_whole(node, "channels", node.channels, 0)))
        case Flatten():
            return Alone()
        case Logits():
            return Alone(values=_of_the_logits(node), arrays=((node.bias, 1), (node.scale, 1)))
        case _:
            assert_never(node)


def beside(node: Node, reads: Sequence[TensorInfo]) -> Beside:
    """Return the rules of a node that has a shape, beside what it reads.

    Args:
        node: the node.
        reads: what it reads, in the order of `inputs(node)`.
    """
    match node:
        case Input():
            return Beside()
        case Conv():
            return Beside(_of_the_convolution(node, *reads), maps=True)
        case Linear():
            return Beside(_of_the_features(node, *reads))
        case Requantize():
            return Beside(_of_the_channels(node, *reads), _of_the_accumulators(node, *reads), accumulators=True)
        case Sum():
            return Beside(of_the_addends(node, reads))
        case Multiply():
            return Beside(of_the_factors(node, *reads))
        case Concat():
            return Beside(of_the_neighbours(node, reads), of_the_lows(node, reads))
        case Select():
            return Beside(of_the_channels_there(node, *reads))
        case Lookup():
            return Beside(sums=of_the_entries(node, *reads))
        case MaxPool():
            return Beside(_of_the_max_pool(node, *reads), maps=True)
        case AveragePool():
            return Beside(_of_the_kernel(node, node.kernel, (0, 0), *reads), maps=True)
        case SumPool():
            return Beside(_of_the_windows(node, *reads), _of_the_weighted_sums(node, *reads), maps=True)
        case Subsample() | Flatten():
            return Beside(maps=True)
        case Logits():
            return Beside(_of_the_classes(node, *reads), _of_the_accumulators(node, *reads), accumulators=True)
        case _:
            assert_never(node)


def _of_the_weights(node: Conv | Linear, weights: Weights, axes: int) -> Iterator[str]:
    broken = list(_array(node, "codes", weights.codes, np.uint8, axes))
    yield from broken
    if weights.grid not in get_args(Grid):
        yield f"{node.name}: grid must be one of {', '.join(get_args(Grid))}; got {weights.grid!r}"
    if not _is_whole(weights.bits) or not BITS[0] <= weights.bits <= BITS[1]:
        yield f"{node.name}: bits must be an int of {BITS[0]}..{BITS[1]}; got {weights.bits!r}"
        return
    if weights.grid == "odd" and weights.bits == BITS[1]:
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
    wrong = [float(value) for value in node.scale if not SCALES[0] <= abs(value) <= SCALES[1]]
    if wrong:
        yield (
            f"{node.name}: every scale must be finite and above 0, between 2^-100 and 2^90, so that no logit "
            f"overflows or vanishes; got {wrong[0]!r}"
        )


def _of_the_lookup(node: Lookup) -> Iterator[str]:
    broken = [*_array(node, "table", node.table, np.int32), *_array(node, "slopes", node.slopes, np.float32)]
    yield from broken or of_the_table(node)


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
    wrong = [value for value in map(int, node.multiplier) if not (value % 2 and abs(value) <= MULTIPLIER)]
    if wrong:
        yield f"{node.name}: every multiplier must be odd and -{MULTIPLIER}..{MULTIPLIER}; got {wrong[0]}"
    exponents = [int(value) for value in node.exponent]
    wrong = [value for value in exponents if not 0 <= value <= EXPONENT]
    if wrong:
        yield f"{node.name}: every exponent must be 0..{EXPONENT}; got {wrong[0]}"
    whole = _is_whole(node.low) and _is_whole(node.high)
    if not whole or not node.low <= 0 <= node.high or not SPAN[0] <= node.high - node.low <= SPAN[1]:
        yield (
            f"{node.name}: the window must be low..high with low <= 0 <= high and high - low of {SPAN[0]}..{SPAN[1]}; "
            f"got {node.low!r}..{node.high!r}"
        )
    elif not wrong and exponents:
        size = max(abs(node.low), abs(node.high)) + 1
        if size << max(exponents) > EXACT:
            largest = (EXACT // size).bit_length() - 1
            yield (
                f"{node.name}: 2^e (max(|low|, |high|) + 1) must be at most {power(EXACT)}, so that float32 rounds as "
                f"integers do; with the window {node.low}..{node.high} e is at most {largest}; got {max(exponents)}; "
                "halve m until it fits"
            )


def _of_the_bias(node: Requantize | Logits, bias: np.ndarray[Any, Any]) -> Iterator[str]:
    wrong = [int(value) for value in bias if abs(int(value)) > LARGEST_BIAS]
    if wrong:
        yield f"{node.name}: every bias must be within ±{power(LARGEST_BIAS)}; got {wrong[0]}"


def _of_the_convolution(node: Conv, read: TensorInfo) -> Iterator[str]:
    out, each = node.weights.codes.shape[:2]
    if each * node.groups != read.shape[0]:
        yield (
            f"{node.name}: weights for {each * node.groups} channels ({node.groups} groups of {each}); "
            f"{node.input} has {read.shape[0]}"
        )
    if out % node.groups:
        yield f"{node.name}: {node.groups} groups must divide the {out} output channels"
    yield from _of_the_kernel(node, node.reach, node.padding, read)
    yield from _below_the_kernel(node, node.reach, node.padding)


def _of_the_features(node: Linear, read: TensorInfo) -> Iterator[str]:
    if read.shape != node.weights.codes.shape[1:]:
        yield (
            f"{node.name}: weights for {node.weights.codes.shape[1]} flat inputs; "
            f"{node.input} has the shape {read.shape}"
        )


def _of_the_channels(node: Requantize, read: TensorInfo) -> Iterator[str]:
    if len(node.bias) not in (1, read.shape[0]):
        yield (
            f"{node.name}: bias, multiplier and exponent must be {read.shape[0]}, one per channel of "
            f"{node.input}, or 1; got {len(node.bias)}"
        )


def _of_the_max_pool(node: MaxPool, read: TensorInfo) -> Iterator[str]:
    yield from _of_the_kernel(node, node.kernel, node.padding, read)
    if node.padding == sides(node.padding):
        yield from _below_the_kernel(node, node.kernel, node.padding)
    elif any(2 * pad > size for pad, size in zip(node.padding, node.kernel, strict=True)):
        yield f"{node.name}: padding must be at most half the kernel {node.kernel}; got {node.padding}"


def _below_the_kernel(node: Conv | MaxPool, kernel: Pair, padding: Pads) -> Iterator[str]:
    if any(pad >= size for pad, size in zip(sides(padding), kernel * 2, strict=True)):
        yield f"{node.name}: padding must be below the kernel {kernel}; got {padding}"


def _of_the_kernel(node: Node, kernel: Pair, padding: Pads, read: TensorInfo) -> Iterator[str]:
    pads = sides(padding)
    for axis, pixels in enumerate(read.shape[1:]):
        if kernel[axis] > pixels + pads[axis] + pads[axis + 2]:
            yield (
                f"{node.name}: the kernel {kernel} must fit into the map with its padding; "
                f"{inputs(node)[0]} has the shape {read.shape}, padding is {padding}"
            )
            return


def _of_the_windows(node: SumPool, read: TensorInfo) -> Iterator[str]:
    yield from inside(node, "rows", node.rows, read.shape[1])
    yield from inside(node, "columns", node.columns, read.shape[2])


def _of_the_classes(node: Logits, read: TensorInfo) -> Iterator[str]:
    if not len(node.bias) == len(node.scale) == read.shape[0]:
        yield (
            f"{node.name}: bias and scale must be {read.shape[0]}, one per class of {node.input}; "
            f"got {len(node.bias)} and {len(node.scale)}"
        )


def _of_the_weighted_sums(node: SumPool, read: TensorInfo) -> Iterator[str]:
    """They are exact in float32."""
    if node.reach * read.bound > EXACT:
        yield (
            f"{node.name}: its sums must be at most {power(EXACT)}, so that float32 holds them; got up to "
            f"{node.reach} x {read.bound}"
        )


def _of_the_accumulators(node: Requantize | Logits, read: TensorInfo) -> Iterator[str]:
    """With the bias, they are int32."""
    largest = max(abs(int(value)) for value in node.bias)
    reach = read.bound * (read.pixels if isinstance(node, Logits) else 1)
    if reach + largest >= LARGEST_SUM:
        yield (
            f"{node.name}: |accumulator| + |bias| must stay below {power(LARGEST_SUM)}; "
            f"got up to {reach} of {node.input} and {largest}"
        )


def _array(
    node: Node, name: str, values: np.ndarray[Any, Any], dtype: type[np.generic], axes: int = 1
) -> Iterator[str]:
    is_array = isinstance(values, np.ndarray)
    if not is_array or values.dtype != dtype or values.ndim != axes or not values.size:
        got = f"{values.dtype} of shape {values.shape}" if is_array else repr(values)
        yield f"{node.name}: {name} must be a filled {np.dtype(dtype).name} array of {axes} axes; got {got}"


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _whole(node: Node, name: str, value: int, low: int, high: int = LONGEST) -> Iterator[str]:
    if not _is_whole(value) or not low <= value <= high:
        yield f"{node.name}: {name} must be an int of {low}..{high}; got {value!r}"


def _pads(node: Conv | MaxPool) -> Iterator[str]:
    if not isinstance(node.padding, tuple) or len(node.padding) != len(_SIDES):
        yield from _pair(node, "padding", node.padding, 0)
    elif not all(_is_whole(pad) and 0 <= pad <= LONGEST for pad in node.padding):
        yield f"{node.name}: padding must be ({', '.join(_SIDES)}), ints of 0..{LONGEST}; got {node.padding!r}"


def _pair(node: Node, name: str, value: Pads, low: int) -> Iterator[str]:
    if not (isinstance(value, tuple) and len(value) == 2 and all(_is_whole(v) and low <= v <= LONGEST for v in value)):
        yield f"{node.name}: {name} must be two ints of {low}..{LONGEST}; got {value!r}"
