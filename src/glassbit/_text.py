"""Text from outside, such as the names of files, made safe to print on one line."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LONG = re.compile(r"\S{601,}")


def printable(text: object, *, keep: str = "") -> str:
    r"""`text` with every character escaped that a terminal would act upon or cannot show.

    Newlines, ANSI escapes, marks that turn the direction of writing, and bytes of a file name that are no text.

    Args:
        text: anything; a path, say.
        keep: characters that stay as they are.

    Example:
        >>> print(printable("a\x1b[31m\nb\udcff"))
        a\x1b[31m\nb\udcff
    """
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in str(text)
    )


def is_name(text: object, most: int) -> bool:
    r"""Whether `text` is a name that can be shown as it is: printable, of 1 to `most` characters.

    Example:
        >>> is_name("Ankle boot", 256), is_name("a\n", 256), is_name("", 256)
        (True, False, False)
    """
    return isinstance(text, str) and text.isprintable() and 0 < len(text) <= most


def excerpt(text: object, most: int, *, keep: str = "") -> str:
    """`text`, printable but for the characters of `keep`, cut after `most` characters.

    Example:
        >>> excerpt("a" * 100, 12)
        'aaaaaaaaa...'
    """
    shown = printable(str(text)[: most + 1], keep=keep)
    return shown if len(shown) <= most else f"{shown[: most - 3]}..."


def bounded(text: str) -> str:
    """`text` with the middle left out of every word of more than 600 characters, such as the name of a file.

    Example:
        >>> len(bounded("a" * 5000 + " b"))
        605
    """
    return _LONG.sub(lambda found: f"{found[0][:400]}...{found[0][-200:]}", text)


def listed(items: Iterable[object], *, most: int = 10, longest: int | None = None) -> str:
    """Return the first items, printable, and how many more there are.

    Args:
        items: names, say.
        most: how many are shown.
        longest: characters of one; None for all of them.

    Example:
        >>> listed("abcd", most=2), listed(["a", "b"])
        ('a, b and 2 more', 'a, b')
    """
    every = list(items)
    shown = [printable(item) if longest is None else excerpt(item, longest) for item in every[:most]]
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(shown) + more


def brief(value: object, most: int = 80) -> str:
    """`value` as Python writes it, printable, cut after `most` characters.

    Example:
        >>> brief("a" * 100, 12)
        "'aaaaaaaa..."
    """
    return excerpt(repr(value[: most + 1] if isinstance(value, str | bytes) else value), most)
