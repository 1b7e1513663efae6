"""How the values of the user's arrays become pixels 0 ... 255: as they are, by a rule that is said, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped, UInt8

_NUMBERS = "buif"
_FULL = 2**15  # a 16-bit image that never uses its highest bit may have 12 bits, or 10
_BRIGHT = 127

Values = Shaped[np.ndarray, "..."]


@dataclass(frozen=True)
class Range:
    """The values of an array.

    Args:
        low, high: of the finite values.
        whole: whether they are whole numbers.
        levels: whether they are multiples of 1/255, as far as their type can say.
        odd: how many are NaN or infinite.
    """

    low: float
    high: float
    whole: bool = True
    levels: bool = False
    odd: int = 0

    def __or__(self, other: Range) -> Range:
        return Range(
            min(self.low, other.low),
            max(self.high, other.high),
            self.whole and other.whole,
            self.levels and other.levels,
            self.odd + other.odd,
        )


@dataclass(frozen=True)
class Levels:
    """How values become pixels.

    Args:
        rule: the line of NumPy, with `images` for the values; empty where they are pixels already.
        apply: does it.
    """

    rule: str
    apply: Callable[[Values], UInt8[np.ndarray, "..."]]


def is_number(dtype: np.dtype[np.generic]) -> bool:
    """Whether values of this type can be pixels at all."""
    return dtype.kind in _NUMBERS


def look(chunks: Iterable[Values]) -> Range:
    """Read all of an array, a few images at a time."""
    span: Range | None = None
    for values in chunks:
        now = _look(values)
        span = now if span is None else span | now
    return span or Range(0, 0)


def levels(dtype: np.dtype[np.generic], train: Range, every: Range) -> Levels | str:
    """Return what is done with values of this type, or, where their meaning is not clear, how the user says what it is.

    Taken as they are: uint8, and whole numbers 0 ... 255 of any type. By a rule: truth values (white is true), floats
    that are multiples of 1/255, and uint16 that uses its highest bit (65535 is white). Nothing else, because it would
    lose something, or mean something that only the user knows.

    Args:
        dtype: of both parts.
        train: the values of the training images.
        every: those of both parts.

    Returns:
        How, or the repair: one line of NumPy in backquotes, with `images` for each of the two arrays.
    """
    pixels = every.low >= 0 and every.high <= 255 and every.whole
    if dtype == np.uint8:
        return Levels("", lambda values: values.astype(np.uint8, copy=False))
    if dtype.kind == "b":
        return Levels("images * np.uint8(255)", lambda values: values * np.uint8(255))
    if every.odd:
        return (
            f"{every.odd} values are NaN or infinite: say what they are, such as black with "
            "`np.nan_to_num(images, nan=0, posinf=0, neginf=0)`, or leave these images out"
        )
    if dtype.kind == "f" and every.low >= 0 and every.high <= 1:
        if every.levels:
            return Levels("np.round(images * 255).astype(np.uint8)", _of_unit)
        return "save `np.round(images.astype(float) * 255).astype(np.uint8)`, which rounds them to 8 bits"
    if pixels and every.high > 1:
        return Levels("", lambda values: values.astype(np.uint8))
    if pixels:
        return (
            "save `(images * 255).astype(np.uint8)` where 1 is white, or `images.astype(np.uint8)` where these are "
            "pixels of 0 ... 255"
        )
    if (dtype.kind, dtype.itemsize) == ("u", 2) and every.high >= _FULL:
        return Levels("np.round(images / 257).astype(np.uint8)", lambda values: np.round(values / 257).astype(np.uint8))
    if dtype == np.int8:
        return (
            "save `images.view(np.uint8)` where these are bytes 0 ... 255 of the wrong type, or "
            "`(images.astype(np.int16) + 128).astype(np.uint8)` where 0 is grey"
        )
    return _linear(dtype, train, every)


def _look(values: Values) -> Range:
    if values.dtype.kind != "f":
        return Range(float(values.min()), float(values.max()))
    finite = values[np.isfinite(values)].astype(np.float64)
    odd = values.size - finite.size
    if not finite.size:
        return Range(0, 0, odd=odd)
    most = 255 * float(np.finfo(values.dtype).eps)
    scaled = finite * 255
    return Range(
        float(finite.min()),
        float(finite.max()),
        whole=bool((finite == np.round(finite)).all()),
        levels=bool((np.abs(scaled - np.round(scaled)) <= max(most, 1e-6)).all()),
        odd=odd,
    )


def _of_unit(values: Values) -> UInt8[np.ndarray, "..."]:
    return np.round(values.astype(np.float64) * 255).astype(np.uint8)


def _linear(dtype: np.dtype[np.generic], train: Range, every: Range) -> str:
    if every.low >= 0 and _BRIGHT < every.high <= 255:
        return "save `np.round(images).astype(np.uint8)`, which rounds them to 8 bits"
    low, high = (-1.0, 1.0) if dtype.kind == "f" and every.low >= -1 and every.high <= 1 else (train.low, train.high)
    if low == high:
        return "the training images have a single value; save the images that are meant"
    return (
        f"what is black and what is white? With the range of the training images: save `np.round(np.clip(("
        f"images.astype(float) - {low!r}) / ({high!r} - {low!r}), 0, 1) * 255).astype(np.uint8)` of both parts, and "
        "feed the exported network in the same way"
    )
