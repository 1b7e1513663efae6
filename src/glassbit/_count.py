"""Numbers of things, in words."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun: "1 image", "2 images".

    Args:
        number: how many.
        one: the noun, or more, of a single thing.
        many: of several; left out: `one` with an s.

    Example:
        >>> counted(1, "image"), counted(0, "class", "classes"), counted(10000, "image")
        ('1 image', '0 classes', '10,000 images')
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
