"""The steps of a program with their integers, and what the integers stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from jaxtyping import Float, Float64, Int64
from torch import Tensor

from glassbit.intgraph import Grid, Input

from ._ops import Learned, Requantizer
from ._program import Activate, Affine, Clip, Curve, Join, Operand, Pool, Readout, Rescale, Sum, Weighted, reads

_Step = TypeVar("_Step", bound=Weighted | Activate | Operand | Clip | Curve | Rescale | Sum | Readout)


@dataclass(frozen=True, eq=False)
class Scale:
    """What the integers of a tensor stand for: `value = step gain_c integer + shift_c`.

    Args:
        step: float64, a constant of the gradient.
        low, high: bounds of codes, before the zero is taken off, and of sums of them; of other accumulators not used.
        gain, shift: float64, one per channel, with the gradient of the parameters; None is 1 and 0.
    """

    step: Float64[Tensor, ""]
    low: int = 0
    high: int = 0
    gain: Float64[Tensor, " c"] | None = None
    shift: Float64[Tensor, " c"] | None = None


@dataclass(frozen=True, eq=False)
class _FoldedStep(Generic[_Step]):
    """A step with its integers.

    Args:
        step: the step.
    """

    step: _Step

    @property
    def name(self) -> str:
        """Of the tensor that it makes."""
        return self.step.name


@dataclass(frozen=True, eq=False)
class FoldedLayer(_FoldedStep[Weighted]):
    """A `Weighted` step with its integers.

    Args:
        weights: W, straight through to the parameters.
        bits, grid: of the weights, see `intgraph.Weights`.
        zero: the code of the input that counts as zero.
        groups: of a convolution.
        bound: the largest absolute value that any partial sum of accumulators can have.
    """

    weights: Float[Tensor, "o ..."]
    bits: int
    grid: Grid
    zero: int
    groups: int
    bound: int


@dataclass(frozen=True, eq=False)
class FoldedRequantizer(_FoldedStep[Activate | Operand | Clip | Rescale]):
    """An `Activate`, `Operand`, `Clip` or `Rescale` step with its integers, and what their gradients need."""

    bias: Int64[Tensor, " c"]
    multiplier: Int64[Tensor, " c"]
    exponent: Int64[Tensor, " c"]
    numbers: Requantizer
    learned: Learned
    gain: Tensor | None
    shift: Tensor | None
    level: Tensor | None


@dataclass(frozen=True, eq=False)
class FoldedSum(_FoldedStep[Sum]):
    """A `Sum` step with its shifts."""

    shifts: tuple[Int64[Tensor, ""], ...]


@dataclass(frozen=True, eq=False)
class FoldedCurve(_FoldedStep[Curve]):
    """A `Curve` step with its table.

    Args:
        table: the code of each code read, from `low` on.
        slopes: by how much it changes per code read.
        low: the least code read.
        window: the least and the largest code made.
    """

    table: Float[Tensor, " t"]
    slopes: Float[Tensor, " t"]
    low: int
    window: tuple[int, int]


@dataclass(frozen=True, eq=False)
class FoldedReadout(_FoldedStep[Readout]):
    """A `Readout` step with its bias and scale, and what their gradients need."""

    bias: Int64[Tensor, " k"]
    scale: Float[Tensor, " k"]
    gain: Tensor | None
    shift: Tensor | None
    unit: Tensor


Folded = Input | Pool | Affine | Join | FoldedLayer | FoldedRequantizer | FoldedSum | FoldedCurve | FoldedReadout


def read_by(step: Folded) -> tuple[str, ...]:
    """Return the names of the tensors that a step with its integers reads."""
    return reads(step.step if isinstance(step, _FoldedStep) else step)
