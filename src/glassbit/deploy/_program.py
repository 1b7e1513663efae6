"""What a network does, as a list of steps in deployed arithmetic; the numbers stay in the network's modules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import assert_never

from glassbit import intgraph
from glassbit.intgraph import AveragePool, Flatten, Input, MaxPool, Multiply, Select, Subsample, SumPool

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
"""Rows above, columns on the left, rows below, columns on the right."""


@dataclass(frozen=True)
class Weighted:
    """A quantized convolution or linear layer: codes to accumulators.

    Args:
        name: of the layer in the network, and of its accumulators.
        input: the codes that it reads.
        layer: the module's name.
        stride, padding, dilation: of a convolution.
    """

    name: str
    input: str
    layer: str
    stride: Pair = (1, 1)
    padding: Pads = (0, 0, 0, 0)
    dilation: Pair = (1, 1)


@dataclass(frozen=True)
class Norm:
    """A BatchNorm, by the names of its tensors: `gain = weight / sqrt(var + eps), shift = bias - mean gain`.

    Args:
        mean, var: of the running statistics.
        weight, bias: of gamma and beta; empty for 1 and 0.
        eps: what is added to the variance.
    """

    mean: str
    var: str
    weight: str
    bias: str
    eps: float = field(repr=False)  # a forward that changes it is told so by the name of its layer


@dataclass(frozen=True)
class Constant:
    """`gain = factor / divisor, shift = term`.

    Args:
        factor, term: a number, or the name of a tensor with one value, or one per channel.
        divisor: a number.
    """

    factor: float | str = 1.0
    term: float | str = 0.0
    divisor: float = 1.0

    @property
    def keeps_codes(self) -> bool:
        """Whether codes with one step have one step afterwards."""
        return not isinstance(self.factor, str) and self.factor / self.divisor > 0 and self.term == 0


@dataclass(frozen=True)
class Affine:
    """Another meaning for the same integers, `gain_c value + shift_c`: nothing is computed.

    Args:
        name: of the tensor with the new meaning.
        input: the integers.
        by: where gain and shift come from.
    """

    name: str
    input: str
    by: Norm | Constant


@dataclass(frozen=True)
class Activate:
    """An activation quantizer: accumulators or codes to unsigned codes.

    Args:
        name: of the codes.
        input: what it reads.
        quantizer: the module's name.
    """

    name: str
    input: str
    quantizer: str


@dataclass(frozen=True)
class Operand:
    """Integers of any step to signed codes whose step is a power of two times a unit.

    Args:
        name: of the codes.
        input: what it reads.
        unit: the codes on the other side of a sum, whose step is the unit; None for a unit of 1.
        slot: where the network keeps j, for a step of unit 2^-j.
        bits: of the codes, -2^(bits-1)..2^(bits-1) - 1.
    """

    name: str
    input: str
    unit: str | None
    slot: int
    bits: int = 8

    @property
    def window(self) -> Pair:
        """The least and the largest code."""
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1


@dataclass(frozen=True)
class Clip:
    """Integers of any step to 8-bit codes between two values: `clip(x, least, most)`.

    Args:
        name: of the codes.
        input: what it reads.
        least, most: the values, least <= 0 <= most; 255 codes lie between them.
    """

    name: str
    input: str
    least: float
    most: float


@dataclass(frozen=True)
class Curve:
    """A function of each code, as a table.

    Args:
        name: of the codes.
        input: the codes that it reads.
        function: the name in `_curves.CURVES`.
        options: its numbers, by name.
        weight: the name of a tensor with its one parameter, or empty.
    """

    name: str
    input: str
    function: str
    options: tuple[tuple[str, float | str], ...] = ()
    weight: str = ""


@dataclass(frozen=True)
class Sum:
    """Tensors of codes, whose steps are powers of two apart, to accumulators."""

    name: str
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Join:
    """Codes side by side, along the channels; each part keeps its step.

    Args:
        name: of the codes.
        inputs: the parts.
        widths: channels of each.
    """

    name: str
    inputs: tuple[str, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True)
class Rescale:
    """Sums of codes to codes of 8 bits as large as they hold, unsigned where the sums are.

    Args:
        name: of the codes.
        input: the sums.
    """

    name: str
    input: str


@dataclass(frozen=True)
class Readout:
    """The accumulators of the last layer to logits.

    Args:
        name: of the logits.
        input: the accumulators; of a map, the sum counts.
        over: the number of pixels that logits are a mean of.
        classes: how many logits there are.
    """

    name: str
    input: str
    over: int
    classes: int


Pool = MaxPool | AveragePool | SumPool | Subsample | Flatten | Select | Multiply
"""Nodes without numbers of their own: as steps, with their integers and in the graph they are the same."""
Step = Input | Pool | Weighted | Affine | Activate | Operand | Clip | Curve | Sum | Join | Rescale | Readout


@dataclass(frozen=True)
class Program:
    """The steps of a network.

    Args:
        steps: each after those that it reads; first the image, last the logits.
        peaks: the largest absolute value of each `Operand` on the images that the network was traced with, by slot.
    """

    steps: tuple[Step, ...]
    peaks: tuple[float, ...]


def reads(step: Step) -> tuple[str, ...]:
    """Return the names of the tensors that a step reads."""
    match step:
        case Sum() | Join():
            return step.inputs
        case Multiply():
            return (step.left, step.right)
        case Weighted() | Affine() | Activate() | Operand() | Clip() | Curve() | Rescale() | Readout() | Select():
            return (step.input,)
        case Input() | MaxPool() | AveragePool() | SumPool() | Subsample() | Flatten():
            return intgraph.inputs(step)
        case _:
            assert_never(step)
