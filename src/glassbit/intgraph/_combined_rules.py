"""The rules of nodes that join codes, pick some of them, or look them up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from ._combined import Concat, Lookup, Multiply, Select, Sum
from ._infer import TensorInfo
from ._limits import LONGEST, NODES, SHIFT

_SPAN = 255
"""Of a window of codes, which are stored as uint8."""


def of_the_channels_kept(node: Select) -> Iterator[str]:
    """They are some integers, each once."""
    chosen = node.channels
    if (
        not isinstance(chosen, tuple)
        or not 1 <= len(chosen) <= LONGEST
        or any(type(channel) is not int for channel in chosen)
    ):
        got = (
            f"{len(chosen)} of them" if isinstance(chosen, tuple) and not 1 <= len(chosen) <= LONGEST else repr(chosen)
        )
        yield f"{node.name}: channels must be a tuple of 1..{LONGEST} ints; got {got[:80]}"
    elif len(set(chosen)) < len(chosen):
        [(twice, _)] = Counter(chosen).most_common(1)
        yield f"{node.name}: channels must each be picked once; got {twice} twice"


def of_the_table(node: Lookup) -> Iterator[str]:
    """Its codes lie in its window, and its slopes are numbers."""
    whole = type(node.low) is int and type(node.high) is int
    if not whole or not node.low <= 0 <= node.high or not 1 <= node.high - node.low <= _SPAN:
        yield (
            f"{node.name}: the window must be low..high with low <= 0 <= high and high - low of 1..{_SPAN}; "
            f"got {node.low!r}..{node.high!r}"
        )
        return
    if len(node.table) != len(node.slopes):
        yield f"{node.name}: table and slopes must be equally many; got {len(node.table)} and {len(node.slopes)}"
    wrong = [int(code) for code in node.table if not node.low <= code <= node.high]
    if wrong:
        yield f"{node.name}: every code of the table must be in its window {node.low}..{node.high}; got {wrong[0]}"
    infinite = [float(slope) for slope in node.slopes if not np.isfinite(slope)]
    if infinite:
        yield f"{node.name}: every slope must be finite; got {infinite[0]!r}"


def of_the_shifts(node: Sum) -> Iterator[str]:
    """There is one for each operand, and their common part is left out."""
    shifts = node.shifts
    if not isinstance(shifts, tuple) or any(type(shift) is not int or not 0 <= shift <= SHIFT for shift in shifts):
        yield f"{node.name}: shifts must be a tuple of ints of 0..{SHIFT}; got {shifts!r}"
    elif len(shifts) != len(node.inputs):
        yield f"{node.name}: shifts must be {len(node.inputs)}, one per input; got {len(shifts)}"
    elif min(shifts):
        yield f"{node.name}: one of shifts must be 0; got {shifts}, whose common part belongs into the steps"


def of_the_addends(node: Sum, reads: Sequence[TensorInfo]) -> Iterator[str]:
    """They have one shape."""
    for name, read in zip(node.inputs, reads, strict=True):
        if read.shape != reads[0].shape:
            yield (
                f"{node.name}: all operands must have one shape; {node.inputs[0]} has {reads[0].shape}, "
                f"{name} has {read.shape}"
            )
            return


def of_the_factors(node: Multiply, left: TensorInfo, right: TensorInfo) -> Iterator[str]:
    """They have one shape, or the right one has one value per channel."""
    channels = left.shape[:1]
    gates = (channels, (*channels, 1, 1)) if len(left.shape) == 3 else ()
    if right.shape != left.shape and right.shape not in gates:
        yield (
            f"{node.name}: both operands must have one shape, or the right one (c,) or (c, 1, 1); {node.left} has "
            f"{left.shape}, {node.right} has {right.shape}"
        )


def of_the_neighbours(node: Concat, reads: Sequence[TensorInfo]) -> Iterator[str]:
    """They have one height and width."""
    for name, read in zip(node.inputs, reads, strict=True):
        if read.shape[1:] != reads[0].shape[1:] or len(read.shape) != len(reads[0].shape):
            yield (
                f"{node.name}: all inputs must have one height and width; {node.inputs[0]} has the shape "
                f"{reads[0].shape}, {name} has {read.shape}"
            )
            return


def of_the_lows(node: Concat, reads: Sequence[TensorInfo]) -> Iterator[str]:
    """Their windows begin at one integer; what has no valid integers is not looked at."""
    known = [(name, read) for name, read in zip(node.inputs, reads, strict=True) if read.high > read.low]
    for name, read in known:
        if read.low != known[0][1].low:
            yield (
                f"{node.name}: the windows of all inputs must begin at one low; {known[0][0]} begins at "
                f"{known[0][1].low}, {name} at {read.low}; requantize one of them"
            )
            return


def of_the_channels_there(node: Select, read: TensorInfo) -> Iterator[str]:
    """Yield channels that are not there."""
    wrong = [channel for channel in node.channels if not 0 <= channel < read.shape[0]]
    if wrong:
        yield f"{node.name}: channels must be 0..{read.shape[0] - 1} of {node.input}; got {wrong[0]}"


def of_the_entries(node: Lookup, read: TensorInfo) -> Iterator[str]:
    """There is one for each integer of what it reads."""
    if read.high > read.low and len(node.table) != read.high - read.low + 1:
        yield (
            f"{node.name}: the table must have {read.high - read.low + 1} codes, one for each of "
            f"{read.low}..{read.high} of {node.input}; got {len(node.table)}"
        )


def of_the_names(node: Concat | Sum) -> Iterator[str]:
    """There are some."""
    if not isinstance(node.inputs, tuple) or not 2 <= len(node.inputs) <= NODES:
        got = len(node.inputs) if isinstance(node.inputs, tuple) else repr(node.inputs)
        yield f"{node.name}: inputs must be a tuple of 2..{NODES} names; got {got}"
