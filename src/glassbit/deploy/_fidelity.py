"""How far the integers are from fake quantization, tensor by tensor: the last line of defence against a wrong graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, assert_never

import torch
import torch.nn.functional as F
from jaxtyping import Float64, Shaped
from torch import Tensor, nn

from glassbit._count import counted
from glassbit._errors import ExportError
from glassbit.intgraph import AveragePool, Flatten, Input, MaxPool, Subsample, SumPool
from glassbit.quant import QuantizedConv2d, QuantizedLinear

from . import _ops
from ._execute import execute
from ._fold import Folding
from ._folded import Folded, FoldedLayer, FoldedReadout, FoldedRequantizer, FoldedSum, read_by
from ._match import Accumulators, Codes, Symbol
from ._program import Activate, Operand
from ._trace import follow

LIMIT = 0.25
"""The largest distance that `check` lets pass; `benchmarks.fidelity` measures what it was set from."""
LIMIT_OF_WEIGHTS = 0.7
"""The same for weights. LSQ's lowest code is left out, and weights on the image are quantized with the normalisation
folded in; weights that have nothing to do with each other are 1.4 apart.
"""
_IMAGES = 16
_TINY, _LEAST_CODE = 1e-12, 0.1


@dataclass(frozen=True)
class Distance:
    """How far one tensor is from its fake-quantized twin.

    With v the value under fake quantization, t the code before it is rounded, and rms the root mean square:

        weights       off = rms(unit W - quantizer(w)) / rms(quantizer(w))
        codes         off = rms(max(|t - v / step| - 1/2 - slack, 0)) / rms(v / step)
        accumulators  off = rms(max(|step gain acc + shift - v| - slack, 0)) / rms(v)

    The slack is what rounding a bias to one accumulator step, and operands of a sum to one code, can explain. Codes of
    an activation must lie on its grid: how far v / step is from an integer counts where it is more.

    Values where an operand of a sum is clipped do not count, as its range was set on other images. Where v vanishes, a
    tenth of a code, or one accumulator step, takes the place of rms.

    Args:
        name: of the tensor, which is its layer's.
        what: `values`, or `weights` of the layer.
        off: the distance.
        previous: the tensor compared before it; empty for the first.
    """

    name: str
    what: Literal["values", "weights"]
    off: float
    previous: str = ""

    @property
    def limit(self) -> float:
        """The largest distance that is let pass."""
        return LIMIT if self.what == "values" else LIMIT_OF_WEIGHTS


@torch.no_grad()
def compare(model: nn.Module, folding: Folding, images: Shaped[Tensor, "n c h w"]) -> tuple[Distance, ...]:
    """The distance of each tensor; see `distances`.

    Args:
        model: the fake-quantized twin.
        folding: of its steps; it is run here.
        images: uint8 or in [0, 1]; the first 16 are used.
    """
    images = images[:_IMAGES]
    walk = _Walk(folding, images)
    weights = [*walk.compare_weights()]
    with _fixed({layer: integers for layer, (integers, _) in walk.weights.items()}):
        _, twins = follow(model, images, zero=folding.normalization.zero)
    return *weights, *walk.compare(twins)


def check(model: nn.Module, folding: Folding, images: Shaped[Tensor, "n c h w"]) -> None:
    """Refuse an integer network that does not compute what the fake-quantized one does; see `compare`.

    Raises:
        ExportError: a tensor is further away than rounding explains; the text names the first.
    """
    for tensor in compare(model, folding, images):
        if tensor.off <= tensor.limit:
            continue
        place = f"between {tensor.previous} and {tensor.name}" if tensor.previous else f"up to {tensor.name}"
        cause = (
            f"Something that forward does {place} is missing from the integer network; make it a layer or a plain "
            "function of torch, or take it out"
            if tensor.what == "values"
            else "The layer computes with other weights than its own; use plain layers"
        )
        got = f"{tensor.off:.1%} on {counted(min(len(images), _IMAGES), 'image')}"
        must = f"its integer {tensor.what} must be within {tensor.limit:.0%} of fake quantization"
        raise ExportError([f"{tensor.name}: {must}; got {got}. {cause}"])


@contextmanager
def _fixed(weights: Mapping[QuantizedConv2d | QuantizedLinear, Tensor]) -> Iterator[None]:
    """Inside the block, layers compute with these weights instead of their quantizers'."""
    fixed: list[tuple[nn.Module, Tensor]] = [(layer.quantizer, values) for layer, values in weights.items()]
    try:
        for quantizer, values in fixed:
            quantizer.forward = lambda _, values=values: values
        yield
    finally:
        for quantizer, _ in fixed:
            del quantizer.forward  # the class's own is behind it


@dataclass(eq=False)
class _Made:
    """A tensor of the integer network.

    Args:
        value: its integers.
        exact: codes before rounding; else its integers.
        clipped: 1 where an operand of a sum that it depends on was clipped, else 0.
        slack: how far roundings of biases and operands can have moved `exact`.
    """

    value: Tensor
    exact: Float64[Tensor, "..."]
    clipped: Tensor
    slack: Float64[Tensor, "..."]


class _Walk:
    """Runs the integer network beside its twin."""

    def __init__(self, folding: Folding, images: Tensor) -> None:
        self.steps, self.scales = folding.run(), folding.scales
        self.pixels = _ops.pixels(images.to(folding.shifts.device))
        self.activations = {step.name for step in self.steps if _is_activation(step)}
        self.weights = {
            folding.layer(step.step): (folding.dequantized(step), step.name)
            for step in self.steps
            if isinstance(step, FoldedLayer)
        }

    def compare_weights(self) -> Iterator[Distance]:
        """The distance of each layer's weights."""
        for layer, (integers, name) in self.weights.items():
            twin = layer.quantizer(layer.layer.weight).double()
            yield Distance(name, "weights", _relative(integers.double() - twin, twin, torch.zeros_like(twin), _TINY))

    def compare(self, twins: Iterable[tuple[Symbol, Tensor]]) -> Iterator[Distance]:
        """The distance of each tensor."""
        named: dict[str, list[tuple[Codes | Accumulators, Tensor]]] = {}
        for symbol, value in twins:
            if isinstance(symbol, Codes | Accumulators):
                named.setdefault(symbol.name, []).append((symbol, value))
        made: dict[str, _Made] = {}
        previous = ""
        for step in self.steps:
            made[step.name] = self._run(step, [made[name] for name in read_by(step)])
            for symbol, value in named.get(step.name, []):
                if isinstance(symbol, Codes) and symbol.unit == self.steps[0].name:
                    continue  # pixels stand for themselves
                now, twin = made[step.name], value.double()[: len(self.pixels)]
                if isinstance(symbol, Codes):
                    twin = twin / self.scales[step.name].step
                    error = ((now.exact - twin).abs() - 0.5 - now.slack).clamp(min=0)
                    clipped, least = now.clipped, _LEAST_CODE
                    if symbol.unit in self.activations:
                        error = error.maximum((twin - twin.round()).abs())  # its values lie on the same grid
                elif isinstance(step, FoldedLayer) and step.step.norm is not None and not symbol.normed:
                    continue  # BatchNorm is folded into it, and the twin is from before
                else:
                    values, slack = self._values(step, now)
                    error = ((_pooled(values, symbol) - twin).abs() - _pooled(slack, symbol)).clamp(min=0)
                    clipped, least = _pooled(now.clipped, symbol), self._unit(step)
                yield Distance(step.name, "values", _relative(error, twin, clipped, least), previous)
                previous = step.name
                if isinstance(symbol, Codes) and symbol.unit in self.activations:
                    nothing = torch.zeros_like(twin)
                    made[step.name] = _Made(twin.round().float(), twin, nothing.float(), nothing)

    def _run(self, step: Folded, read: list[_Made]) -> _Made:
        if isinstance(step, Input):
            nothing = torch.zeros_like(self.pixels)
            return _Made(self.pixels, self.pixels.double(), nothing, nothing.double())
        value = execute(step, tuple(each.value for each in read))
        exact, clipped, slack = value.double(), torch.zeros_like(value), torch.zeros_like(value, dtype=torch.float64)
        match step:
            case FoldedRequantizer():
                free = _ops.scaled(read[0].value.double(), step.numbers)
                exact, clipped = free.clamp(step.numbers.low, step.numbers.high), read[0].clipped
                slack = (read[0].slack + 0.5) * _ops.per_channel(step.numbers.factor, free)  # the bias is rounded
                if isinstance(step.step, Operand):
                    clipped, slack = ((free - exact).abs() > 0.5).float().maximum(clipped), slack + 0.5
            case FoldedSum():
                clipped = read[0].clipped.maximum(read[1].clipped)
                slack = _ops.add(read[0].slack, read[1].slack, step.left_shift, step.right_shift)
            case FoldedReadout():
                slack = slack + 0.5 * step.scale
            case MaxPool() | AveragePool() | SumPool() | Subsample() | Flatten():
                parts = (read[0].exact, read[0].clipped, read[0].slack)
                exact, clipped, slack = (_ops.pool(step, part) for part in parts)
            case FoldedLayer():
                pass  # it reads codes of the twin, and its sums are exact
            case _:
                assert_never(step)
        return _Made(value, exact, clipped, slack)

    def _values(self, step: Folded, made: _Made) -> tuple[Float64[Tensor, "..."], Float64[Tensor, "..."]]:
        """What accumulators, or logits, stand for, and their slack."""
        if isinstance(step, FoldedReadout):
            return made.exact, made.slack
        scale = self.scales[step.name]
        values, slack = made.exact * scale.step, made.slack * scale.step
        if scale.gain is not None:
            gain = _ops.per_channel(scale.gain, values)
            values, slack = values * gain, slack * gain
        return (values if scale.shift is None else values + _ops.per_channel(scale.shift, values)), slack

    def _unit(self, step: Folded) -> float:
        """The value of one accumulator step, where it is largest."""
        if isinstance(step, FoldedReadout):
            return float(step.scale.max())
        scale = self.scales[step.name]
        return float(scale.step if scale.gain is None else scale.step * scale.gain.max())


def _is_activation(step: Folded) -> bool:
    return isinstance(step, FoldedRequantizer) and isinstance(step.step, Activate)


def _pooled(values: Tensor, symbol: Codes | Accumulators) -> Tensor:
    """Behind the max pools that wait for a quantizer."""
    for _, kernel, stride, padding in symbol.pools if isinstance(symbol, Accumulators) else ():
        values = F.max_pool2d(values, kernel, stride, padding)
    return values


def _relative(error: Tensor, twin: Tensor, clipped: Tensor, least: float) -> float:
    """The root mean square of the error over that of the twin; infinite where it is no number."""
    free = clipped == 0
    if not free.any():
        return 0.0
    off = error[free].square().mean().sqrt() / twin.square().mean().sqrt().clamp(min=max(least, _TINY))
    return float(off.nan_to_num(nan=float("inf")))
