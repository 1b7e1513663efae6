"""DoReFa: weights through tanh to 2^k evenly spaced values in [-1, 1]."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from glassbit._errors import UsageError
from glassbit._inputs import check_dense
from glassbit.intgraph import Grid

from ._quantizer import WeightQuantizer

_TINY = 1e-12


class DoReFa(WeightQuantizer):
    """DoReFa weight quantizer: the scale is that of the grid, not of the weights.

        w_k = 2 quantize_k(tanh(w) / (2 max|tanh(w)|) + 1/2) - 1,    quantize_k(r) = round((2^k - 1) r) / (2^k - 1)

    The gradient is straight through `quantize_k` alone; tanh and the maximum are differentiated. The grid has no zero,
    so codes 0..2^k - 1 need the offset -(2^k - 1)/2. Outputs always span [-1, 1]: a network without BatchNorm behind
    its layers wants `SAWB` or `LSQ`, which keep the size of the weights.

    Args:
        bits: k, 2..8.

    Raises:
        UsageError: `bits` is not 2..8.

    Zhou et al. 2016, DoReFa-Net (arXiv 1606.06160), equations 5 and 9.
    """

    grid: Grid = "odd"

    @property
    def codes(self) -> tuple[int, int]:
        """The lowest and the highest integer code."""
        return 0, 2**self.bits - 1

    def scale(self, w: Float[Tensor, "..."] | None = None) -> Float[Tensor, ""]:
        """Return the value of one code step, `2 / (2^k - 1)`; `w` is not looked at."""
        return torch.tensor(2 / (2**self.bits - 1))

    def to_int(self, w: Float[Tensor, "..."]) -> Int32[Tensor, "..."]:
        """Return the codes of `w`, 0..2^k - 1, so that `forward(w) == scale() * (to_int(w) + offset)`."""
        check_dense("DoReFa", w, name="w")
        return _codes(w.detach(), 2**self.bits - 1).to(torch.int32)

    def initialise_(self, weight: Float[Tensor, "..."]) -> None:
        """Nothing is learned."""

    def quantize(self, w: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the quantized values of `w`."""
        return cast(Tensor, _DoReFa.apply(w, 2**self.bits - 1))  # type: ignore[no-untyped-call]


def _codes(w: Tensor, levels: int) -> Tensor:
    if not w.numel():
        raise UsageError("DoReFa: w must hold at least one weight; got none; pass the weight of a layer")
    squashed = w.tanh()
    largest = squashed.abs().amax().clamp(min=_TINY)
    return (squashed / (2 * largest) + 0.5).mul(levels).round()


class _DoReFa(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(w: Tensor, levels: int) -> Tensor:
        return (_codes(w, levels) - levels / 2).mul(2 / levels)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (w,) = ctx.saved_tensors
        squashed = w.tanh()
        size = squashed.abs()
        largest = size.amax().clamp(min=_TINY)
        is_largest = (size == largest).to(grad.dtype)
        through_max = (
            (grad * squashed).sum() / largest.square() * squashed.sign() * is_largest / is_largest.sum().clamp(min=1)
        )
        return (grad / largest - through_max) * (1 - squashed.square()), None
