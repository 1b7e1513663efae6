"""From the parameters of a network to the integers of its steps: weights, biases, multipliers and exponents."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from glassbit.intgraph import (
    EXACT,
    LARGEST_BIAS,
    SIGNED,
    AveragePool,
    Flatten,
    Grid,
    Input,
    MaxPool,
    Multiply,
    Select,
    Subsample,
    SumPool,
)
from glassbit.models import Classifier
from glassbit.quant import ActivationQuantizer, LearnedScale, QuantizedConv2d, QuantizedLinear, WeightQuantizer

from ._curves import CURVES
from ._dyadic import dyadic, largest_exponent, power_of_two
from ._folded import Folded, FoldedCurve, FoldedLayer, FoldedReadout, FoldedRequantizer, FoldedSum, Scale
from ._ops import Learned, Requantizer, straight_through
from ._program import (
    Activate,
    Affine,
    Clip,
    Constant,
    Curve,
    Join,
    Norm,
    Operand,
    Program,
    Readout,
    Rescale,
    Step,
    Sum,
    Weighted,
)

_LEAST_SCALE = 1e-30
_ROUNDING_ONLY = 0.5
_CODES = 255
"""Steps between the least and the largest code of 8 bits."""


@dataclass(frozen=True)
class Normalization:
    """The normalisation of a classifier, in pixels: `(pixel / 255 - mean_c) / std_c`.

        (p / 255 - mean_c) / std_c = kappa_c ((p - zero) + offset_c) / (255 s),    kappa_c = s / std_c

    with s the mean of the deviations; kappa folds into the weights that read the image, offset into their bias.

    Args:
        mean, std: one per channel, in [0, 1] units.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, model: nn.Module, channels: int) -> Normalization:
        """Return the normalisation of a `Classifier`; none for any other network."""
        if isinstance(model, Classifier):
            normalize = model.normalize
            return cls(tuple(normalize.mean.flatten().tolist()), tuple(normalize.std.flatten().tolist()))
        return cls((0.0,) * channels, (1.0,) * channels)

    @property
    def zero(self) -> int:
        """The pixel that counts as zero: the mean, rounded."""
        return min(max(round(255 * sum(self.mean) / len(self.mean)), 0), 255)

    @property
    def deviation(self) -> float:
        """s."""
        return sum(self.std) / len(self.std)

    @property
    def step(self) -> float:
        """The value of one pixel step, 1 / (255 s)."""
        return 1 / (255 * self.deviation)

    @property
    def kappa(self) -> tuple[float, ...]:
        """The factor on the weights of each channel."""
        return tuple(self.deviation / std for std in self.std)

    @property
    def offset(self) -> tuple[float, ...]:
        """What each channel lacks of its own zero, in pixels."""
        return tuple(self.zero - 255 * mean for mean in self.mean)


class Folding:
    """From the steps of a program to integers, with the parameters as they are when it is run.

    Args:
        program: the steps.
        network: the modules that they name.
        normalization: of the image.
        shifts: j of every `Operand`, by slot.

    Attributes:
        scales: what the integers of every tensor stand for, by its name; filled by `run`.
    """

    def __init__(
        self, program: Program, network: nn.Module, normalization: Normalization, shifts: Int64[Tensor, " s"]
    ) -> None:
        self.program = program
        self.network = network
        self.normalization = normalization
        self.shifts = shifts
        self.scales: dict[str, Scale] = {}
        self.from_image = {step.name for step in program.steps if isinstance(step, Input)}

    def run(self) -> tuple[Folded, ...]:
        """Return every step with its integers."""
        return tuple(self.fold(step) for step in self.program.steps)

    def fold(self, step: Step) -> Folded:
        """Return a step with its integers; those before it must have been folded."""
        match step:
            case Input():
                self.scales[step.name] = Scale(self._constant(self.normalization.step), 0, 255)
                return step
            case Weighted():
                return self._layer(step)
            case Activate():
                return self._activate(step)
            case Affine():
                self.scales[step.name] = self._rescaled(step)
                if step.input in self.from_image:
                    self.from_image.add(step.name)
                return step
            case Operand():
                unit = self._constant(1.0) if step.unit is None else self.scales[step.unit].step
                return self._requantizer(step, unit * power_of_two(-self.shifts[step.slot]), step.window)
            case Clip():
                out = self._constant((step.most - step.least) / _CODES)
                low = round(step.least / (step.most - step.least) * _CODES)
                return self._requantizer(step, out, (low, low + _CODES))
            case Curve():
                return self._curve(step)
            case Rescale():
                return self._rescale(step)
            case Sum():
                return self._sum(step)
            case Readout():
                return self._readout(step)
            case AveragePool() | SumPool():
                read = self.scales[step.input]
                reach = step.reach if isinstance(step, SumPool) else math.prod(step.kernel)
                self.scales[step.name] = Scale(read.step, reach * read.low, reach * read.high)
                return step
            case Join():
                self.scales[step.name] = self._joined(step)
                return step
            case Multiply():
                left, right = self.scales[step.left], self.scales[step.right]
                self.scales[step.name] = Scale(left.step * right.step)
                return step
            case MaxPool() | Subsample() | Flatten() | Select():
                self.scales[step.name] = self.scales[step.input]
                if step.input in self.from_image:
                    self.from_image.add(step.name)
                return step
            case _:
                assert_never(step)

    def layer(self, step: Weighted) -> QuantizedConv2d | QuantizedLinear:
        """Return the module of a step."""
        module = self.network.get_submodule(step.layer)
        assert isinstance(module, QuantizedConv2d | QuantizedLinear)
        return module

    def dequantized(self, folded: FoldedLayer) -> Float[Tensor, "o ..."]:
        """Return what the integer weights of a layer stand for, on normalised images."""
        step = folded.step
        weight = folded.weights * (self.scales[step.name].step / self.scales[step.input].step).to(folded.weights.dtype)
        if step.input in self.from_image:
            weight = weight / self._input_channels(self.normalization.kappa, weight, folded.groups).to(weight.dtype)
        return weight

    def _layer(self, step: Weighted) -> FoldedLayer:
        module = self.layer(step)
        read = self.scales[step.input]
        image = step.input in self.from_image
        weight = module.layer.weight
        groups = module.layer.groups if isinstance(module.layer, nn.Conv2d) else 1
        if image:
            weight = weight * self._input_channels(self.normalization.kappa, weight, groups).to(weight.dtype)
        values, unit, grid = integers(module.quantizer, weight)
        step_value = read.step * unit
        bias = module.layer.bias
        shift = values.new_zeros(len(values), dtype=torch.float64) if bias is None else bias.double()
        if image:
            offset = self._input_channels(self.normalization.offset, weight, groups)
            shift = shift + (values.double() * offset).flatten(1).sum(1) * step_value
        gain = torch.ones_like(shift)
        self.scales[step.name] = Scale(step_value, gain=gain, shift=shift)
        zero = self.normalization.zero if image else 0
        reach = max(abs(read.low - zero), abs(read.high - zero))
        bits = module.quantizer.bits
        return FoldedLayer(step, values, bits, grid, zero, groups, _bound(values, bits, grid, reach))

    def _activate(self, step: Activate) -> FoldedRequantizer:
        quantizer = self.network.get_submodule(step.quantizer)
        assert isinstance(quantizer, ActivationQuantizer)
        out = quantizer.scale().to(self.shifts.device).double()
        return self._requantizer(step, out, quantizer.codes, quantizer.learned)

    def _rescaled(self, step: Affine) -> Scale:
        """Return another scale for the same integers."""
        read, by = self.scales[step.input], step.by
        if isinstance(by, Constant) and not isinstance(by.factor, str) and by.keeps_codes:
            shift = None if read.shift is None else read.shift * by.factor / by.divisor
            return replace(read, step=read.step * by.factor / by.divisor, shift=shift)
        gain = self._constant(1.0).view(1) if read.gain is None else read.gain
        shift = self._constant(0.0).view(1) if read.shift is None else read.shift
        if isinstance(by, Norm):
            factor, shift = _batchnorm(self._named, by, shift)
        else:
            factor = self._number(by.factor) / by.divisor
            shift = shift * factor + self._number(by.term)
        gain, shift = torch.broadcast_tensors(gain * factor, shift)
        return Scale(read.step, gain=gain, shift=shift)

    def _joined(self, step: Join) -> Scale:
        """Return the scale of codes side by side; the unit is that of the part with the largest values."""
        parts = [self.scales[name] for name in step.inputs]
        widest = max(parts, key=lambda part: float(part.step) * max(-part.low, part.high))
        if all(bool(part.step == widest.step) for part in parts):
            return Scale(widest.step, min(part.low for part in parts), max(part.high for part in parts))
        gains = [(part.step / widest.step).expand(n) for part, n in zip(parts, step.widths, strict=True)]
        return replace(widest, gain=torch.cat(gains))

    def _rescale(self, step: Rescale) -> FoldedRequantizer:
        """Codes as large as 8 bits hold; their step follows from the dyadic factor, which therefore is exact."""
        read = self.scales[step.input]
        low, high = (0, _CODES) if read.low == 0 else SIGNED
        if read.gain is not None:
            return self._requantizer(step, read.step * max(abs(read.low), read.high) / high, (low, high))
        most = max(-read.low, read.high)
        ratio = self._constant(high / most).view(1)
        multiplier, exponent = dyadic(ratio, low=low, high=high, below=(high + 1) / most)
        return self._requantizer(step, read.step / (multiplier * power_of_two(-exponent)).view(()), (low, high))

    def _curve(self, step: Curve) -> FoldedCurve:
        """Return a table of 256 codes at most, as fine as they allow."""
        read = self.scales[step.input]
        options = dict(step.options)
        with (
            torch.inference_mode(mode=False),
            torch.enable_grad(),
        ):  # where the caller wants none, slopes still need them
            value = read.step.detach().clone()
            weight = [self._named(step.weight).detach().clone().double()] if step.weight else []
            codes = torch.arange(read.low, read.high + 1, device=self.shifts.device, dtype=torch.float64)
            x = (codes * value).requires_grad_()
            y = CURVES[step.function](x, *weight, **options)
            (slope,) = torch.autograd.grad(y.sum(), x)
        y = y.detach()
        least, most = y.min().clamp(max=0), y.max().clamp(min=0)
        out = ((most - least) / _CODES).clamp(min=_LEAST_SCALE)
        low = int((least / out).round())
        window = (low, low + _CODES)
        self.scales[step.name] = Scale(out, *window)
        table = (y / out).round().clamp(*window).float()
        return FoldedCurve(step, table, (slope * read.step / out).float(), read.low, window)

    def _requantizer(
        self,
        step: Activate | Operand | Clip | Rescale,
        out: Float64[Tensor, ""],
        window: tuple[int, int],
        scale: LearnedScale | None = None,
    ) -> FoldedRequantizer:
        read = self.scales[step.input]
        low, high = window
        self.scales[step.name] = Scale(out, low, high)
        with torch.no_grad():
            per_accumulator = read.step / out
            ratio = per_accumulator.view(1) if read.gain is None else read.gain * per_accumulator
            sign = torch.where(ratio < 0, -1, 1)
            multiplier, exponent = dyadic(ratio.abs(), low=low, high=high)
            multiplier = multiplier * sign
            bias = torch.zeros_like(ratio)
            if read.shift is not None:
                bias = read.shift / out / (ratio.abs().clamp(min=2.0 ** -largest_exponent(low, high)) * sign)
                multiplier, exponent = (values.expand(len(bias)) for values in (multiplier, exponent))
            bias = bias.round().clamp(-EXACT, EXACT)
            factor = multiplier * power_of_two(-exponent)
        numbers = Requantizer(bias, factor, low, high, 0.0 if isinstance(step, Activate) else _ROUNDING_ONLY)
        gradient, level = (None, None) if scale is None else (scale.gradient, scale.parameter)
        learned = Learned(1 / out, per_accumulator, gradient)
        return FoldedRequantizer(
            step, bias.long(), multiplier, exponent, numbers, learned, read.gain, read.shift, level
        )

    def _sum(self, step: Sum) -> FoldedSum:
        """Return the shifts of operands whose steps are powers of two apart; the finest is that of the sum."""
        steps = torch.stack([self.scales[name].step for name in step.inputs])
        finest = steps.min()
        self.scales[step.name] = Scale(finest)
        return FoldedSum(step, tuple((torch.frexp(steps / finest).exponent - 1).long().unbind()))

    def _readout(self, step: Readout) -> FoldedReadout:
        read = self.scales[step.input]
        unit = read.step / step.over
        with torch.no_grad():
            ones = self._constant(1.0).expand(step.classes)
            gain = ones if read.gain is None else read.gain.expand(step.classes)
            shift = torch.zeros_like(ones) if read.shift is None else read.shift.expand(step.classes)
            size = torch.maximum(gain.abs() * unit, shift.abs() / LARGEST_BIAS).clamp(min=_LEAST_SCALE)
            scale = torch.where(gain < 0, -size, size).float()
            bias = (shift / scale.double()).round().clamp(-LARGEST_BIAS, LARGEST_BIAS)
        return FoldedReadout(step, bias.long(), scale, read.gain, read.shift, unit)

    def _named(self, name: str) -> Tensor:
        """Return a tensor of the network."""
        owner, _, attribute = name.rpartition(".")
        tensor = getattr(self.network.get_submodule(owner), attribute)
        assert isinstance(tensor, Tensor)
        return tensor

    def _number(self, value: float | str) -> Float64[Tensor, " c"]:
        """Return a constant, with one value or one per channel."""
        if isinstance(value, str):
            return self._named(value).double().flatten()
        return self._constant(value).view(1)

    def _constant(self, value: float) -> Float64[Tensor, ""]:
        return torch.tensor(value, dtype=torch.float64, device=self.shifts.device)

    def _input_channels(self, values: tuple[float, ...], weight: Tensor, groups: int) -> Tensor:
        """One value per image channel, to be multiplied with the weights that read it."""
        whole = torch.tensor(values, dtype=torch.float64, device=weight.device)
        if weight.dim() == 2:
            return whole.repeat_interleave(weight.shape[1] // len(values)).view(1, -1)
        by_group = whole.view(groups, -1).repeat_interleave(weight.shape[0] // groups, 0)
        return by_group.view(weight.shape[0], -1, 1, 1)


def integers(
    quantizer: WeightQuantizer, weight: Float[Tensor, "o ..."]
) -> tuple[Float[Tensor, "o ..."], Float64[Tensor, ""], Grid]:
    """Integer weights, the value of 1, and their grid, so that `quantizer(weight) == integer * value`.

    The gradient is the quantizer's own, with the value held constant. LSQ's lowest code is left out: back ends may turn
    the sign of a channel around.
    """
    grid, bits = quantizer.grid, quantizer.bits
    largest = 2**bits - 1 if grid == "odd" else 2 ** (bits - 1) - 1
    weight = weight.contiguous()  # sums over weights, and so their codes, must not depend on the layout
    with torch.no_grad():
        unit = quantizer.scale(weight).to(weight.device).double() / (2 if grid == "odd" else 1)
    y = quantizer(weight) / unit.to(weight.dtype)
    return straight_through(y.detach().round().clamp(-largest, largest), y), unit, grid


def _batchnorm(named: Callable[[str], Tensor], norm: Norm, shift: Tensor) -> tuple[Tensor, Tensor]:
    """Return gain and shift of a BatchNorm with its running statistics, behind values with a shift of their own."""
    gamma = 1 / (named(norm.var).double() + norm.eps).sqrt()
    if norm.weight:
        gamma = named(norm.weight).double() * gamma
    shift = (shift - named(norm.mean).double()) * gamma
    return gamma, shift + named(norm.bias).double() if norm.bias else shift


def _bound(values: Tensor, bits: int, grid: Grid, reach: int) -> int:
    """Return the largest absolute partial sum.

    It is bounded by the bits alone if that is enough, or if reading the weights would wait for a GPU.
    """
    largest: int = 2**bits - 1 if grid == "odd" else 2 ** (bits - 1) - 1
    bound = math.prod(values.shape[1:]) * largest * reach
    if bound <= EXACT or values.is_cuda:
        return bound
    sums = values.detach().abs().flatten(1).sum(1, dtype=torch.float64)
    most = float(sums.nan_to_num().max())
    return int(most) * reach
