"""SAWB: weights clipped at a level read off their own statistics."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from glassbit._errors import UsageError
from glassbit._inputs import check_dense
from glassbit.intgraph import Grid

from ._quantizer import WeightQuantizer

_COEFFICIENTS = {2: (3.12, -2.064), 3: (7.509, -6.892), 4: (12.68, -12.80), 5: (17.74, -18.64), 8: (31.76, -35.04)}
_TINY = 1e-12
_HUGE = torch.finfo(torch.float32).max / 2


class SAWB(WeightQuantizer):
    """Statistics-aware weight binning: a symmetric uniform grid whose clipping level follows the first two moments of
    the weights.

        c   = c0 sqrt(E[w^2]) + c1 E|w|,   max|w| where that is not positive; at 8 bits never below max|w|
        w_q = s (code + offset),           s = 2c/3, offset -3/2 at 2 bits (values -c, -c/3, c/3, c); s = c/(2^(k-1) -
        1), offset 0 above

    Above 2 bits the grid is aligned to zero and has 2^k - 1 values, so that 8-bit codes fit int8 symmetrically. At 8
    bits the published coefficients cut 20 % of uniform weights off; all weights are covered instead. Networks that were
    saved before that (version 1 of the state) keep the c that they had.
    Straight through: `dw_q/dw = 1` everywhere, the clipping level counted as constant.

    Args:
        bits: k; the published coefficients exist for 2, 3, 4, 5 and 8.

    Raises:
        UsageError: `bits` is another number.

    Choi et al. 2018 (arXiv 1807.06964), section 3; zero alignment and the floor of c at 8 bits are our choices.
    """

    _version = 2

    def __init__(self, bits: int) -> None:
        super().__init__(bits, _COEFFICIENTS)

    @property
    def covers(self) -> bool:
        """Whether c is never below max|w|."""
        return self.bits == 8 and self._version > 1

    @property
    def codes(self) -> tuple[int, int]:
        """The lowest and the highest integer code."""
        return (0, 3) if self.bits == 2 else (-_half(self.bits), _half(self.bits))

    @property
    def grid(self) -> Grid:
        """Odd at 2 bits, with zero above."""
        return "odd" if self.bits == 2 else "signed"

    def scale(self, w: Float[Tensor, "..."]) -> Float[Tensor, ""]:
        """Return the value of one code step for the weights `w`."""
        check_dense("SAWB", w, name="w")
        return _scale(w.detach(), self.bits, self.covers)

    def to_int(self, w: Float[Tensor, "..."]) -> Int32[Tensor, "..."]:
        """Return the codes of `w`, so that `forward(w) == scale(w) * (to_int(w) + offset)`."""
        check_dense("SAWB", w, name="w")
        return _codes(w.detach(), self.scale(w), self.bits).to(torch.int32)

    def initialise_(self, weight: Float[Tensor, "..."]) -> None:
        """Nothing is learned."""

    def quantize(self, w: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the quantized values of `w`."""
        return cast(Tensor, _SAWB.apply(w, self.bits, self.covers))  # type: ignore[no-untyped-call]

    def extra_repr(self) -> str:
        """Return the settings, for `print(module)`."""
        return f"bits={self.bits}" if self._version > 1 or self.bits < 8 else f"bits={self.bits}, covers=False"

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, metadata: dict[str, Any], *rest: Any) -> None:
        if metadata.get("version") == 1:  # a float network has no version here, and is new
            self._version = 1
        super()._load_from_state_dict(state, prefix, metadata, *rest)


def _half(bits: int) -> int:
    return int(2 ** (bits - 1)) - 1


def _scale(w: Tensor, bits: int, covers: bool) -> Tensor:
    if not w.numel():
        raise UsageError("SAWB: w must hold at least one weight; got none; pass the weight of a layer")
    c0, c1 = _COEFFICIENTS[bits]
    size = w.float().abs()
    largest = size.amax().clamp(min=_TINY)
    unit = size / largest  # keeps the squares of huge and of subnormal weights finite
    clip = (c0 * unit.square().mean().sqrt() + c1 * unit.mean()) * largest
    clip = torch.where(clip > 0, clip, largest)
    clip = (clip.maximum(largest) if covers else clip).clamp(max=_HUGE)
    return (clip * (2 / 3) if bits == 2 else clip / _half(bits)).to(w.dtype)


def _codes(w: Tensor, scale: Tensor, bits: int) -> Tensor:
    if bits == 2:
        return (w / scale + 1.5).round().clamp(0, 3)
    return (w / scale).round().clamp(-_half(bits), _half(bits))


class _SAWB(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(w: Tensor, bits: int, covers: bool) -> Tensor:
        scale = _scale(w, bits, covers)
        codes = _codes(w, scale, bits)
        return (codes - 1.5).mul(scale) if bits == 2 else codes.mul(scale)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, bool], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad, None, None
