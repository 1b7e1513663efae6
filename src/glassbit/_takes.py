"""What the arguments of a public function must be, said once, above its signature."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from glassbit._arguments import is_real, is_whole, is_word, require

P = ParamSpec("P")
R = TypeVar("R")

_LONGEST = 255
"""Bytes of the name of a file or folder, on every usual file system."""


@dataclass(frozen=True)
class Kind:
    """What an argument must be.

    Args:
        must: in words.
        holds: whether a value is such a one; raises nothing, whatever it is given.
        repair: what to do about another.
    """

    must: str
    holds: Callable[[Any], bool]
    repair: str


def takes(**kinds: Kind) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse calls of a function whose arguments are not of these kinds.

    It costs a few microseconds and reads no values, so nothing waits for a device.

    Args:
        kinds: by the names of the arguments; others are not looked at, nor are defaults.

    Raises:
        UsageError: on a call, with the argument, what it must be, what it is, and the repair.

    Example:
        >>> @takes(side=whole(1, usual=28))
        ... def area(side: int) -> int:
        ...     return side * side
        >>> area("28")
        Traceback (most recent call last):
        glassbit._errors.UsageError: area: side must be a whole number of at least 1; got '28'; pass one, such as 28
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        names = tuple(signature(function).parameters)
        owner = function.__qualname__.removesuffix(".__init__")

        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            for name, value in (*zip(names, args, strict=False), *kwargs.items()):
                if name in kinds:
                    check_kind(owner, name, kinds[name], value)
            return function(*args, **kwargs)

        return called

    return decorate


def check_kind(owner: str, name: str, kind: Kind, value: object) -> None:
    """Refuse a value that is not of its kind.

    Raises:
        UsageError: it is not.
    """
    require(owner, name, kind.holds(value), kind.must, value, kind.repair)


def whole(least: int | None = None, most: int | None = None, *, usual: int = 0) -> Kind:
    """Return the kind of a whole number, of Python or NumPy."""
    low, high = float("-inf") if least is None else least, float("inf") if most is None else most
    return Kind(f"a whole number{_span(least, most)}", lambda value: is_whole(value, low, high), _such_as(usual))


def number(least: float | None = None, most: float | None = None, *, usual: float = 0.0) -> Kind:
    """Return the kind of a finite number, of Python or NumPy."""
    low, high = float("-inf") if least is None else least, float("inf") if most is None else most
    return Kind(f"a number{_span(least, most)}", lambda value: is_real(value, low, high), _such_as(usual))


def word(*choices: str) -> Kind:
    """Return the kind of one of some words."""
    return Kind(f"one of {', '.join(choices)}", lambda value: is_word(value, choices), "pass one of them")


def instance(of: type | tuple[type, ...], must: str, repair: str) -> Kind:
    """Return the kind of an instance of a class."""
    return Kind(must, lambda value: isinstance(value, of), repair)


def several(kind: Kind, *, count: int | None = None, least: int = 0) -> Kind:
    """Return the kind of a tuple or list of values of one kind: exactly `count`, or at least `least`."""
    many = f"{count} values" if count is not None else f"at least {least}" if least else "any number of values"

    def holds(value: Any) -> bool:
        fits = isinstance(value, tuple | list) and (len(value) >= least if count is None else len(value) == count)
        return fits and all(map(kind.holds, value))

    return Kind(f"a tuple or list of {many}, each {kind.must}", holds, kind.repair)


def optional(kind: Kind) -> Kind:
    """Return the kind of None or a value of a kind."""
    return Kind(f"{kind.must}, or None", lambda value: value is None or kind.holds(value), kind.repair)


def is_path(value: object, *, longest: int | None = _LONGEST) -> bool:
    """Whether `value` can be a path: text (or what has a path as text), not empty, without NUL, no name too long."""
    if not isinstance(value, str | os.PathLike):
        return False
    try:
        text = os.fspath(value)
        if not isinstance(text, str) or not text or "\0" in text:
            return False
        return longest is None or all(len(os.fsencode(name)) <= longest for name in Path(text).parts)
    except Exception:  # noqa: BLE001 (what has a path as an attribute may raise anything)
        return False


def _span(least: float | None, most: float | None) -> str:
    if most is not None:
        return f" of at most {most}" if least is None else f", {least}..{most}"
    return "" if least is None else f" of at least {least}"


def _such_as(usual: float) -> str:
    return f"pass one, such as {usual}"


WHOLE = whole()
SWITCH = Kind("True or False", lambda value: isinstance(value, bool), "pass one of them")
TEXT = Kind("text", lambda value: isinstance(value, str), "pass a str")
FUNCTION = Kind("a function", callable, "pass one, or leave it out")
PATH = Kind(
    "a path: text or a pathlib.Path that is not empty and holds no NUL",
    lambda value: is_path(value, longest=None),
    'pass one, such as "folder/file"',
)
"""Where something is written; a name that is too long for the disk is told apart there."""
FOUND = Kind(
    f"a path: text or a pathlib.Path that is not empty, holds no NUL, and no name of more than {_LONGEST} bytes",
    is_path,
    'pass one, such as "folder/file"',
)
"""Where something is read."""
