"""The contract of a quantizer: all that conversion, training and integer arithmetic ask of one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int32
from torch import Tensor, nn

from glassbit._inputs import check_dense
from glassbit.intgraph import Grid

from ._bits import check_bits
from ._sites import count_call, unseen


class Quantizer(nn.Module, ABC):
    """Values to evenly spaced ones that have integer codes.

        forward(x) == scale(x) * (to_int(x) + offset)    exactly

    Its parameters are what it learns. They train in a group of their own.

    Args:
        bits: k.
        allowed: the values of k that it takes.

    Raises:
        UsageError: `bits` is not one of them.
    """

    decays: bool = False
    """Whether weight decay pulls on what it learns."""

    def __init__(self, bits: int, allowed: Collection[int] = range(2, 9)) -> None:
        super().__init__()
        self.bits = check_bits(self._get_name(), bits, allowed)

    @abstractmethod
    def quantize(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the quantized values of `x`, with the gradients of the paper."""

    @abstractmethod
    def to_int(self, x: Float[Tensor, "..."]) -> Int32[Tensor, "..."]:
        """Return the codes of `x`; no gradient. NaN has no code: which one it gets is not defined, and it is looked for
        where values come in (`calibrate_`, `lower`, the objectives), not here, where looking would wait for a device.
        """

    @abstractmethod
    def scale(self, x: Float[Tensor, "..."]) -> Float[Tensor, ""]:
        """Return the value of one code step for the values `x`; no gradient."""

    def extra_repr(self) -> str:
        """Return the settings, for `print(module)` and for the checkpoints of a run."""
        return f"bits={self.bits}"

    def _get_name(self) -> str:
        """Return the name, for the same; torch calls it so."""
        return type(self).__name__


class WeightQuantizer(Quantizer):
    """A quantizer of the weights of one layer. A plan makes it from its bits alone, and hands it the weights."""

    @property
    @abstractmethod
    def codes(self) -> tuple[int, int]:
        """The lowest and the highest integer code."""

    @property
    @abstractmethod
    def grid(self) -> Grid:
        """What the codes are in the integer network.

        signed   codes -2^(k-1)..2^(k-1) - 1, with zero
        odd      codes 0..2^k - 1 and the offset -(2^k - 1)/2: symmetric, without zero
        """

    @abstractmethod
    def initialise_(self, weight: Float[Tensor, "..."]) -> None:
        """Start what is learned from weights, pretrained or just drawn; nothing where the weights give the scale."""

    @property
    def offset(self) -> float:
        """What is added to a code before scaling."""
        return -(2**self.bits - 1) / 2 if self.grid == "odd" else 0.0

    @property
    def fits_int8(self) -> bool:
        """Whether the integers of the network, which are odd numbers on the odd grid, fit int8."""
        return self.grid == "signed" or self.bits < 8

    def forward(self, w: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Weights of any shape to their quantized values of the same shape."""
        check_dense(self._get_name(), w, name="w")
        return unseen(self.quantize, w)


@dataclass(frozen=True, eq=False)
class Rounding:
    """How integer arithmetic made the codes of an activation: what the gradient of a learned scale is made of.

    Args:
        ratio: the values in code steps, before they are rounded and clipped.
        inside: where nothing is clipped.
        above: where the highest code clips.
        per_code: codes per unit of value, 1 / scale.
    """

    ratio: Float[Tensor, "n ..."]
    inside: Bool[Tensor, "n ..."]
    above: Bool[Tensor, "n ..."]
    per_code: Float[Tensor, ""]


ScaleGradient = Callable[[Tensor, Rounding], Tensor]
"""From the gradient of the codes to that of what is learned."""


@dataclass(frozen=True, eq=False)
class LearnedScale:
    """What moves the scale of an activation quantizer in training.

    Args:
        parameter: the parameter.
        gradient: its gradient in integer arithmetic: that of `quantize`, where something else rounds.
    """

    parameter: nn.Parameter
    gradient: ScaleGradient


class ActivationQuantizer(Quantizer):
    """A quantizer of activations, in the place of one call of a ReLU: codes 0..2^k - 1 of values 0..level.

    A plan makes it from its bits alone, sets its level, and may calibrate it.
    """

    offset = 0.0
    replaced: tuple[nn.Module, ...] = ()
    """The activation that `quantize_` put this quantizer in the place of, unregistered; empty when it was built by
    hand.
    """
    placed = ""
    """The name of the one call that it belongs to, in the network that `quantize_` converted; a second call in one
    forward pass of that network is refused.
    """

    @property
    @abstractmethod
    def level(self) -> Float[Tensor, ""]:
        """The clipping level: the value of the highest code."""

    @property
    @abstractmethod
    def learned(self) -> LearnedScale | None:
        """What moves the level in training; None where it is fixed."""

    @abstractmethod
    def scale(self, x: Float[Tensor, "..."] | None = None) -> Float[Tensor, ""]:
        """Return the value of one code step, which is the same for all `x`; no gradient."""

    @abstractmethod
    def set_level_(self, level: float) -> None:
        """Start at a clipping level; nothing where it is fixed."""

    @abstractmethod
    def calibrate_(self, x: Float[Tensor, " n"]) -> None:
        """Choose the level from activations; `best_level` has the one with the least squared error.

        Args:
            x: a sample of what the quantizer reads, clipped to 0..ceiling; the largest is positive and finite.
        """

    @property
    def codes(self) -> tuple[int, int]:
        """The lowest and the highest integer code."""
        return 0, 2**self.bits - 1

    def forward(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Activations of any shape to their quantized values of the same shape."""
        check_dense(self._get_name(), x)
        if self.placed:
            count_call(self, self.placed)
        return unseen(self.quantize, x)
