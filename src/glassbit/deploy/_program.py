"""What a network does, as a list of steps in deployed arithmetic; the numbers stay in the network's modules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from glassbit import intgraph
from glassbit.intgraph import AveragePool, Flatten, Input, MaxPool, Subsample, SumPool

Pair = tuple[int, int]


@dataclass(frozen=True)
class Weighted:
    """A quantized convolution or linear layer and the BatchNorm behind it: codes to accumulators.

    Args:
        name: of the layer in the network, and of its accumulators.
        input: the codes that it reads.
        layer: the module's name.
        norm: the BatchNorm's name, or None.
        stride, padding: of a convolution.
    """

    name: str
    input: str
    layer: str
    norm: str | None = None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)


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
    """Accumulators, or codes with another step, to the signed 8-bit codes of one side of a sum.

    Args:
        name: of the codes.
        input: what it reads.
        unit: the codes on the other side, whose step is the unit; None where both sides are such operands, and the unit
            is 1.
        slot: where the network keeps j, for a step of unit 2^-j.
    """

    name: str
    input: str
    unit: str | None
    slot: int


@dataclass(frozen=True)
class Sum:
    """Two tensors of codes, whose steps are a power of two apart, to accumulators."""

    name: str
    left: str
    right: str


@dataclass(frozen=True)
class Rescale:
    """The sums of an average pool to unsigned 8-bit codes.

    Args:
        name: of the codes.
        input: the sums.
        divisor: what makes means of them.
    """

    name: str
    input: str
    divisor: int


@dataclass(frozen=True)
class Readout:
    """The accumulators of the last layer to logits."""

    name: str
    input: str


Pool = MaxPool | AveragePool | SumPool | Subsample | Flatten
"""Nodes without numbers of their own: as steps, with their integers and in the graph they are the same."""
Step = Input | Pool | Weighted | Activate | Operand | Sum | Rescale | Readout


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
        case Sum():
            return (step.left, step.right)
        case Weighted() | Activate() | Operand() | Rescale() | Readout():
            return (step.input,)
        case Input() | MaxPool() | AveragePool() | SumPool() | Subsample() | Flatten():
            return intgraph.inputs(step)
        case _:
            assert_never(step)
