"""Running the integer network beside its fake-quantized twin, and how far apart they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, assert_never

import torch
from jaxtyping import Float64
from torch import Tensor

from glassbit.intgraph import EXACT, AveragePool, Flatten, Input, MaxPool, Multiply, Select, Subsample, SumPool

from . import _ops
from ._execute import execute
from ._fold import Folding
from ._folded import Folded, FoldedCurve, FoldedLayer, FoldedReadout, FoldedRequantizer, FoldedSum, read_by
from ._program import Activate, Affine, Join, Operand
from ._symbols import Accumulators, Codes, Symbol

LIMIT = 0.25
"""The largest distance that `check` lets pass; `benchmarks.fidelity` measures what it was set from."""
LIMIT_OF_WEIGHTS = 0.7
"""The same for weights. LSQ's lowest code is left out, and weights on the image are quantized with the normalisation
folded in; weights that have nothing to do with each other are 1.4 apart.
"""
_TINY, _LEAST_CODE = 1e-12, 0.1


@dataclass(frozen=True)
class Distance:
    """How far one tensor is from its fake-quantized twin.

    With v the value under fake quantization, t the code before it is rounded, and rms the root mean square:

        weights       off = rms(unit W - quantizer(w)) / rms(quantizer(w))
        codes         off = rms(max(|t - v / step| - 1/2 - slack, 0)) / rms(v / step)
        accumulators  off = rms(max(|step gain acc + shift - v| - slack, 0)) / rms(v)
        logits        off = rms(max(|centred(scale (acc + B)) - centred(v)| - slack, 0)) / rms(centred(v))

    Each tensor is computed from the twin's: of the codes of its activations, and of the values that get codes without a
    quantizer of the network.

    The slack is what rounding to codes without a quantizer of the network can explain: operands of sums, curves. Codes
    of an activation must lie on its grid: how far v / step is from an integer counts where it is more. Logits are
    centred per image, as softmax ignores their mean.

    Where signed codes are clipped, what is computed from them does not count, be it the logits of an image: their range
    was set on other images. Where v vanishes, a tenth of a code, or one accumulator step, takes the place of rms; of
    logits nothing does.

    Args:
        name: of the tensor, which is its layer's.
        what: `values`, or `weights` of the layer.
        off: the distance.
        previous: the tensor compared before it; empty for the first.
        without_biases: the distance if biases could be rounded to whole accumulator steps for nothing, and logits
            counted as accumulators do.
    """

    name: str
    what: Literal["values", "weights"]
    off: float
    previous: str = ""
    without_biases: float = 0.0

    @property
    def limit(self) -> float:
        """The largest distance that is let pass."""
        return LIMIT if self.what == "values" else LIMIT_OF_WEIGHTS


@dataclass(eq=False)
class _Made:
    """A tensor of the integer network.

    Args:
        value: its integers.
        exact: codes before rounding; else its integers.
        clipped: 1 where an operand of a sum that it depends on was clipped, else 0.
        slack: how far rounding operands can have moved `exact`.
        biases: how far rounding biases can have.
    """

    value: Tensor
    exact: Float64[Tensor, "..."]
    clipped: Tensor
    slack: Float64[Tensor, "..."]
    biases: Float64[Tensor, "..."]


class Walk:
    """Runs the integer network beside its twin."""

    def __init__(self, folding: Folding, images: Tensor) -> None:
        self.steps, self.scales = folding.run(), folding.scales
        self.pixels = _ops.pixels(images.to(folding.shifts.device))
        self.activations = {step.name for step in self.steps if _is_activation(step)}
        self.unquantized = {
            step.step.input
            for step in self.steps
            if isinstance(step, FoldedRequantizer) and not isinstance(step.step, Activate)
        }
        self.weights = {
            folding.layer(step.step): (folding.dequantized(step), step.name)
            for step in self.steps
            if isinstance(step, FoldedLayer)
        }

    def compare_weights(self) -> Iterator[Distance]:
        """Yield the distance of each layer's weights."""
        for layer, (integers, name) in self.weights.items():
            twin = layer.quantizer(layer.layer.weight).double()
            off = _relative(integers.double() - twin, twin, torch.zeros_like(twin), _TINY)
            yield Distance(name, "weights", off, "", off)

    def compare(self, twins: Iterable[tuple[Symbol, Tensor]]) -> Iterator[Distance]:
        """Yield the distance of each tensor."""
        named: dict[str, list[tuple[Codes | Accumulators, Tensor]]] = {}
        for symbol, value in twins:
            if isinstance(symbol, Codes | Accumulators):
                named.setdefault(symbol.name, []).append((symbol, value.double()[: len(self.pixels)]))
        made: dict[str, _Made] = {}
        previous = ""
        for step in self.steps:
            now = made[step.name] = self._run(step, [made[name] for name in read_by(step)])
            for symbol, twin in named.get(step.name, []) if not isinstance(step, FoldedReadout) else []:
                if isinstance(symbol, Codes):
                    if symbol.unit == self.steps[0].name:
                        continue  # pixels stand for themselves
                    codes = twin / self.scales[step.name].step
                    yield self._codes(step, now, codes, previous, on_grid=symbol.unit in self.activations)
                    if symbol.unit in self.activations:
                        nothing = torch.zeros_like(codes)
                        made[step.name] = _Made(codes.round().float(), codes, nothing.float(), nothing, nothing)
                else:
                    yield self._accumulators(step, now, twin, previous, symbol)
                    if step.name in self.unquantized and not symbol.pools:
                        made[step.name] = self._renewed(step, now, twin)
                previous = step.name
            if isinstance(step, FoldedReadout):
                yield self._logits(step, now, named[step.name][-1][1], previous)

    def _codes(self, step: Folded, now: _Made, twin: Tensor, previous: str, *, on_grid: bool) -> Distance:
        apart = (now.exact - twin).abs() - 0.5 - now.slack
        grid = (twin - twin.round()).abs() if on_grid else torch.zeros_like(twin)  # its values lie on the same grid
        off, excused = (
            _relative(error.clamp(min=0).maximum(grid), twin, now.clipped, _LEAST_CODE)
            for error in (apart, apart - now.biases)
        )
        return Distance(step.name, "values", off, previous, excused)

    def _accumulators(
        self, step: Folded, now: _Made, twin: Tensor, previous: str, symbol: Codes | Accumulators
    ) -> Distance:
        values, slack, biases = (_pooled(each, symbol) for each in self._values(step, now))
        apart, clipped = (values - twin).abs() - slack, _pooled(now.clipped, symbol)
        off, excused = (
            _relative(error.clamp(min=0), twin, clipped, self._unit(step)) for error in (apart, apart - biases)
        )
        return Distance(step.name, "values", off, previous, excused)

    def _renewed(self, step: Folded, now: _Made, twin: Tensor) -> _Made:
        """Return the integers, with fractions, that stand for the values of the twin."""
        scale = self.scales[step.name]
        unit = scale.step if scale.gain is None else scale.step * _ops.per_channel(scale.gain, twin)
        more = (twin - self._values(step, now)[0]) / unit
        exact = torch.where(more.abs() <= EXACT, now.exact + more, now.exact)  # a gain of nothing makes no integers
        nothing = torch.zeros_like(exact)
        return _Made(exact.float(), exact, nothing.float(), nothing, nothing)

    def _logits(self, step: FoldedReadout, now: _Made, twin: Tensor, previous: str) -> Distance:
        clipped = now.clipped.amax(1, keepdim=True).expand_as(twin)
        error, centred = (_centred(now.exact - twin).abs() - now.slack).clamp(min=0), _centred(twin)
        off = _relative(error, centred, clipped, _TINY)
        apart = ((now.exact - twin).abs() - 0.5 * step.scale).clamp(min=0)
        excused = _relative(apart, twin, clipped, float(step.scale.max()))
        return Distance(step.name, "values", off, previous, excused)

    def _run(self, step: Folded, read: list[_Made]) -> _Made:
        if isinstance(step, Input):
            nothing = torch.zeros_like(self.pixels)
            return _Made(self.pixels, self.pixels.double(), nothing, nothing.double(), nothing.double())
        value = execute(step, tuple(each.value for each in read))
        exact, clipped, slack = value.double(), torch.zeros_like(value), torch.zeros_like(value, dtype=torch.float64)
        biases = slack
        match step:
            case FoldedRequantizer():
                free = _ops.scaled(read[0].value.double(), step.numbers)
                factor = _ops.per_channel(step.numbers.factor, free).abs()
                exact, clipped = free.clamp(step.numbers.low, step.numbers.high), read[0].clipped
                slack, biases = read[0].slack * factor, (read[0].biases + 0.5) * factor
                if not isinstance(step.step, Activate):
                    slack = slack + 0.5
                if isinstance(step.step, Operand):
                    clipped = ((free - exact).abs() > 0.5).float().maximum(clipped)
            case FoldedSum():
                slack, biases = (
                    _ops.add(parts, step.shifts)
                    for parts in ([each.slack for each in read], [each.biases for each in read])
                )
                clipped = torch.stack([each.clipped for each in read]).amax(0)
            case FoldedCurve():
                steep = _ops.look_up(read[0].value, step.slopes, step.slopes, low=step.low).abs().double()
                clipped, slack, biases = read[0].clipped, (read[0].slack + 0.5) * steep + 0.5, read[0].biases * steep
            case Multiply():
                left, right = (each.value.abs().double() for each in read)
                slack = read[0].slack * right + read[1].slack * left
                biases = read[0].biases * right + read[1].biases * left
                clipped = read[0].clipped.maximum(read[1].clipped)
            case MaxPool() | AveragePool() | SumPool() | Subsample() | Flatten() | Select() | Join() | Affine():
                exact, clipped, slack, biases = (
                    execute(step, tuple(getattr(each, part) for each in read))
                    for part in ("exact", "clipped", "slack", "biases")
                )
            case FoldedLayer():
                clipped = _reached(step, read[0].clipped) if read[0].clipped.any() else clipped
                if read[0].slack.any():  # roundings are independent: their squares add up
                    squares = replace(step, weights=step.weights.square(), zero=0)
                    slack = execute(squares, (read[0].slack.square().float(),)).double().sqrt()
            case FoldedReadout():
                clipped = read[0].clipped.flatten(2).amax(2) if read[0].clipped.dim() > 2 else read[0].clipped
                slack = (
                    execute(replace(step, bias=torch.zeros_like(step.bias)), (read[0].slack.float(),)).abs().double()
                )
            case _:
                assert_never(step)
        return _Made(value, exact, clipped, slack, biases)

    def _values(self, step: Folded, made: _Made) -> tuple[Tensor, Tensor, Tensor]:
        """Return what accumulators stand for, their slack, and what rounding biases explains."""
        scale = self.scales[step.name]
        values, slack, biases = (part * scale.step for part in (made.exact, made.slack, made.biases))
        if scale.gain is not None:
            gain = _ops.per_channel(scale.gain, values)
            values, slack, biases = values * gain, slack * gain.abs(), biases * gain.abs()
        return (values if scale.shift is None else values + _ops.per_channel(scale.shift, values)), slack, biases

    def _unit(self, step: Folded) -> float:
        """Return the value of one accumulator step, where it is largest."""
        scale = self.scales[step.name]
        return float(scale.step if scale.gain is None else scale.step * scale.gain.abs().max())


def _reached(step: FoldedLayer, clipped: Tensor) -> Tensor:
    """1 where a layer reads something that was clipped, else 0."""
    return (execute(replace(step, weights=torch.ones_like(step.weights), zero=0), (clipped,)) > 0).float()


def _is_activation(step: Folded) -> bool:
    return isinstance(step, FoldedRequantizer) and isinstance(step.step, Activate)


def _centred(logits: Tensor) -> Tensor:
    """Without their mean over the classes, which softmax ignores."""
    return logits - logits.mean(1, keepdim=True)


def _pooled(values: Tensor, symbol: Codes | Accumulators) -> Tensor:
    """Behind the max pools that wait for a quantizer."""
    for name, kernel, stride, pads in symbol.pools if isinstance(symbol, Accumulators) else ():
        values = _ops.pool(MaxPool(name, symbol.name, kernel, stride, pads), [values])
    return values


def _relative(error: Tensor, twin: Tensor, clipped: Tensor, least: float) -> float:
    """Return the root mean square of the error over that of the twin; infinite where it is no number."""
    free = clipped == 0
    if not free.any():
        return 0.0
    off = error[free].square().mean().sqrt() / twin.square().mean().sqrt().clamp(min=max(least, _TINY))
    return float(off.nan_to_num(nan=float("inf")))
