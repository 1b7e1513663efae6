"""What plain arguments must be: numbers that are numbers, words that are choices, networks that are networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from numbers import Integral, Real
from typing import Any

from glassbit._errors import UsageError
from glassbit._text import brief


def is_whole(value: Any, least: float = -math.inf, most: float = math.inf) -> bool:
    """Whether `value` is an integer (of Python or NumPy, not a bool) from `least` to `most`."""
    return isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) <= most


def is_real(value: Any, least: float = -math.inf, most: float = math.inf) -> bool:
    """Whether `value` is a finite number (of Python or NumPy, not a bool) from `least` to `most`."""
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        number = float(value)
    except OverflowError:
        return False
    return math.isfinite(number) and least <= number <= most


def is_word(value: Any, choices: Sequence[str]) -> bool:
    """Whether `value` is one of the words."""
    return isinstance(value, str) and value in choices


def require(owner: str, name: str, holds: bool, must: str, got: object, repair: str) -> None:
    """Refuse an argument that does not hold.

    Args:
        owner: what takes it.
        name: how it is called.
        holds: whether it is what it must be.
        must: what that is.
        got: the argument.
        repair: what to do.

    Raises:
        UsageError: it does not hold.
    """
    if not holds:
        raise UsageError(f"{owner}: {name} must be {must}; got {shown(got)}; {repair}")


def shown(value: object) -> str:
    """Return a short text for what was given: numbers and words as Python writes them, others by their type."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, bool | int | float | str | bytes | list | tuple | dict):
        with suppress(Exception):  # what is inside may raise anything; its type does as well
            return brief(value)
    name = type(value).__name__
    return f"{'an' if name[0] in 'AEIOaeio' else 'a'} {name}"
