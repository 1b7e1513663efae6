"""From the layers that a network calls to the steps of a program."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import SupportsIndex

from jaxtyping import Float
from torch import Tensor, nn

from glassbit.intgraph import EXACT, LEAST_CLASSES, AveragePool, Flatten, Input, MaxPool, Subsample, SumPool
from glassbit.quant import ActivationQuantizer, QuantizedConv2d, QuantizedLinear

from ._program import Activate, Operand, Pair, Program, Readout, Rescale, Step, Sum, Weighted, reads
from ._windows import Windows

_IMAGE = "image"
_LARGEST_SUM = 255 * EXACT // 256
"""Of an average pool, whose requantizer to 0..255 has at least the factor 2^-16."""


@dataclass(frozen=True)
class Codes:
    """Codes of at most 8 bits.

    Args:
        name: of the tensor.
        unit: of the tensor whose step is theirs: pools keep it.
    """

    name: str
    unit: str


@dataclass(frozen=True)
class Accumulators:
    """Wide integers that wait for a quantizer.

    Args:
        name: of the tensor.
        origin: what made them: a layer, or a sum.
        normed: a BatchNorm is already folded in.
        pools: max pools that came before the quantizer; as it is monotone, they run after it.
    """

    name: str
    origin: str
    normed: bool = False
    pools: tuple[tuple[str, Pair, Pair, Pair], ...] = ()


@dataclass(frozen=True)
class Unknown:
    """A map or features that a refused operation made: taken for whatever the next operation reads."""


@dataclass(frozen=True)
class Lost(Unknown):
    """Numbers that a refused operation made and that are neither a map nor features."""


@dataclass(frozen=True)
class Stale:
    """What a tensor held, before it was changed in place under another name.

    Args:
        owner: the layer that changed it.
        reason: why it must not be read any more.
    """

    owner: str
    reason: str


Symbol = Codes | Accumulators | Unknown | Stale
UNKNOWN = Unknown()
LOST = Lost()
_BLANK = "?"
_NEW = "makes another network, to be trained anew"
_HEAD = f"what comes last are codes; an nn.Linear at the end {_NEW}"


class RefusedError(Exception):
    """Why one operation cannot be deployed; collected, and reported together with all others.

    Args:
        reasons: one or more.
    """

    def __init__(self, *reasons: str) -> None:
        super().__init__(*reasons)
        self.reasons = reasons


class Builder:
    """Collects the steps of a network, one called operation after the other.

    Args:
        channels, height, width: of the image.
        zero: the pixel that counts as zero.
    """

    def __init__(self, channels: int, height: int, width: int, zero: int) -> None:
        self.steps: list[Step] = [Input(_IMAGE, channels, height, width, zero)]
        self.peaks: list[float] = []
        self.image: Symbol = Codes(_IMAGE, _IMAGE)
        self._names = {_IMAGE}
        self._highest = {_IMAGE: 255}
        self._plain: set[str] = set()
        self._layers: dict[str, nn.Module] = {}

    def weighted(self, name: str, module: QuantizedConv2d | QuantizedLinear, x: Symbol, value: Tensor) -> Symbol:
        """Record a layer with weights."""
        if isinstance(x, Lost) and isinstance(module, QuantizedLinear):
            return x
        misread = self._misread(x, "reads")
        reasons = [*([misread] if misread else []), *_of_the_layer(module, value)]
        if reasons:
            raise RefusedError(*reasons)
        codes, made = self._codes(x, "reads"), self._fresh(name)
        self._layers[made] = module.layer
        if isinstance(module, QuantizedLinear):
            self.steps.append(Weighted(made, codes.name, name))
        else:
            layer = module.layer
            self.steps.append(Weighted(made, codes.name, name, None, pair(layer.stride), _padding(layer)))
        return Accumulators(made, "layer")

    def norm(self, name: str, module: nn.BatchNorm1d | nn.BatchNorm2d, x: Symbol) -> Symbol:
        """Record a BatchNorm as part of the layer in front of it."""
        if module.running_mean is None or module.running_var is None:
            raise RefusedError("it needs running statistics; build it with track_running_stats=True")
        if isinstance(x, Unknown):
            return x
        if not isinstance(x, Accumulators) or x.origin != "layer" or x.pools:
            raise RefusedError(
                "it must come right behind a quantized convolution or linear layer, to be folded into it"
            )
        if x.normed or x.name in self._plain:
            raise RefusedError(f"{x.name} must feed this BatchNorm and nothing else")
        index = next(index for index, step in enumerate(self.steps) if step.name == x.name)
        step = self.steps[index]
        assert isinstance(step, Weighted)
        if step.norm is not None:
            raise RefusedError(f"{x.name} must feed one BatchNorm; it feeds {step.norm} already")
        self.steps[index] = replace(step, norm=name)
        return replace(x, normed=True)

    def activation(self, name: str, module: ActivationQuantizer, x: Symbol) -> Symbol:
        """Record an activation quantizer."""
        if isinstance(x, Codes) and x.unit == _IMAGE:
            raise RefusedError("an activation cannot read the image")
        made = self._fresh(name)
        self.steps.append(Activate(made, self._taken(x), name))
        self._highest[made] = module.codes[1]
        return self._pooled(x, Codes(made, made))

    def add(self, name: str, left: Symbol, right: Symbol, left_value: Tensor, right_value: Tensor) -> Symbol:
        """Record a sum of two branches."""
        if left_value.shape != right_value.shape:
            raise RefusedError(
                f"a sum needs two maps of one shape; got {tuple(left_value.shape)} and {tuple(right_value.shape)}"
            )
        for side in (left, right):
            if isinstance(side, Accumulators) and side.pools:
                raise RefusedError(
                    f"a sum reads the max pool {side.pools[-1][0]} of {side.name}, which has no codes; put an "
                    "activation in front of the pool"
                )
            if isinstance(side, Codes) and side.unit == _IMAGE:
                raise RefusedError("a sum cannot read the image")
            if isinstance(side, Accumulators) and side.origin == "sum":
                raise RefusedError(f"a sum reads the sum {side.name}; put an activation between the two")
        made = f"{name}.sum" if name else "sum"
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            made = self._fresh(made)
            self.steps.append(Sum(made, _BLANK, _BLANK))
            return Accumulators(made, "sum")
        if isinstance(left, Codes):
            right = self._operand(right, left, right_value)
        elif isinstance(right, Codes):
            left = self._operand(left, right, left_value)
        else:
            left, right = self._operand(left, None, left_value), self._operand(right, None, right_value)
        assert isinstance(left, Codes)
        made = self._fresh(made)
        self.steps.append(Sum(made, left.name, right.name))
        return Accumulators(made, "sum")

    def max_pool(self, name: str, x: Symbol, kernel: Pair, stride: Pair, padding: Pair) -> Symbol:
        """Record the maximum of each window."""
        if isinstance(x, Accumulators):
            return replace(x, pools=(*x.pools, (name, kernel, stride, padding)))
        if isinstance(x, Unknown):
            return x
        assert isinstance(x, Codes)
        if x.unit == _IMAGE and padding != (0, 0):
            raise RefusedError("a max pool of the image must have no padding")
        made = self._fresh(name)
        self.steps.append(MaxPool(made, x.name, kernel, stride, padding))
        return Codes(made, x.unit)

    def average_pool(self, name: str, x: Symbol, rows: Windows, columns: Windows, divisor: int = 1) -> Symbol:
        """Record the mean of each window, as codes of 8 bits; `divisor` divides it once more."""
        divisor *= rows.divisor * columns.divisor
        kernel, stride = (rows.kernel, columns.kernel), (rows.stride, columns.stride)
        if (kernel == stride == (1, 1) and divisor == 1) or isinstance(x, Unknown):
            return x
        codes = self._codes(x, "averages")
        if codes.unit == _IMAGE:
            raise RefusedError("an average pool cannot read the image")
        pool = SumPool(self._fresh(name), codes.name, rows.weighted, columns.weighted)
        highest = self._highest[codes.unit]
        if pool.reach * highest > _LARGEST_SUM:
            raise RefusedError(
                "the sums of an average pool must be at most 255 x 2^16, so that float32 rounds as integers do; "
                f"got up to {pool.reach} x {highest}; make its windows smaller or of one size, or give the activation "
                "before it fewer bits"
            )
        made = self._fresh(f"{name}.mean")
        self._highest[made] = 255
        even = None if kernel[0] is None or kernel[1] is None else (kernel[0], kernel[1])
        self.steps += [AveragePool(pool.name, pool.input, even, stride) if even else pool]
        self.steps += [Rescale(made, pool.name, divisor)]
        return Codes(made, made)

    def subsample(self, name: str, x: Symbol, stride: Pair, channels: int) -> Symbol:
        """Every second pixel, and channels of zeros."""
        if isinstance(x, Unknown):
            return x
        codes = self._codes(x, "subsamples")
        if codes.unit == _IMAGE:
            raise RefusedError("a shortcut cannot read the image")
        made = self._fresh(name)
        self.steps.append(Subsample(made, codes.name, stride, channels))
        return Codes(made, codes.unit)

    def flatten(self, name: str, x: Symbol, value: Tensor) -> Symbol:
        """Flatten maps to features."""
        if isinstance(x, Unknown):
            return x
        codes = self._codes(x, "averages" if tuple(value.shape[2:]) == (1, 1) else "flattens")
        made = self._fresh(name)
        self.steps.append(Flatten(made, codes.name))
        return Codes(made, codes.unit)

    def finish(self, x: Symbol, value: Float[Tensor, "..."]) -> Program:
        """Return the program that ends with the logits."""
        if isinstance(x, Lost):
            return Program(tuple(self.steps), ())
        linear = {step.name for step in self.steps if isinstance(step, Weighted)}
        is_linear = isinstance(x, Accumulators) and x.name in linear and not x.pools
        if value.dim() != 2 or not (is_linear or isinstance(x, Unknown)):
            raise RefusedError(
                "the logits (n, classes) must come straight from a quantized linear layer; "
                + (_HEAD if isinstance(x, Codes) else f"got a tensor of {tuple(value.shape)}")
            )
        if value.shape[1] < LEAST_CLASSES:
            raise RefusedError(f"there must be {LEAST_CLASSES} classes or more; got {value.shape[1]}")
        self.steps.append(Readout(self._fresh("logits"), self._taken(x)))
        return Program(self._used(), tuple(self.peaks))

    def _used(self) -> tuple[Step, ...]:
        """Return the steps that the last one depends on; a network may compute what it then leaves aside."""
        wanted, kept = {_IMAGE, self.steps[-1].name}, []
        for step in reversed(self.steps):
            if step.name in wanted:
                wanted.update(reads(step))
                kept.append(step)
        return tuple(reversed(kept))

    def _operand(self, x: Symbol, unit: Codes | None, value: Tensor) -> Codes:
        """`x` as codes whose step is a power of two times the unit's."""
        if isinstance(x, Codes) and unit is not None and x.unit == unit.unit:
            return x
        name = self._taken(x)
        made = self._fresh(f"{name}.operand")
        self.steps.append(Operand(made, name, None if unit is None else unit.unit, len(self.peaks)))
        self.peaks.append(float(value.detach().abs().max()))
        result = self._pooled(x, Codes(made, made))
        assert isinstance(result, Codes)
        return result

    def _codes(self, x: Symbol, verb: str) -> Codes:
        """`x`, which must be codes.

        Args:
            verb: what the reader does with it.
        """
        misread = self._misread(x, verb)
        if misread:
            raise RefusedError(misread)
        return x if isinstance(x, Codes) else Codes(_BLANK, _BLANK)

    def _misread(self, x: Symbol, verb: str) -> str | None:
        """Why something that needs codes cannot read `x`."""
        if not isinstance(x, Accumulators):
            return None
        what = f"it {verb} {x.name} with no activation quantizer in between"
        if x.origin == "sum":
            return f"{what}: the signed values of a plain residual sum have no codes; an nn.ReLU behind the sum {_NEW}"
        layer = self._layers[x.name]
        if verb == "averages" and isinstance(layer, nn.Conv2d) and not x.pools:
            pointwise = layer.kernel_size == layer.stride == (1, 1) and _padding(layer) == (0, 0) and layer.groups == 1
            if pointwise:
                return (
                    f"{what}: a 1 x 1 convolution as the head; average and flatten before it, and put an nn.Linear "
                    "with its weights in its place, which computes the same"
                )
            return f"{what}; an nn.ReLU between them, or an nn.Linear behind the average in its place, {_NEW}"
        if verb == "reads":
            return (
                f"{what}: signed values between two layers (a linear bottleneck) have no codes; an nn.ReLU between "
                f"them {_NEW}"
            )
        return f"{what}; an nn.ReLU between them {_NEW}"

    def _taken(self, x: Symbol) -> str:
        """Return the name of what a quantizer is about to read."""
        if isinstance(x, Unknown):
            return _BLANK
        assert isinstance(x, Codes | Accumulators)
        if isinstance(x, Accumulators) and not x.normed:
            norm = next((step.norm for step in self.steps if isinstance(step, Weighted) and step.name == x.name), None)
            if norm is not None:
                raise RefusedError(f"it reads {x.name}, which must feed {norm} and nothing else")
            self._plain.add(x.name)
        return x.name

    def _pooled(self, x: Symbol, codes: Codes) -> Symbol:
        """Return the max pools that waited for the quantizer of `x`."""
        result: Symbol = codes
        for pool in x.pools if isinstance(x, Accumulators) else ():
            result = self.max_pool(pool[0], result, *pool[1:])
        return result

    def _fresh(self, name: str) -> str:
        """`name`, or with a number when it is taken: a layer may be called several times."""
        if not name.isprintable():
            raise RefusedError(f"the name of a layer must be printable; got {name!r}")
        unused, count = name, 1
        while unused in self._names:
            count += 1
            unused = f"{name}#{count}"
        self._names.add(unused)
        return unused


def _of_the_layer(module: QuantizedConv2d | QuantizedLinear, value: Tensor) -> Iterator[str]:
    """Yield what a layer with weights must be, whatever it reads."""
    if not module.quantizer.fits_int8:
        name, bits = type(module.quantizer).__name__, module.quantizer.bits
        yield f"{name} weights of {bits} bits do not fit int8; use sawb or lsq, or fewer bits"
    if isinstance(module, QuantizedLinear):
        if value.dim() != 2:
            yield f"a linear layer reads flat features (n, c); got {tuple(value.shape)}; flatten them before"
        return
    layer = module.layer
    if layer.padding_mode != "zeros":
        yield f"padding must be of zeros; got padding_mode={layer.padding_mode!r}"
    if pair(layer.dilation) != (1, 1):
        yield f"dilation must be 1; got {layer.dilation}"
    height, width = layer.kernel_size
    if layer.padding == "same" and (height % 2 == 0 or width % 2 == 0):
        yield f"padding='same' needs an odd kernel; got {layer.kernel_size}; give the padding in pixels"
    elif any(pad >= size for pad, size in zip(_padding(layer), layer.kernel_size, strict=True)):
        yield f"padding must be below the kernel {tuple(layer.kernel_size)}; got {_padding(layer)}"


def _padding(layer: nn.Conv2d) -> Pair:
    if layer.padding == "valid":
        return (0, 0)
    if layer.padding == "same":
        return (layer.kernel_size[0] // 2, layer.kernel_size[1] // 2)
    assert not isinstance(layer.padding, str)
    return pair(layer.padding)


def pair(value: int | tuple[int, ...]) -> Pair:
    """Height and width; NumPy's integers become Python's."""
    values = (value,) if isinstance(value, SupportsIndex) else tuple(value)
    return operator.index(values[0]), operator.index(values[-1])
