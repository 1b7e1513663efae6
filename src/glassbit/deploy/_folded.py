"""The steps of a program with their integers, and what the integers stand for."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Float64, Int64
from torch import Tensor

from glassbit.intgraph import AveragePool, Flatten, Grid, Input, MaxPool, Subsample, SumPool

from ._ops import Learned, Requantizer
from ._program import Activate, Operand, Readout, Rescale, Sum, Weighted, reads


@dataclass(frozen=True, eq=False)
class Scale:
    """What the integers of a tensor stand for: `value = step gain_c integer + shift_c`.

    Args:
        step: float64, a constant of the gradient.
        low, high: bounds of codes, before the zero is taken off; of accumulators not used.
        gain, shift: float64, one a channel, with the gradient of the parameters; None is 1 and 0.
    """

    step: Float64[Tensor, ""]
    low: int = 0
    high: int = 0
    gain: Float64[Tensor, " c"] | None = None
    shift: Float64[Tensor, " c"] | None = None


@dataclass(frozen=True, eq=False)
class FoldedLayer:
    """A `Weighted` step with its integers.

    Args:
        step: the step.
        weights: W, signs of BatchNorm's gammas included, straight through to the parameters.
        bits, grid: of the weights, see `intgraph.Weights`.
        zero: the code of the input that counts as zero.
        groups: of a convolution.
        bound: the largest absolute value that any partial sum of accumulators can have.
    """

    step: Weighted
    weights: Float[Tensor, "o ..."]
    bits: int
    grid: Grid
    zero: int
    groups: int
    bound: int

    @property
    def name(self) -> str:
        """Of the accumulators."""
        return self.step.name


@dataclass(frozen=True, eq=False)
class FoldedRequantizer:
    """An `Activate`, `Operand` or `Rescale` step with its integers, and what their gradients need."""

    step: Activate | Operand | Rescale
    bias: Int64[Tensor, " c"]
    multiplier: Int64[Tensor, " c"]
    exponent: Int64[Tensor, " c"]
    numbers: Requantizer
    learned: Learned
    gain: Tensor | None
    shift: Tensor | None
    level: Tensor | None

    @property
    def name(self) -> str:
        """Of the codes."""
        return self.step.name


@dataclass(frozen=True, eq=False)
class FoldedSum:
    """A `Sum` step with its shifts."""

    step: Sum
    left_shift: Int64[Tensor, ""]
    right_shift: Int64[Tensor, ""]

    @property
    def name(self) -> str:
        """Of the sum."""
        return self.step.name


@dataclass(frozen=True, eq=False)
class FoldedReadout:
    """A `Readout` step with its bias and scale, and what their gradients need."""

    step: Readout
    bias: Int64[Tensor, " k"]
    scale: Float[Tensor, " k"]
    gain: Tensor
    shift: Tensor
    unit: Tensor

    @property
    def name(self) -> str:
        """Of the logits."""
        return self.step.name


Folded = (
    Input
    | MaxPool
    | AveragePool
    | SumPool
    | Subsample
    | Flatten
    | FoldedLayer
    | FoldedRequantizer
    | FoldedSum
    | FoldedReadout
)


def read_by(step: Folded) -> tuple[str, ...]:
    """The names of the tensors that a step with its integers reads."""
    if isinstance(step, Input | MaxPool | AveragePool | SumPool | Subsample | Flatten):
        return reads(step)
    return reads(step.step)
