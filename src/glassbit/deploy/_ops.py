"""Integer arithmetic on float tensors that hold integers, with straight-through gradients.

Everything here is exact: float32 holds every integer up to 2^24, and where sums may be larger float64 takes its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeVar, assert_never, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Tensor

from glassbit._errors import UsageError
from glassbit.intgraph import EXACT, AveragePool, Flatten, MaxPool, Multiply, Pads, Select, Subsample, SumPool, sides
from glassbit.quant import Rounding, ScaleGradient

from ._dyadic import power_of_two
from ._program import Pair, Pool

_TRANSFORMED = 2**18
"""On a GPU, larger sums are left to float64: kernels that transform what they convolve (Winograd) round on the way, and
the 6 bits between here and 2^24 leave room for that before the nearest integer is another one.
"""


def pixels(images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Images, uint8 or in [0, 1], as pixel codes 0..255: `round(255 x)`, whose gradient is 255.

    Raises:
        UsageError: another dtype, or a device without float64.
    """
    if images.device.type == "mps":
        raise UsageError(
            "device must compute in float64, as deployed arithmetic does; got mps, which lacks it; use cpu or cuda"
        )
    if images.dtype == torch.uint8:
        return images.to(torch.float32)
    if not images.is_floating_point():
        raise UsageError(f"images must be uint8 (0..255) or floating point ([0, 1]); got {images.dtype}")
    scaled = images.to(torch.float32) * 255
    return straight_through(scaled.detach().round().clamp(0, 255), scaled)


def straight_through(exact: Tensor, y: Tensor) -> Tensor:
    """`exact`, with the gradient of `y`."""
    return exact + (y - y.detach()) if y.requires_grad else exact


def conv(
    x: Float[Tensor, "n c h w"],
    weights: Float[Tensor, "o i kh kw"],
    *,
    stride: Pair,
    padding: Pads,
    groups: int,
    bound: int,
    dilation: Pair = (1, 1),
) -> Float[Tensor, "n o y x"]:
    """Return a convolution of integers, exact whatever kernel computes it.

    Args:
        bound: the largest absolute value that any partial sum can have.
    """
    top, left, bottom, right = sides(padding)
    if (top, left) != (bottom, right):
        x, top, left = F.pad(x, (left, right, top, bottom)), 0, 0
    return cast(Tensor, _Conv.apply(x, weights, stride, (top, left), dilation, groups, bound))  # type: ignore[no-untyped-call]


def linear(x: Float[Tensor, "n i"], weights: Float[Tensor, "o i"], *, bound: int) -> Float[Tensor, "n o"]:
    """Return a matrix product of integers; see `conv`."""
    return F.linear(x.double(), weights.double()) if bound > EXACT else F.linear(x, weights)


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weights: Tensor, stride: Pair, padding: Pair, dilation: Pair, groups: int, bound: int
    ) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.options = (stride, padding, dilation, groups)
        if bound > (_TRANSFORMED if x.is_cuda else EXACT):
            x, weights = x.double(), weights.double()
        with _without_tf32(x):
            acc = F.conv2d(x, weights, None, stride, padding, dilation, groups).round_()
        return acc if bound > EXACT else acc.to(torch.float32)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weights = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.options
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], False]
        with _without_tf32(x):
            grad_x, grad_weights, _ = torch.ops.aten.convolution_backward(
                grad.to(x.dtype), x, weights, None, stride, padding, dilation, False, (0, 0), groups, wanted
            )
        return grad_x, grad_weights, None, None, None, None, None


@dataclass(frozen=True, eq=False)
class Requantizer:
    """The numbers of a requantizer: `code = clip(round_half_even((acc + B) m 2^-e), low, high)`.

    Args:
        bias: B, one per channel, or one for all.
        factor: m 2^-e, as many.
        low, high: the window.
        reach: how far beyond the window the gradient passes in training, in codes: 0 stops it where clipping starts,
            as PACT does; 0.5 where a value is off by more than rounding.
    """

    bias: Shaped[Tensor, " c"]
    factor: Float[Tensor, " c"]
    low: int
    high: int
    reach: float = 0.0


@dataclass(frozen=True, eq=False)
class Learned:
    """What the gradients of a requantizer's parameters need.

    Args:
        per_code: codes per unit of value, 1 / s_y.
        per_accumulator: codes per accumulator step at a gain of 1, s_x s_w / s_y.
        gradient: that of what the activation quantizer learns, where it is to receive one.
    """

    per_code: Tensor
    per_accumulator: Tensor
    gradient: ScaleGradient | None = None


def requantize(
    acc: Float[Tensor, "n c *hw"],
    numbers: Requantizer,
    *,
    gain: Tensor | None = None,
    shift: Tensor | None = None,
    level: Tensor | None = None,
    learned: Learned | None = None,
    training: bool = False,
) -> Float[Tensor, "n c *hw"]:
    """Accumulators to codes.

    With t = (acc + B) m 2^-e and g the gradient of the codes, inside = low < code < high (in training low < t < high):

        d acc   = g m 2^-e inside
        d gain  = sum g acc s_x s_w / s_y inside
        d shift = sum g / s_y inside

    and what the quantizer learns has the gradient that it says (`LearnedScale`).

    Args:
        acc: exact integers.
        numbers: of the requantizer.
        gain, shift: what B, m and e were made of, one per channel, where they are to receive gradients.
        level: what the quantizer learns, where it is to receive one.
        learned: must be there when any of the three is.
        training: which of the two masks.
    """
    return cast(Tensor, _Requantize.apply(acc, gain, shift, level, numbers, learned, training))  # type: ignore[no-untyped-call]


class _Requantize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        acc: Tensor,
        gain: Tensor | None,
        shift: Tensor | None,
        level: Tensor | None,
        numbers: Requantizer,
        learned: Learned | None,
        training: bool,
    ) -> Tensor:
        ctx.save_for_backward(acc)
        ctx.numbers, ctx.learned, ctx.training = numbers, learned, training
        ctx.one = gain is not None and len(gain) == 1
        ctx.level_dtype = None if level is None else level.dtype
        return scaled(acc, numbers).round_().clamp_(numbers.low, numbers.high).to(torch.float32)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (acc,) = ctx.saved_tensors
        numbers, learned = ctx.numbers, ctx.learned
        low, high, reach = numbers.low, numbers.high, numbers.reach
        ratio = scaled(acc, numbers)
        if ctx.training:
            inside, above = (ratio > low - reach) & (ratio < high + reach), ratio >= high
        else:
            codes = ratio.round()
            inside, above = (codes > low) & (codes < high), codes >= high
        grad_acc = grad_gain = grad_shift = grad_level = None
        passing = torch.where(inside, grad, 0.0)
        dims = [0, *range(2, acc.dim())]
        if ctx.needs_input_grad[0]:
            grad_acc = (passing * per_channel(numbers.factor, acc)).to(acc.dtype)
        if ctx.needs_input_grad[1]:
            grad_gain = (passing * acc).sum(dims).double() * learned.per_accumulator
            grad_gain = grad_gain.sum(0, keepdim=True) if ctx.one else grad_gain
        if ctx.needs_input_grad[2]:
            grad_shift = passing.sum(dims).double() * learned.per_code
            grad_shift = grad_shift.sum(0, keepdim=True) if ctx.one else grad_shift
        if ctx.needs_input_grad[3]:
            rounding = Rounding(ratio, inside, above, learned.per_code)
            grad_level = learned.gradient(grad, rounding).to(ctx.level_dtype)
        return grad_acc, grad_gain, grad_shift, grad_level, None, None, None


def scaled(acc: Tensor, numbers: Requantizer) -> Tensor:
    """`(acc + B) m 2^-e`; exact in float32 wherever it lies inside the window, and on the right side elsewhere."""
    return (acc + per_channel(numbers.bias, acc)).mul_(per_channel(numbers.factor, acc))


def per_channel(values: Tensor, like: Tensor) -> Tensor:
    """One value per channel, to be broadcast over `like`, in its dtype."""
    return values.to(like.dtype).view(1, -1, *[1] * (like.dim() - 2))


def logits(
    acc: Float[Tensor, "n k *hw"],
    bias: Shaped[Tensor, " k"],
    scale: Float[Tensor, " k"],
    *,
    gain: Tensor | None = None,
    shift: Tensor | None = None,
    step: Tensor | None = None,
) -> Float[Tensor, "n k"]:
    """Accumulators to logits, `float32(acc + B) * scale`; of maps, acc is the sum over the pixels.

        d acc = g scale,    d gain = sum g acc step,    d shift = sum g

    Args:
        acc: exact integers.
        bias, scale: one per class.
        gain, shift, step: what B and scale were made of: `scale = gain step`.
    """
    return cast(Tensor, _Logits.apply(acc, gain, shift, bias, scale, step))  # type: ignore[no-untyped-call]


class _Logits(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        acc: Tensor,
        gain: Tensor | None,
        shift: Tensor | None,
        bias: Tensor,
        scale: Tensor,
        step: Tensor | None,
    ) -> Tensor:
        ctx.scale, ctx.step, ctx.shape, ctx.dtype = scale, step, acc.shape, acc.dtype
        acc = acc.double().flatten(2).sum(2) if acc.dim() > 2 else acc
        ctx.save_for_backward(acc)
        return (acc.double() + bias.double()).to(torch.float32) * scale.to(torch.float32)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (acc,) = ctx.saved_tensors
        grad_acc = None
        if ctx.needs_input_grad[0]:
            each = (grad * ctx.scale.to(grad.dtype)).to(ctx.dtype)
            grad_acc = each.view(*each.shape, *[1] * (len(ctx.shape) - 2)).expand(ctx.shape)
        grad_gain = (grad * acc).sum(0).double() * ctx.step if ctx.needs_input_grad[1] else None
        grad_shift = grad.sum(0).double() if ctx.needs_input_grad[2] else None
        return grad_acc, grad_gain, grad_shift, None, None, None


def look_up(
    codes: Float[Tensor, "n *chw"], table: Float[Tensor, " k"], slopes: Float[Tensor, " k"], *, low: int
) -> Float[Tensor, "n *chw"]:
    """Return `table[code - low]`, whose gradient is `slopes[code - low]`."""
    return cast(Tensor, _LookUp.apply(codes, table, slopes, low))  # type: ignore[no-untyped-call]


class _LookUp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, codes: Tensor, table: Tensor, slopes: Tensor, low: int) -> Tensor:
        places = codes.long() - low
        ctx.save_for_backward(places, slopes)
        return table[places]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, None]:
        places, slopes = ctx.saved_tensors
        return grad * slopes[places], None, None, None


def pool(node: Pool, read: Sequence[Tensor]) -> Tensor:
    """Return the operations without numbers of their own; an average is a sum."""
    x = read[0]
    match node:
        case MaxPool():
            top, left, bottom, right = sides(node.padding)
            if (top, left) != (bottom, right):
                x, top, left = F.pad(x, (left, right, top, bottom), value=-math.inf), 0, 0
            return F.max_pool2d(x, node.kernel, node.stride, (top, left))
        case AveragePool():
            return F.avg_pool2d(x, node.kernel, node.stride, divisor_override=1)
        case SumPool():
            rows, columns = _matrices(node, x.shape[2], x.shape[3], x.device)
            return (rows @ x.double() @ columns.T).to(x.dtype)
        case Subsample():
            vertical, horizontal = node.stride
            return F.pad(x[:, :, ::vertical, ::horizontal], (0, 0, 0, 0, 0, node.channels))
        case Flatten():
            return x.flatten(1)
        case Select():
            return x[:, list(node.channels)]
        case Multiply():
            return x * read[1].view(*read[1].shape, *[1] * (x.dim() - read[1].dim()))
        case _:
            assert_never(node)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def _matrices(
    node: SumPool, height: int, width: int, device: torch.device
) -> tuple[Float64[Tensor, "i h"], Float64[Tensor, "j w"]]:
    """Return the weights of rows and columns, in float64: TF32 and bfloat16 would round the intermediate values."""
    rows, columns = (torch.from_numpy(matrix).double().to(device) for matrix in node.matrices(height, width))
    return rows, columns


def add(terms: Sequence[Float[Tensor, "n c *hw"]], shifts: Sequence[Int64[Tensor, ""]]) -> Float[Tensor, "n c *hw"]:
    """Return `sum_i x_i 2^t_i`; below 2^24 by the bounds of all."""
    parts = [term * power_of_two(shift).to(term.dtype) for term, shift in zip(terms, shifts, strict=True)]
    return sum(parts[1:], start=parts[0])


class Step(Protocol):
    """Anything that makes one named tensor."""

    @property
    def name(self) -> str:
        """Of the tensor."""


S = TypeVar("S", bound=Step)


def walk(
    steps: Sequence[S], inputs: Callable[[S], tuple[str, ...]], execute: Callable[[S, tuple[Tensor, ...]], Tensor]
) -> Tensor:
    """Run steps in order, each on the tensors that it reads, and let go of a tensor after its last reader.

    Returns:
        What the last step made.
    """
    last = {name: index for index, step in enumerate(steps) for name in inputs(step)}
    values: dict[str, Tensor] = {}
    result = torch.empty(0)
    for index, step in enumerate(steps):
        names = inputs(step)
        values[step.name] = result = execute(step, tuple(values[name] for name in names))
        for name in names:
            if last[name] == index:
                values.pop(name, None)
    return result


@contextmanager
def _without_tf32(like: Tensor) -> Iterator[None]:
    """On a GPU, float32 convolutions in float32, so that gradients are accurate."""
    conv: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before = conv.fp32_precision
    if like.is_cuda:
        conv.fp32_precision = "ieee"
    try:
        yield
    finally:
        if like.is_cuda:
            conv.fp32_precision = before
