"""LSQ: a learned step size, for weights (signed) and for activations (unsigned)."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from jaxtyping import Float, Int32
from torch import Tensor, nn

from glassbit._arguments import is_real, require
from glassbit._errors import UsageError
from glassbit._inputs import check_dense
from glassbit.intgraph import Grid

from ._bits import FLOOR
from ._level import best_level
from ._quantizer import ActivationQuantizer, LearnedScale, Rounding, WeightQuantizer

_STEP_FLOOR = FLOOR / 255


class LSQ(WeightQuantizer):
    """Learned step size quantization of weights.

        w_q = s round(clip(w / s, -Q_N, Q_P)),    Q_N = 2^(k-1), Q_P = 2^(k-1) - 1

    Gradients: `dw_q/dw = 1` where `-Q_N < w/s < Q_P`, else 0; `dw_q/ds = round(w/s) - w/s` inside, -Q_N below and Q_P
    above, scaled by `1 / sqrt(n Q_P)`, n the number of weights.

    Args:
        bits: k, 2..8.
        step: the first step size s, > 0; `initialise_` sets it from the weights.

    Raises:
        UsageError: `bits` is not 2..8 or `step` is not positive.

    Esser et al. 2020, LSQ (arXiv 1902.08153), equations 1 to 3 and section 2.2.
    """

    grid: Grid = "signed"

    def __init__(self, bits: int, *, step: float = 1.0) -> None:
        super().__init__(bits)
        self.step = _parameter(step)

    @property
    def codes(self) -> tuple[int, int]:
        """The lowest and the highest integer code, -Q_N and Q_P."""
        return -(2 ** (self.bits - 1)), 2 ** (self.bits - 1) - 1

    @torch.no_grad()
    def initialise_(self, weight: Float[Tensor, "..."]) -> None:
        """Set the step to the paper's start, `2 E|w| / sqrt(Q_P)`; zeros, and weights that are not all finite, leave it
        as it is.
        """
        check_dense("LSQ", weight, name="weight")
        if weight.is_meta and not self.step.is_meta:
            raise UsageError("LSQ: weight must hold values; got a tensor on the meta device; pass one with values")
        start = 2 * weight.detach().float().abs().mean() / math.sqrt(self.codes[1])
        self.step.copy_(torch.where((start > 0) & start.isfinite(), start, self.step))

    def scale(self, w: Float[Tensor, "..."] | None = None) -> Float[Tensor, ""]:
        """Return the value of one code step; `w` is not looked at."""
        return _scale(self.step)

    def to_int(self, w: Float[Tensor, "..."]) -> Int32[Tensor, "..."]:
        """Return the codes of `w`, so that `forward(w) == scale() * to_int(w)`."""
        return _codes(w, self.step, self.codes)

    def quantize(self, w: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the quantized values of `w`."""
        return _quantized(w, self.step, self.codes, features=w.numel())

    def extra_repr(self) -> str:
        """Return the settings, as the checkpoints of runs have them."""
        return f"bits={self.bits}, signed=True"


class LSQActivation(ActivationQuantizer):
    """Learned step size quantization of activations: `LSQ` with Q_N = 0, Q_P = 2^k - 1, and n the number of features of
    one sample.

    Args:
        bits: k, 2..8.
        step: the first step size s, > 0.

    Raises:
        UsageError: `bits` is not 2..8 or `step` is not positive.

    Esser et al. 2020, LSQ (arXiv 1902.08153), equations 1 to 3 and section 2.2.
    """

    def __init__(self, bits: int, *, step: float = 1.0) -> None:
        super().__init__(bits)
        self.step = _parameter(step)

    @property
    def level(self) -> Float[Tensor, ""]:
        """The clipping level, `s Q_P`."""
        return self.step.detach() * self.codes[1]

    @property
    def learned(self) -> LearnedScale:
        """The step; in integer arithmetic its gradient is that of `quantize`."""
        return LearnedScale(self.step, self._gradient_of_codes)

    @torch.no_grad()
    def set_level_(self, level: float) -> None:
        """Set the step, so that the highest code has this value."""
        self.step.fill_(level / self.codes[1])

    def calibrate_(self, x: Float[Tensor, " n"]) -> None:
        """Set the step for the level with the least squared error."""
        self.set_level_(best_level(x, self.codes[1]))

    def scale(self, x: Float[Tensor, "..."] | None = None) -> Float[Tensor, ""]:
        """Return the value of one code step; `x` is not looked at."""
        return _scale(self.step)

    def to_int(self, x: Float[Tensor, "..."]) -> Int32[Tensor, "..."]:
        """Return the codes of `x`, so that `forward(x) == scale() * to_int(x)`."""
        return _codes(x, self.step, self.codes)

    def quantize(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the quantized values of `x`."""
        return _quantized(x, self.step, self.codes, features=x.numel() if x.dim() < 2 else x[0].numel())

    def extra_repr(self) -> str:
        """Return the settings, as the checkpoints of runs have them."""
        return f"bits={self.bits}, signed=False"

    def _get_name(self) -> str:
        """Return what `print(module)` and the checkpoints of runs call it."""
        return "LSQ"

    def _gradient_of_codes(self, grad: Tensor, rounding: Rounding) -> Tensor:
        low, high = self.codes
        clipped = rounding.ratio.clamp(low, high)
        slope = torch.where(rounding.inside, clipped.round() - rounding.ratio, clipped)
        features = max(rounding.ratio[0].numel(), 1)
        root: float = (features * high) ** 0.5
        return (grad * slope).sum() * rounding.per_code / root


def _parameter(step: float) -> nn.Parameter:
    holds = is_real(step, 0) and step > 0
    require("LSQ", "step", holds, "a positive number", step, "the default is 1.0")
    return nn.Parameter(torch.tensor(float(step)))


def _scale(step: Tensor) -> Tensor:
    return step.detach().clamp(min=_STEP_FLOOR)


def _codes(v: Tensor, step: Tensor, codes: tuple[int, int]) -> Tensor:
    check_dense("LSQ", v, name="values")
    return (v.detach() / _scale(step)).clamp(*codes).round().to(torch.int32)


def _quantized(v: Tensor, step: Tensor, codes: tuple[int, int], *, features: int) -> Tensor:
    low, high = codes
    return cast(Tensor, _LSQ.apply(v, step, low, high, 1 / math.sqrt(max(features, 1) * high)))  # type: ignore[no-untyped-call]


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
