"""PACT: activations clipped at a learned level and rounded to k bits."""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float, Int32
from torch import Tensor, nn

from glassbit._arguments import is_real, require
from glassbit._inputs import check_dense

from ._bits import FLOOR
from ._level import best_level
from ._quantizer import ActivationQuantizer, LearnedScale, Rounding

_FUSED = (torch.float32, torch.bfloat16)


class PACT(ActivationQuantizer, nn.ReLU):
    """Parameterized clipping activation: a ReLU with a learned ceiling `alpha` and 2^k evenly spaced output values.

        y   = clip(x, 0, alpha)
        y_q = round(y (2^k - 1) / alpha) alpha / (2^k - 1)

    Straight-through gradients: `dy_q/dx = 1` where `0 < x < alpha`, else 0; `dy_q/dalpha = 1` where `x >= alpha`, else
    0, so nothing inside the range reaches `alpha`. An `alpha` below 0.001 acts as 0.001 and still receives its
    gradient.

    Args:
        bits: k, 2..8.
        alpha: the first clipping level, > 0, in units of the activation.

    Raises:
        UsageError: `bits` is not 2..8 or `alpha` is not positive.

    Example:
        >>> import torch
        >>> PACT(2, alpha=3.0)(torch.tensor([-1.0, 0.4, 1.6, 9.0])).tolist()
        [0.0, 0.0, 2.0, 3.0]

    Choi et al. 2018, PACT (arXiv 1805.06085), equations 1 to 3.
    """

    decays = True

    def __init__(self, bits: int, *, alpha: float = 10.0) -> None:
        super().__init__(bits)
        holds = is_real(alpha, 0) and alpha > 0
        require("PACT", "alpha", holds, "a positive number", alpha, "the default is 10.0")
        self.alpha = nn.Parameter(torch.tensor(float(alpha)))

    @property
    def level(self) -> Float[Tensor, ""]:
        """The clipping level, `alpha`."""
        return self.alpha.detach()

    @property
    def learned(self) -> LearnedScale:
        """`alpha`, which integer arithmetic gives `sum g / scale` where the highest code clips."""
        return LearnedScale(self.alpha, _gradient_of_codes)

    @torch.no_grad()
    def set_level_(self, level: float) -> None:
        """Set `alpha`."""
        self.alpha.fill_(level)

    def calibrate_(self, x: Float[Tensor, " n"]) -> None:
        """Set `alpha` to the level with the least squared error."""
        self.set_level_(best_level(x, self.codes[1]))

    def scale(self, x: Float[Tensor, "..."] | None = None) -> Float[Tensor, ""]:
        """Return the value of one code step, `alpha / (2^k - 1)`; `x` is not looked at."""
        return _step(self.alpha.detach().clamp(min=FLOOR), 2**self.bits - 1)

    def to_int(self, x: Float[Tensor, "..."]) -> Int32[Tensor, "..."]:
        """Return the codes of `x`, 0..2^k - 1, so that `forward(x) == scale() * to_int(x)`."""
        check_dense("PACT", x, name="x")
        return _round(x.detach(), _bound(self.alpha), 2**self.bits - 1).to(torch.int32)

    def quantize(self, x: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Return the quantized values of `x`."""
        return cast(Tensor, _PACT.apply(x, self.alpha, 2**self.bits - 1))  # type: ignore[no-untyped-call]


def _gradient_of_codes(grad: Tensor, rounding: Rounding) -> Tensor:
    return torch.where(rounding.above, grad, 0.0).sum() * rounding.per_code


def _round(x: Tensor, alpha: Tensor | float, levels: int) -> Tensor:
    if isinstance(alpha, Tensor):
        return torch.minimum(x.relu(), alpha.to(x.dtype)).mul(torch.full_like(alpha, levels) / alpha).round()
    return x.clamp(0.0, alpha).mul_(levels / alpha).round_()


def _step(alpha: Tensor, levels: int) -> Tensor:
    """`alpha / levels`, rounded once on every device; dividing by a number may multiply by its rounded inverse."""
    return alpha / torch.full_like(alpha, levels)


def _bound(alpha: Tensor) -> Tensor | float:
    """Return the clipping level: a number if reading it is free, else a tensor (no synchronisation, traceable)."""
    if alpha.is_cpu and not _traced():
        return max(alpha.item(), FLOOR)
    return alpha.detach().clamp(min=FLOOR)


def _traced() -> bool:
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


def _laid_out_as(x: Tensor, grad: Tensor) -> Tensor:
    """`grad` in the memory layout of `x`. What comes back from a pooling layer has the other one, and a residual
    network would hand that down through all of its sums, at a third of the speed.
    """
    if x.dim() != 4 or grad.stride() == x.stride() or _traced():
        return grad
    last = x.is_contiguous(memory_format=torch.channels_last)
    return grad.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)


class _PACT(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, alpha: Tensor, levels: int) -> Tensor:
        bound = _bound(alpha)
        codes = _round(x, bound, levels)
        return codes.mul(_step(bound, levels)) if isinstance(bound, Tensor) else codes.mul_(bound / levels)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        x, alpha, _ = inputs
        ctx.save_for_backward(x, alpha)
        ctx.save_for_forward(x, alpha)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, alpha = ctx.saved_tensors
        bound = _bound(alpha)
        grad = _laid_out_as(x, grad)
        grad_alpha = _at_bound(grad, x, alpha, bound) if _asks_for_alpha(ctx) else None
        return _inside(grad, x, bound), grad_alpha, None

    @staticmethod
    def jvp(ctx: Any, x_tangent: Tensor, alpha_tangent: Tensor, _: None) -> Tensor:
        x, alpha = ctx.saved_tensors
        bound = _bound(alpha)
        return _inside(x_tangent, x, bound) + torch.where(x >= bound, alpha_tangent, torch.zeros_like(alpha_tangent))


def _inside(grad: Tensor, x: Tensor, bound: Tensor | float) -> Tensor:
    """`grad` where `0 < x < bound`, else 0."""
    if isinstance(bound, Tensor):
        return torch.where((x > 0) & (x < bound), grad, 0.0)
    return cast(Tensor, torch.ops.aten.hardtanh_backward(grad, x, 0.0, bound))


def _at_bound(grad: Tensor, x: Tensor, alpha: Tensor, bound: Tensor | float) -> Tensor:
    """Return the sum of `grad` where `x >= bound`."""
    if isinstance(bound, Tensor) or grad.requires_grad or grad.dtype not in _FUSED or x.dtype != grad.dtype:
        precision = torch.promote_types(alpha.dtype, torch.float32)
        total = torch.where(x.detach() >= bound, grad, 0.0).sum(dtype=precision)
    else:
        over = torch.ops.aten.threshold_backward(grad, x, _below(bound, x.dtype))  # one pass, and no mask
        total = over.sum(dtype=torch.float32)
    return total.to(alpha.dtype)


def _below(bound: float, dtype: torch.dtype) -> float:
    """Return the largest number of `dtype` under `bound`: x is above the one where it is not under the other."""
    near = torch.tensor(bound, dtype=dtype)
    return (near if near.item() < bound else near.nextafter(torch.zeros_like(near))).item()


def _asks_for_alpha(ctx: Any) -> bool:
    """Whether this backward pass wants the gradient of alpha; one for a saliency map does not."""
    if _traced():
        return True
    node = ctx.next_functions[1][0]
    try:
        return node is not None and torch._C._will_engine_execute_node(node)
    except RuntimeError:  # alpha is what `autograd.grad` was asked for, which torch does not answer
        return True
