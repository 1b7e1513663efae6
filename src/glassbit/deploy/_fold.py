"""From the parameters of a network to the integers of its steps: weights, biases, multipliers and exponents."""

from __future__ import annotations

import math
from dataclasses import dataclass
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
    Subsample,
    SumPool,
)
from glassbit.models import Classifier
from glassbit.quant import ActivationQuantizer, LearnedScale, QuantizedConv2d, QuantizedLinear, WeightQuantizer

from ._dyadic import dyadic, largest_exponent, power_of_two
from ._folded import Folded, FoldedLayer, FoldedReadout, FoldedRequantizer, FoldedSum, Scale
from ._ops import Learned, Requantizer, straight_through
from ._program import Activate, Operand, Program, Readout, Rescale, Step, Sum, Weighted

_LEAST_SCALE = 1e-30
_ROUNDING_ONLY = 0.5


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
        self._operands = {step.name: step for step in program.steps if isinstance(step, Operand)}
        self._divisors = {step.input: step.divisor for step in program.steps if isinstance(step, Rescale)}
        self.from_image = {step.name for step in program.steps if isinstance(step, Input)}

    def run(self) -> tuple[Folded, ...]:
        """Return every step with its integers."""
        return tuple(self._folded(step) for step in self.program.steps)

    def _folded(self, step: Step) -> Folded:
        match step:
            case Input():
                self.scales[step.name] = Scale(self._constant(self.normalization.step), 0, 255)
                return step
            case Weighted():
                return self._layer(step)
            case Activate():
                return self._activate(step)
            case Operand():
                unit = self._constant(1.0) if step.unit is None else self.scales[step.unit].step
                return self._requantizer(step, unit * power_of_two(-self.shifts[step.slot]), SIGNED)
            case Rescale():
                return self._rescale(step)
            case Sum():
                return self._sum(step)
            case Readout():
                return self._readout(step)
            case AveragePool() | SumPool():
                read = self.scales[step.input]
                reach = step.reach if isinstance(step, SumPool) else math.prod(step.kernel)
                unit = read.step / self._divisors[step.name]
                self.scales[step.name] = Scale(unit, reach * read.low, reach * read.high)
                return step
            case MaxPool() | Subsample() | Flatten():
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
        """Return what the integer weights of a layer stand for, on normalised images and without BatchNorm's signs."""
        step = folded.step
        weight = folded.weights * (self.scales[step.name].step / self.scales[step.input].step).to(folded.weights.dtype)
        if step.input in self.from_image:
            weight = weight / self._input_channels(self.normalization.kappa, weight, folded.groups).to(weight.dtype)
        if step.norm is not None:
            norm = self.network.get_submodule(step.norm)
            _, _, sign = _batchnorm(norm, torch.zeros(len(weight), dtype=torch.float64, device=weight.device))
            weight = weight * sign.view(-1, *[1] * (weight.dim() - 1)).to(weight.dtype)
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
        if step.norm is not None:
            gain, shift, sign = _batchnorm(self.network.get_submodule(step.norm), shift)
            values = values * sign.view(-1, *[1] * (values.dim() - 1)).to(values.dtype)
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

    def _rescale(self, step: Rescale) -> FoldedRequantizer:
        """Codes as large as 8 bits hold; their step follows from the dyadic factor, which therefore is exact."""
        read = self.scales[step.input]
        ratio = self._constant(255 / read.high).view(1)
        multiplier, exponent = dyadic(ratio, low=0, high=255, below=256 / read.high)
        return self._requantizer(step, read.step / (multiplier * power_of_two(-exponent)).view(()), (0, 255))

    def _requantizer(
        self,
        step: Activate | Operand | Rescale,
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
            multiplier, exponent = dyadic(ratio, low=low, high=high)
            bias = torch.zeros_like(ratio)
            if read.shift is not None:
                bias = read.shift / out / ratio.clamp(min=2.0 ** -largest_exponent(low, high))
            bias = bias.round().clamp(-EXACT, EXACT)
            factor = multiplier * power_of_two(-exponent)
        numbers = Requantizer(bias, factor, low, high, 0.0 if isinstance(step, Activate) else _ROUNDING_ONLY)
        gradient, level = (None, None) if scale is None else (scale.gradient, scale.parameter)
        learned = Learned(1 / out, per_accumulator, gradient)
        return FoldedRequantizer(
            step, bias.long(), multiplier, exponent, numbers, learned, read.gain, read.shift, level
        )

    def _sum(self, step: Sum) -> FoldedSum:
        left, right = (self._exponent(name) for name in (step.left, step.right))
        finest = torch.maximum(left, right)
        side, exponent = (step.left, left) if step.left not in self._operands else (step.right, right)
        unit = self.scales[side].step * power_of_two(exponent)
        self.scales[step.name] = Scale(unit * power_of_two(-finest))
        return FoldedSum(step, finest - left, finest - right)

    def _exponent(self, name: str) -> Int64[Tensor, ""]:
        """j of an operand's step, unit 2^-j; 0 for codes that are the unit."""
        operand = self._operands.get(name)
        return self.shifts.new_zeros(()) if operand is None else self.shifts[operand.slot]

    def _readout(self, step: Readout) -> FoldedReadout:
        read = self.scales[step.input]
        assert read.gain is not None
        assert read.shift is not None
        with torch.no_grad():
            scale = (
                torch.maximum(read.gain * read.step, read.shift.abs() / LARGEST_BIAS).clamp(min=_LEAST_SCALE).float()
            )
            bias = (read.shift / scale.double()).round().clamp(-LARGEST_BIAS, LARGEST_BIAS)
        return FoldedReadout(step, bias.long(), scale, read.gain, read.shift, read.step)

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

    The gradient is the quantizer's own, with the value held constant. LSQ's lowest code is left out: the grid is
    symmetric, so that BatchNorm's sign can turn it around.
    """
    grid, bits = quantizer.grid, quantizer.bits
    largest = 2**bits - 1 if grid == "odd" else 2 ** (bits - 1) - 1
    weight = weight.contiguous()  # sums over weights, and so their codes, must not depend on the layout
    with torch.no_grad():
        unit = quantizer.scale(weight).to(weight.device).double() / (2 if grid == "odd" else 1)
    y = quantizer(weight) / unit.to(weight.dtype)
    return straight_through(y.detach().round().clamp(-largest, largest), y), unit, grid


def _batchnorm(norm: nn.Module, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(|gain|, shift, sign) of a BatchNorm with its running statistics, behind a layer with a bias of `shift`."""
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    inverse = 1 / (norm.running_var.double() + norm.eps).sqrt()
    gamma = inverse if norm.weight is None else norm.weight.double() * inverse
    shift = (shift - norm.running_mean.double()) * gamma
    shift = shift if norm.bias is None else shift + norm.bias.double()
    sign = torch.where(gamma.detach() < 0, -1.0, 1.0)
    return gamma * sign, shift, sign


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
