"""Code that is not Glassbit's, such as a network of the user's: what it raises is said to be its own."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from ._errors import GlassbitError, RunError, UsageError
from ._text import excerpt, printable

_LONGEST = 500
_LIBRARIES = frozenset({"numpy", "lightning_fabric", "lightning_utilities", "captum", "sympy", "jaxtyping", "beartype"})
_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def told(error: BaseException) -> str:
    r"""Return the kind of an error and its text, on one line, printable and not too long, whatever its `__str__` does.

    Example:
        >>> told(ValueError("\x1b[31mno")), told(KeyError())
        ('ValueError: \\x1b[31mno', 'KeyError')
    """
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 (a user's error may raise anything)
        text = "its text cannot be shown"
    name = type(error).__name__
    return excerpt(f"{name}: {text}" if text else name, _LONGEST)


@contextmanager
def calling(must: str) -> Iterator[None]:
    """Inside, code of the user's is called and nothing else: what it raises becomes a `UsageError`.

    Errors of Glassbit's own and Ctrl-C go through.

    Args:
        must: what the code must do, e.g. `own:net: must return a network`; begins the message.
    """
    try:
        yield
    except (GlassbitError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise UsageError(f"{printable(must)}; got: {told(error)}; repair it there") from error


@contextmanager
def naming_outsiders() -> Iterator[None]:
    """Turn what other code than Glassbit's or a library's raises into a `RunError` that names the function.

    For wherever a network of the user's may run, and much else. Ctrl-C and the lack of memory go through.
    """
    try:
        yield
    except (GlassbitError, KeyboardInterrupt):
        raise
    except BaseException as error:
        place = None if is_of_memory(error) else outsider(error)
        if place is None:
            raise
        raise RunError(f"{place}, which is not Glassbit's, must run; got: {told(error)}; repair it there") from error


def outsider(error: BaseException) -> str | None:
    """Return the user's function that torch called and that raised an error; None for Glassbit's and torch's own."""
    place, through_torch = None, False
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        top = module.partition(".")[0]
        if top == "glassbit":
            return place if through_torch else None
        if top == "torch":
            through_torch = through_torch or place is not None
        elif place is None and top not in _LIBRARIES and top not in sys.stdlib_module_names:
            place = printable(f"{module}.{frame.f_code.co_qualname}")
    return None


def said(error: BaseException) -> str:
    """Return the text of any error: the words of our own as they are, those of others on one line."""
    return str(error) if isinstance(error, GlassbitError) else told(error)


def is_of_memory(error: BaseException) -> bool:
    """Whether there was not enough memory; torch says so with a RuntimeError."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(text in said(error) for text in _MEMORY)
    )
