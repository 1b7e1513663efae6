"""The bit widths that a quantizer takes, and the floor of every learned scale."""

from __future__ import annotations

from collections.abc import Collection

from glassbit._arguments import is_whole, shown
from glassbit._errors import UsageError

FLOOR = 1e-3
"""A learned clipping level or step never acts as less than this, whatever the optimizer did to it."""


def check_bits(quantizer: str, bits: int, allowed: Collection[int] = range(2, 9)) -> int:
    """`bits` itself when it is one of `allowed`.

    Raises:
        UsageError: it is not.
    """
    if not is_whole(bits) or bits not in allowed:
        raise UsageError(f"{quantizer}: bits must be one of {', '.join(map(str, allowed))}; got {shown(bits)}")
    return int(bits)
