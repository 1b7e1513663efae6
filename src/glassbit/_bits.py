"""The bits that layers really have, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from glassbit._count import counted

_FLOAT = 32


def bits_given(bits: Sequence[int], sizes: Sequence[int | None] | None = None) -> str:
    """How many layers have how many bits, fewest bits first.

    Args:
        bits: of each layer; 32 for full precision.
        sizes: how many weights each layer has, where shares of them are wanted and known.

    Example:
        >>> bits_given([8, 4, 2], [10, 30, 60])
        '2 in 1 of 3 layers (60.0 % of the weights), 4 in 1 (30.0 %), 8 in 1 (10.0 %)'
        >>> bits_given([32, 32])
        'full in 2 of 2 layers'
    """
    layers = Counter(bits)
    known = [size for size in sizes or () if size is not None]
    whole = sum(known) if sizes is not None and len(known) == len(bits) else 0
    parts: list[str] = []
    for width in sorted(layers):
        name = "full" if width == _FLOAT else str(width)
        of = "" if parts else f" of {counted(len(bits), 'layer')}"
        share = ""
        if whole:
            held = sum(size for size, mine in zip(known, bits, strict=True) if mine == width)
            share = f" ({100 * held / whole:.1f} %{'' if parts else ' of the weights'})"
        parts.append(f"{name} in {layers[width]}{of}{share}")
    return ", ".join(parts)
