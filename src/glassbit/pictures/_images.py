"""Images that are made when they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8


@dataclass(frozen=True)
class Images:
    """Images that can be made a few at a time.

    Args:
        shape: n, c, h, w of all of them.
        chunks: makes them, in order.
    """

    shape: tuple[int, int, int, int]
    chunks: Callable[[], Iterator[UInt8[np.ndarray, "k c h w"]]]

    @property
    def nbytes(self) -> int:
        """What all of them take."""
        count, channels, height, width = self.shape
        return count * channels * height * width
