"""Every limit of an integer network, in one place: its integers, so that all back ends are exact, and its size.

A file with a right digest may still have been made to exhaust the machine that reads it. The limits of size leave room
for what is exported: ResNet-56 at 512 x 512, ResNet-20 at 1024 x 1024, VGG-16 at 224 x 224.
"""

EXACT = 2**24
"""Up to here every integer is a float32, and so is its quotient by a power of two."""
LARGEST_SUM = 2**31
"""Accumulators stay below it, alone and with their bias: they are int32."""
LARGEST_BIAS = 2**30
"""The largest absolute bias."""
BITS = (2, 8)
"""Of a weight, and of a code."""
SIGNED = (-128, 127)
"""The window of an operand of a sum."""
SPAN = (2, 255)
"""Of the window of a requantizer, high - low: what is stored of a code is uint8, and one code lies strictly inside."""
MULTIPLIER = 255
"""The largest absolute multiplier."""
EXPONENT = 30
SHIFT = 16
SCALES = (2.0**-100, 2.0**90)
"""Of logits, so that none overflows or vanishes."""
SATURATION = 2**15 - 1
"""CPUs without dot-product instructions add pairs of products (uint8 times int8) in 16 bits, and saturate there."""

NODES = 1024
LEAST_CLASSES, MOST_CLASSES = 2, 2**16 - 1
LONGEST_NAME = 256
"""Characters of a name."""
NOTES, NOTE = 64, 1000
"""How many, and characters of one."""
LONGEST = 2**16 - 1
"""Of anything that counts pixels or channels."""
WEIGHTS = 150_000_000
"""Of all layers together."""
TENSOR = 2**25
"""Elements of one tensor, for one image."""
TENSORS = 2**29
"""Elements of all tensors together, for one image."""
PRODUCTS = 2**37
"""Multiply-accumulates for one image; an element, or a pixel of a pool's window, counts as `SLOWER` of them."""
SLOWER = 32
KERNEL = 2**20
"""Pixels of one window."""
WINDOWS = 2**27
"""Pixels of all windows of a pool, for one image."""
ROW = 2**26
"""Elements of all windows of one row of a convolution, with their channels."""
MATRIX = 2**22
"""Weights of the windows of a `SumPool` along one axis: windows times pixels."""

FILE = WEIGHTS + 2**24
"""Bytes of a file."""
TEXT = 2**22
"""Bytes of each of its texts, once they are expanded."""


def power(limit: int) -> str:
    """Return a power of two in words, for messages.

    Example:
        >>> power(EXACT)
        '2^24'
    """
    return f"2^{limit.bit_length() - 1}"
