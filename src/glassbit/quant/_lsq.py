"""LSQ: a learned step size, for weights (signed) and activations (unsigned)."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from jaxtyping import Float, Int32
from torch import Tensor, nn

from glassbit._arguments import is_real, require

from ._bits import FLOOR, check_bits
from ._sites import count_call

_STEP_FLOOR = FLOOR / 255


class LSQ(nn.Module):
    """Learned step size quantization.

        v_q = s round(clip(v / s, -Q_N, Q_P))

    with Q_N = 2^(k-1), Q_P = 2^(k-1) - 1 for signed values (weights) and Q_N = 0, Q_P = 2^k - 1 for unsigned ones
    (activations). Gradients: `dv_q/dv = 1` where `-Q_N < v/s < Q_P`, else 0; `dv_q/ds = round(v/s) - v/s` inside, -Q_N
    below and Q_P above, scaled by `1 / sqrt(n Q_P)`, n the number of weights, or of features of one sample for
    activations.

    Args:
        bits: k, 2..8.
        signed: True for weights, False for activations.
        step: the first step size s, > 0; `initialise_` sets it from data.

    Raises:
        UsageError: `bits` is not 2..8 or `step` is not positive.

    Esser et al. 2020, LSQ (arXiv 1902.08153), equations 1 to 3 and section 2.2.
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

    def __init__(self, bits: int, *, signed: bool = True, step: float = 1.0) -> None:
        super().__init__()
        self.bits = check_bits("LSQ", bits)
        self.signed = signed
        holds = is_real(step, 0) and step > 0
        require("LSQ", "step", holds, "a positive number", step, "the default is 1.0")
        self.step = nn.Parameter(torch.tensor(float(step)))

    @property
    def codes(self) -> tuple[int, int]:
        """The lowest and the highest integer code, -Q_N and Q_P."""
        return (-(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1) if self.signed else (0, 2**self.bits - 1)

    @torch.no_grad()
    def initialise_(self, v: Float[Tensor, "..."]) -> None:
        """Set the step to the paper's start, `2 E|v| / sqrt(Q_P)`; zeros leave it as it is."""
        start = 2 * v.detach().float().abs().mean() / math.sqrt(self.codes[1])
        self.step.copy_(torch.where(start > 0, start, self.step))

    def scale(self, v: Float[Tensor, "..."] | None = None) -> Float[Tensor, ""]:
        """The value of one code step; `v` is not looked at."""
        return self.step.detach().clamp(min=_STEP_FLOOR)

    def to_int(self, v: Float[Tensor, "..."]) -> Int32[Tensor, "..."]:
        """The codes of `v`, so that `forward(v) == scale() * to_int(v)`."""
        return (v.detach() / self.scale()).clamp(*self.codes).round().to(torch.int32)

    def forward(self, v: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Values of any shape to their quantized values of the same shape."""
        if self.placed:
            count_call(self, self.placed)
        low, high = self.codes
        features = v.numel() if self.signed or v.dim() < 2 else v[0].numel()
        return cast(Tensor, _LSQ.apply(v, self.step, low, high, 1 / math.sqrt(max(features, 1) * high)))  # type: ignore[no-untyped-call]

    def extra_repr(self) -> str:
        """The settings, for `print(module)`."""
        return f"bits={self.bits}, signed={self.signed}"


class _LSQ(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(v: Tensor, step: Tensor, low: int, high: int, gradient_scale: float) -> Tensor:
        size = step.clamp(min=_STEP_FLOOR)
        return (v / size).clamp(low, high).round().mul(size).to(v.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int, int, float], output: Tensor) -> None:
        v, step, ctx.low, ctx.high, ctx.gradient_scale = inputs
        ctx.save_for_backward(v, step)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        v, step = ctx.saved_tensors
        ratio = (v / step.clamp(min=_STEP_FLOOR)).detach()
        inside = (ratio > ctx.low) & (ratio < ctx.high)
        clipped = ratio.clamp(ctx.low, ctx.high)
        slope = torch.where(inside, clipped.round() - ratio, clipped)
        grad_step = (grad * slope).sum(dtype=torch.promote_types(step.dtype, torch.float32)) * ctx.gradient_scale
        return torch.where(inside, grad, 0.0), grad_step.to(step.dtype), None, None, None
