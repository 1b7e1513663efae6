"""Codes of k bits without gaps."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

_AT_ONCE = 2**20
"""Codes that are unpacked at a time, when each bit takes a byte; a multiple of 8, so that parts are whole bytes."""


def packed_size(count: int, bits: int) -> int:
    """Return the bytes that `count` codes of `bits` bits take."""
    return -(-count * bits // 8)


def pack(codes: UInt8[np.ndarray, "..."], bits: int) -> UInt8[np.ndarray, " m"]:
    """Codes, in row order, to bytes: code i takes the bits `i k .. i k + k - 1`, counted from the lowest of each byte.

    At 4 bits the first code of two is the low nibble, as in ONNX. Bits that are left over are 0.

    Args:
        codes: 0..2^k - 1.
        bits: k, 1..8.

    Example:
        >>> import numpy as np
        >>> [hex(byte) for byte in pack(np.array([1, 2, 15], np.uint8), 4)]
        ['0x21', '0xf']
    """
    each = np.unpackbits(codes.reshape(-1, 1), axis=1, bitorder="little")[:, :bits]
    return np.packbits(each.reshape(-1), bitorder="little")


def unpack(data: UInt8[np.ndarray, " m"], bits: int, count: int) -> UInt8[np.ndarray, " n"]:
    """Return the codes that `pack` packed.

    Args:
        data: `packed_size(count, bits)` bytes.
        bits: k, 1..8.
        count: how many codes there are.
    """
    codes = np.empty(count, np.uint8)
    for start in range(0, count, _AT_ONCE):
        some = min(_AT_ONCE, count - start)
        part = data[start * bits // 8 : start * bits // 8 + packed_size(some, bits)]
        each = np.unpackbits(part, count=some * bits, bitorder="little").reshape(some, bits)
        codes[start : start + some] = np.packbits(each, axis=1, bitorder="little").reshape(some)
    return codes
