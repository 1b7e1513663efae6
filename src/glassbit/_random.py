"""Seeds that are derived, never carried: the same purpose and numbers give the same stream on every machine and after
every resume.
"""

from __future__ import annotations

import hashlib


def derive(*parts: int | str) -> int:
    """Return a 63-bit seed for a purpose, e.g. `derive("epoch", seed, epoch, rank)`.

    Args:
        parts: the purpose and the numbers that tell its streams apart; their order counts.
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
