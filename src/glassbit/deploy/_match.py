"""From the layers and functions that a network calls to the steps of a program."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from glassbit.intgraph import (
    EXACT,
    LEAST_CLASSES,
    AveragePool,
    Flatten,
    Input,
    MaxPool,
    Multiply,
    Select,
    Subsample,
    SumPool,
)
from glassbit.quant import ActivationQuantizer, QuantizedConv2d, QuantizedLinear

from ._geometry import NO_PADS, geometry, of_the_layer, shortest, too_wide
from ._program import (
    Activate,
    Affine,
    Clip,
    Constant,
    Curve,
    Join,
    Norm,
    Operand,
    Pads,
    Pair,
    Program,
    Readout,
    Rescale,
    Step,
    Sum,
    Weighted,
    reads,
)
from ._symbols import BLANK, UNKNOWN, Accumulators, Arranged, Codes, Lost, Padded, RefusedError, Symbol, Unknown
from ._windows import Windows

_IMAGE = "image"
_LARGEST_SUM = 255 * EXACT // 256
"""Of an average pool, whose requantizer to 0..255 has at least the factor 2^-16."""
_LEAST = -128


class Builder:
    """Collects the steps of a network, one called operation after the other.

    What reads codes gets them: signed codes are made of accumulators where no quantizer made codes.

    Args:
        channels, height, width: of the image.
        zero: the pixel that counts as zero.
        signed: bits of those signed codes.
    """

    def __init__(self, channels: int, height: int, width: int, zero: int, signed: int = 8) -> None:
        self.steps: list[Step] = [Input(_IMAGE, channels, height, width, zero)]
        self.peaks: list[float] = []
        self.image: Symbol = Codes(_IMAGE, _IMAGE)
        self._names = {_IMAGE}
        self._highest = {_IMAGE: 255}
        self._signed_bits = signed
        self._least = -(2 ** (signed - 1))
        self._signed: dict[Accumulators, Codes] = {}
        self._unsigned: set[str] = set()
        self._heads: dict[str, tuple[str, int]] = {}

    def weighted(self, name: str, module: QuantizedConv2d | QuantizedLinear, x: Symbol, value: Tensor) -> Symbol:
        """Return the accumulators of a layer with weights."""
        if isinstance(x, Lost) and isinstance(module, QuantizedLinear):
            return x
        reasons = [*of_the_layer(module, value)]
        if reasons:
            raise RefusedError(*reasons)
        codes, pads = self._padded(x, value)
        if isinstance(module, QuantizedConv2d):
            left, right, top, bottom = module.pads(*value.shape[2:])
            pads = (pads[0] + top, pads[1] + left, pads[2] + bottom, pads[3] + right)
            if reason := too_wide(module.layer, pads):
                raise RefusedError(reason)
        made = self._fresh(name)
        if isinstance(module, QuantizedLinear):
            self.steps.append(Weighted(made, codes.name, name))
        else:
            shape = geometry(module.layer, pads)
            self.steps.append(Weighted(made, codes.name, name, shape.stride, shape.padding, shape.dilation))
        return Accumulators(made, made)

    def affine(self, name: str, x: Symbol, value: Tensor, by: Norm | Constant) -> Symbol:
        """Return the same integers with another meaning: BatchNorm, and products and sums with constants."""
        if isinstance(x, Unknown):
            return x
        if not isinstance(x, Accumulators) or x.pools:
            x = self._codes(x, value)
            if x.unit == _IMAGE:
                raise RefusedError("the image must be read by a convolution or a linear layer before it is scaled")
        made = self._fresh(name)
        self.steps.append(Affine(made, x.name, by))
        if isinstance(x, Accumulators):
            return Accumulators(made, x.source)
        if isinstance(by, Constant) and by.keeps_codes:
            self._highest[made] = self._highest.get(x.unit, 255)
            return Codes(made, made, x.low)
        return Accumulators(made, x.name)

    def activation(self, name: str, module: ActivationQuantizer, x: Symbol, value: Tensor) -> Symbol:
        """Return the codes of an activation quantizer."""
        x = self._readable(x, value)
        if isinstance(x, Codes) and x.unit == _IMAGE:
            raise RefusedError("an activation cannot read the image")
        made = self._fresh(name)
        self.steps.append(Activate(made, x.name, name))
        self._highest[made] = module.codes[1]
        return self._pooled(x, Codes(made, made))

    def clip(self, name: str, x: Symbol, value: Tensor, least: float, most: float) -> Symbol:
        """Return 8-bit codes of the values between two others."""
        if isinstance(x, Unknown):
            return x
        if not (math.isfinite(least) and math.isfinite(most) and least <= 0 <= most and least < most):
            raise RefusedError(f"it must clip at finite values around 0; got {least:g} and {most:g}; use an nn.ReLU6")
        x = self._readable(x, value)
        if isinstance(x, Codes) and x.unit == _IMAGE:
            raise RefusedError("an activation cannot read the image")
        made = self._fresh(name)
        self.steps.append(Clip(made, x.name, least, most))
        return self._pooled(x, Codes(made, made, 0 if least == 0 else None))

    def curve(
        self,
        name: str,
        x: Symbol,
        value: Tensor,
        function: str,
        options: tuple[tuple[str, float | str], ...],
        weight: str,
    ) -> Symbol:
        """Return a function of each code."""
        if isinstance(x, Unknown):
            return x
        codes = self._codes(x, value)
        if codes.unit == _IMAGE:
            raise RefusedError("an activation cannot read the image")
        made = self._fresh(name)
        self.steps.append(Curve(made, codes.name, function, options, weight))
        return Codes(made, made, None)

    def add(self, name: str, left: Symbol, right: Symbol, left_value: Tensor, right_value: Tensor) -> Symbol:
        """Return the sum of two branches."""
        if left_value.shape != right_value.shape:
            raise RefusedError(
                f"a sum needs two maps of one shape; got {tuple(left_value.shape)} and {tuple(right_value.shape)}"
            )
        left, right = self._term("a sum", left, left_value), self._term("a sum", right, right_value)
        made = f"{name}.sum" if name else "sum"
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            made = self._fresh(made)
            self.steps.append(Sum(made, (BLANK.name, BLANK.name)))
            return Accumulators(made, made)
        if isinstance(left, Codes):
            right = self._operand(right, left, right_value)
        elif isinstance(right, Codes):
            left = self._operand(left, right, left_value)
        else:
            left, right = self._codes(left, left_value), self._codes(right, right_value)
        assert isinstance(left, Codes)
        made = self._fresh(made)
        self.steps.append(Sum(made, (left.name, right.name)))
        return Accumulators(made, made)

    def multiply(self, name: str, left: Symbol, right: Symbol, left_value: Tensor, right_value: Tensor) -> Symbol:
        """Return the product of two maps, or of a map and a gate per channel."""
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            return UNKNOWN
        if left_value.numel() < right_value.numel():
            left, right, left_value, right_value = right, left, right_value, left_value
        gate = (*left_value.shape[:2], *[1] * (left_value.dim() - 2))
        if tuple(right_value.shape) not in (tuple(left_value.shape), gate):
            raise RefusedError(
                "a product needs two maps of one shape, or a map and a gate (n, c, 1, 1); got "
                f"{tuple(left_value.shape)} and {tuple(right_value.shape)}"
            )
        map_, gate_ = self._codes(left, left_value), self._codes(right, right_value)
        if _IMAGE in (map_.unit, gate_.unit):
            raise RefusedError("a product cannot read the image")
        made = self._fresh(f"{name}.product" if name else "product")
        self.steps.append(Multiply(made, map_.name, gate_.name))
        return Accumulators(made, made)

    def concat(self, name: str, parts: list[Symbol], values: list[Tensor]) -> Symbol:
        """Return maps side by side, along the channels."""
        if any(isinstance(part, Unknown) for part in parts):
            return UNKNOWN
        if len(parts) == 1:
            return parts[0]
        every = [self._term("a concatenation", part, value) for part, value in zip(parts, values, strict=True)]
        every = [
            self._codes(part, value) if isinstance(part, Accumulators) and part.name in self._unsigned else part
            for part, value in zip(every, values, strict=True)
        ]
        if any(not isinstance(part, Codes) or part.low != 0 for part in every):
            every = [
                part if isinstance(part, Codes) and part.low == self._least else self._resigned(part, value)
                for part, value in zip(every, values, strict=True)
            ]
        codes = [part for part in every if isinstance(part, Codes)]
        made = self._fresh(name)
        widths = tuple(value.shape[1] for value in values)
        self.steps.append(Join(made, tuple(part.name for part in codes), widths))
        if len({part.unit for part in codes}) == 1:
            return Codes(made, codes[0].unit, codes[0].low)
        if codes[0].low == 0:
            self._unsigned.add(made)
        return Accumulators(made, made)

    def arranged(self, name: str, x: Symbol, value: Tensor, symbol: Arranged) -> Symbol:
        """Return what another order of elements holds: a list of channels, or something that is no map yet.

        Args:
            name: of the new tensor.
            x, value: what is arranged.
            symbol: the places of the elements.
        """
        if isinstance(x, Unknown):
            return x
        whole = math.prod(symbol.shape)
        if symbol.places.numel() == whole and bool((symbol.places.flatten().diff() == 1).all()):
            if tuple(symbol.places.shape) == symbol.shape:
                return symbol.of
            if symbol.places.shape == (symbol.shape[0], whole // symbol.shape[0]):
                return self.flatten(name, symbol.of, value.reshape(symbol.shape))
        channels = _channels(symbol)
        if channels is None:
            return symbol
        if len(set(channels)) < len(channels):
            raise RefusedError("channels must each be chosen once; concatenate them instead")
        codes = self._codes(symbol.of, value)
        if codes.unit == _IMAGE:
            raise RefusedError("the channels of the image must stay as they are")
        made = self._fresh(name)
        self.steps.append(Select(made, codes.name, channels))
        return replace(codes, name=made)

    def pad(self, x: Symbol, value: Tensor, pads: Pads) -> Symbol:
        """Return a map with zeros around it."""
        if isinstance(x, Unknown):
            return x
        codes, before = self._padded(x, value)
        if min(pads) < 0:
            raise RefusedError(f"padding must not be negative; got {pads}; slice the map")
        top, left, bottom, right = (a + b for a, b in zip(before, pads, strict=True))
        return Padded(codes, (top, left, bottom, right))

    def max_pool(self, name: str, x: Symbol, value: Tensor, kernel: Pair, stride: Pair, padding: Pads) -> Symbol:
        """Return the largest of each window; padding never wins."""
        if isinstance(x, Accumulators):
            return replace(x, pools=(*x.pools, (name, kernel, stride, padding)))
        if isinstance(x, Unknown):
            return x
        codes, pads = self._padded(x, value)
        if codes.unit == _IMAGE and (padding != NO_PADS or pads != NO_PADS):
            raise RefusedError("a max pool of the image must have no padding")
        if pads != NO_PADS and codes.low != 0:
            raise RefusedError("a max pool must not read padding of zeros around signed values; put an nn.ReLU before")
        top, left, bottom, right = (own + more for own, more in zip(padding, pads, strict=True))
        made = self._fresh(name)
        self.steps.append(MaxPool(made, codes.name, kernel, stride, shortest((top, left, bottom, right))))
        return Codes(made, codes.unit, codes.low)

    def average_pool(
        self, name: str, x: Symbol, value: Tensor, rows: Windows, columns: Windows, divisor: int = 1
    ) -> Symbol:
        """Return the mean of each window; `divisor` divides it once more.

        Means of unsigned codes are codes of 8 bits. Those of signed ones are much smaller than the codes, and get a
        step from the images.
        """
        divisor *= rows.divisor * columns.divisor
        kernel, stride = (rows.kernel, columns.kernel), (rows.stride, columns.stride)
        if (kernel == stride == (1, 1) and divisor == 1) or isinstance(x, Unknown):
            return x
        codes = self._codes(x, value)
        if codes.unit == _IMAGE:
            raise RefusedError("an average pool cannot read the image")
        pool = SumPool(self._fresh(name), codes.name, rows.weighted, columns.weighted)
        highest = self._highest.get(codes.unit, 255)
        if pool.reach * highest > _LARGEST_SUM:
            raise RefusedError(
                "the sums of an average pool must be at most 255 x 2^16, so that float32 rounds as integers do; "
                f"got up to {pool.reach} x {highest}; make its windows smaller or of one size, or give the activation "
                "before it fewer bits"
            )
        even = None if kernel[0] is None or kernel[1] is None else (kernel[0], kernel[1])
        mean, made = self._fresh(f"{name}.sums"), self._fresh(f"{name}.mean")
        self.steps += [AveragePool(pool.name, pool.input, even, stride) if even else pool]
        self.steps.append(Affine(mean, pool.name, Constant(divisor=divisor)))
        signed = codes.low != 0
        if not signed:
            self.steps.append(Rescale(made, mean))
        if even == tuple(value.shape[2:]) and divisor == math.prod(even):  # a head, if nothing follows
            head = (x.name, divisor) if isinstance(x, Accumulators) and not x.pools else (mean, 1)
            self._heads[mean if signed else made] = head
        return Accumulators(mean, mean) if signed else Codes(made, made)

    def subsample(self, name: str, x: Symbol, value: Tensor, stride: Pair, channels: int) -> Symbol:
        """Return every second pixel, and channels of zeros."""
        if isinstance(x, Unknown):
            return x
        codes = self._codes(x, value)
        if codes.unit == _IMAGE:
            raise RefusedError("a shortcut cannot read the image")
        made = self._fresh(name)
        self.steps.append(Subsample(made, codes.name, stride, channels))
        return replace(codes, name=made)

    def flatten(self, name: str, x: Symbol, value: Tensor) -> Symbol:
        """Return features of maps."""
        if isinstance(x, Unknown):
            return x
        codes = self._codes(x, value)
        made = self._fresh(name)
        self.steps.append(Flatten(made, codes.name))
        known = self._heads.get(x.name if isinstance(x, Accumulators) else codes.name)
        if known is not None:
            self._heads[made] = known
        elif isinstance(x, Accumulators) and not x.pools and tuple(value.shape[2:]) == (1, 1):
            self._heads[made] = (x.name, 1)
        return replace(codes, name=made)

    def finish(self, x: Symbol, value: Float[Tensor, "..."]) -> Program:
        """Return the program that ends with the logits."""
        if isinstance(x, Lost):
            return Program(tuple(self.steps), ())
        head = self._heads.get(x.name) if isinstance(x, Codes | Accumulators) else None
        if head is None and isinstance(x, Accumulators) and not x.pools:
            head = (x.name, 1)
        if value.dim() != 2 or not (head or isinstance(x, Unknown)):
            what = "what comes last are codes; an nn.Linear at the end makes another network, to be trained anew"
            raise RefusedError(
                "the logits (n, classes) must come straight from a quantized linear layer, or be means of maps; "
                + (what if isinstance(x, Codes) else f"got a tensor of {tuple(value.shape)}")
            )
        if value.shape[1] < LEAST_CLASSES:
            raise RefusedError(f"there must be {LEAST_CLASSES} classes or more; got {value.shape[1]}")
        self.steps.append(Readout(self._fresh("logits"), *(head or (BLANK.name, 1)), value.shape[1]))
        return Program(self._used(), tuple(self.peaks))

    def _used(self) -> tuple[Step, ...]:
        """Return the steps that the last one depends on; a network may compute what it then leaves aside."""
        wanted, kept = {_IMAGE, self.steps[-1].name}, []
        for step in reversed(self.steps):
            if step.name in wanted:
                wanted.update(reads(step))
                kept.append(step)
        return tuple(reversed(kept))

    def _term(self, reader: str, x: Symbol, value: Tensor) -> Codes | Accumulators | Unknown:
        """`x` in a sum or beside others: signed codes where they were made of it before."""
        if isinstance(x, Unknown):
            return x
        x = self._readable(x, value)
        if isinstance(x, Codes) and x.unit == _IMAGE:
            raise RefusedError(f"{reader} cannot read the image")
        if isinstance(x, Accumulators):
            return self._codes(x, value) if x.pools else self._signed.get(x, x)
        return x

    def _operand(self, x: Codes | Accumulators, unit: Codes | None, value: Tensor) -> Codes:
        """`x` as signed codes whose step is a power of two times the unit's."""
        if isinstance(x, Codes) and unit is not None and x.unit == unit.unit:
            return x
        return self._recoded(x, None if unit is None else unit.unit, value)

    def _recoded(self, x: Codes | Accumulators, unit: str | None, value: Tensor) -> Codes:
        """`x` as signed codes, their step chosen from the values that it has."""
        source = x.source if isinstance(x, Accumulators) else x.name
        made = self._fresh(f"{source}.operand")
        self.steps.append(Operand(made, x.name, unit, len(self.peaks), self._signed_bits))
        self.peaks.append(float(value.detach().abs().max()))
        self._highest[made] = -self._least
        return self._pooled(x, Codes(made, made, self._least))

    def _resigned(self, x: Codes | Accumulators | Unknown, value: Tensor) -> Codes:
        """`x` as signed codes, of its own step where it has one."""
        if not isinstance(x, Codes):
            return self._codes(x, value)
        key = Accumulators(x.name, x.name)
        if key not in self._signed:
            self._signed[key] = self._recoded(x, x.unit, value)
        return self._signed[key]

    def _codes(self, x: Symbol, value: Tensor) -> Codes:
        """`x` as codes with one step: accumulators become signed ones, once however many read them."""
        if isinstance(x, Unknown):
            return BLANK
        x = self._readable(x, value)
        if isinstance(x, Codes):
            return x
        if x not in self._signed:
            if x.name in self._unsigned and not x.pools:
                made = self._fresh(f"{x.name}.codes")
                self.steps.append(Rescale(made, x.name))
                self._signed[x] = Codes(made, made)
            else:
                self._signed[x] = self._operand(x, None, value)
        return self._signed[x]

    def _readable(self, x: Symbol, value: Tensor) -> Codes | Accumulators:
        """`x`, which must be a map or features as they are."""
        if isinstance(x, Unknown):
            return BLANK
        if isinstance(x, Padded):
            raise RefusedError(
                f"padding of zeros {x.pads} must be read by a convolution or a pool; give the padding to that layer"
            )
        if isinstance(x, Arranged):
            raise RefusedError(
                f"the elements of {x.of.name} must keep their pixels; got another order, of shape "
                f"{tuple(value.shape)}; only channels may be chosen, shuffled and flattened"
            )
        assert isinstance(x, Codes | Accumulators)
        return x

    def _padded(self, x: Symbol, value: Tensor) -> tuple[Codes, Pads]:
        return (x.codes, x.pads) if isinstance(x, Padded) else (self._codes(x, value), NO_PADS)

    def _pooled(self, x: Codes | Accumulators, codes: Codes) -> Codes:
        """Return the max pools that waited for the quantizer of `x`."""
        for name, kernel, stride, padding in x.pools if isinstance(x, Accumulators) else ():
            made = self._fresh(name)
            self.steps.append(MaxPool(made, codes.name, kernel, stride, shortest(padding)))
            codes = replace(codes, name=made)
        return codes

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


def _channels(symbol: Arranged) -> tuple[int, ...] | None:
    """Return the channels that were chosen, where each is whole and in its place in every image."""
    images, pixels = symbol.shape[0], math.prod(symbol.shape[2:])
    if symbol.places.dim() != len(symbol.shape) or symbol.places.shape[2:] != symbol.shape[2:]:
        return None
    if len(symbol.places) != images or not symbol.places.numel():
        return None
    chosen = symbol.places[0].reshape(symbol.places.shape[1], -1)[:, 0] // pixels
    every = torch.arange(math.prod(symbol.shape), dtype=symbol.places.dtype).view(symbol.shape)
    same = chosen.max() < symbol.shape[1] and bool((every[:, chosen.long()] == symbol.places).all())
    return tuple(chosen.tolist()) if same else None
