"""The geometry of layers with weights: what their options must be, and four-sided padding."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from typing import SupportsIndex

from torch import Tensor, nn

from glassbit.quant import QuantizedConv2d, QuantizedLinear

from ._program import Pads, Pair

NO_PADS: Pads = (0, 0, 0, 0)


@dataclass(frozen=True)
class Geometry:
    """How the windows of a convolution lie; see `Weighted`."""

    stride: Pair
    padding: Pads
    dilation: Pair


def geometry(layer: nn.Conv2d, around: Pads) -> Geometry:
    """Return the windows of a convolution.

    Args:
        layer: the convolution.
        around: zeros that already lie around the map.
    """
    top, left, bottom, right = (own + more for own, more in zip(_padding(layer), around, strict=True))
    return Geometry(pair(layer.stride), (top, left, bottom, right), pair(layer.dilation))


def too_wide(layer: nn.Conv2d, around: Pads) -> str | None:
    """Return why padding is too much: windows of nothing but zeros; None where it is not."""
    shape = geometry(layer, around)
    reach = [d * (size - 1) + 1 for size, d in zip(pair(layer.kernel_size), shape.dilation, strict=True)]
    if all(pad < size for pad, size in zip(shape.padding, reach * 2, strict=True)):
        return None
    return f"padding must be below the kernel {tuple(reach)}; got {shortest(shape.padding)}; pad less"


def of_the_layer(module: QuantizedConv2d | QuantizedLinear, value: Tensor) -> Iterator[str]:
    """Yield what a layer with weights must be, whatever it reads."""
    if not module.quantizer.fits_int8:
        name, bits = type(module.quantizer).__name__, module.quantizer.bits
        yield f"{name} weights of {bits} bits do not fit int8; use sawb or lsq, or fewer bits"
    if isinstance(module, QuantizedLinear):
        if value.dim() != 2:
            yield f"a linear layer reads flat features (n, c); got {tuple(value.shape)}; flatten them before"
    elif module.layer.padding_mode != "zeros":
        yield f"padding must be of zeros; got padding_mode={module.layer.padding_mode!r}"


def _padding(layer: nn.Conv2d) -> Pads:
    """Return the padding of a convolution; "same" puts the odd pixel below and on the right, as torch does."""
    if layer.padding == "valid":
        return NO_PADS
    if layer.padding == "same":
        sizes = zip(pair(layer.kernel_size), pair(layer.dilation), strict=True)
        whole = [dilation * (size - 1) for size, dilation in sizes]
        return (whole[0] // 2, whole[1] // 2, whole[0] - whole[0] // 2, whole[1] - whole[1] // 2)
    assert not isinstance(layer.padding, str)
    return pair(layer.padding) * 2


def shortest(pads: Pads) -> Pads | Pair:
    """Return padding as a node has it: vertical and horizontal where opposite sides are equal."""
    return pads[:2] if pads[:2] == pads[2:] else pads


def pair(value: int | tuple[int, ...]) -> Pair:
    """Return height and width; NumPy's integers become Python's."""
    values = (value,) if isinstance(value, SupportsIndex) else tuple(value)
    return operator.index(values[0]), operator.index(values[-1])
