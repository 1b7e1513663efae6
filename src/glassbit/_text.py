"""Text from outside, such as the names of files, made safe to print on one line."""

from __future__ import annotations


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


def brief(value: object, most: int = 80) -> str:
    """`value` as Python writes it, printable, cut after `most` characters.

    Example:
        >>> brief("a" * 100, 12)
        "'aaaaaaaa..."
    """
    text = printable(repr(value[: most + 1] if isinstance(value, str | bytes) else value))
    return text if len(text) <= most else f"{text[: most - 3]}..."
