"""The windows of average pools, along one axis at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from glassbit.intgraph import Window


@dataclass(frozen=True)
class Windows:
    """The windows of an average pool along one axis: of each, the sum of its pixels is divided by its size.

    Args:
        spans: `(first, stop)` of each window, inside the map.
        sizes: as many; larger than `stop - first` where padding counts.
        stride: from one window to the next, as the pool was told; 0 where it varies.
    """

    spans: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]
    stride: int

    @property
    def divisor(self) -> int:
        """L, the least common multiple of the sizes: what weighted sums are divided by."""
        return math.lcm(*self.sizes)

    @property
    def weighted(self) -> tuple[Window, ...]:
        """The windows of a `SumPool`, with the weights L / size."""
        pairs = zip(self.spans, self.sizes, strict=True)
        return tuple((first, stop, self.divisor // size) for (first, stop), size in pairs)

    @property
    def kernel(self) -> int | None:
        """The size of the windows where an `AveragePool` has the same ones: equal, a stride apart, the first at 0."""
        size = self.spans[0][1]
        regular = all(span == (i * self.stride, i * self.stride + size) for i, span in enumerate(self.spans))
        return size if regular and self.stride and len(set(self.sizes)) == 1 else None

    def summed(self) -> Windows:
        """Return the same without a division."""
        return replace(self, sizes=(1,) * len(self.sizes))


def adaptive(pixels: int, count: int) -> Windows:
    """Those of `AdaptiveAvgPool2d`: window i is `floor(i n / o) .. ceil((i + 1) n / o)`.

    Where o does not divide n there are at most two sizes, `floor(n / o) + 1` and one more.

    Args:
        pixels: n, of the map.
        count: o, of the result.
    """
    spans = tuple((i * pixels // count, -(-(i + 1) * pixels // count)) for i in range(count))
    return Windows(spans, tuple(stop - first for first, stop in spans), 0 if pixels % count else pixels // count)


def sliding(pixels: int, count: int, kernel: int, stride: int, padding: int, *, counted: bool) -> Windows:
    """Those of `AvgPool2d`: window i is `i stride - padding .. i stride - padding + kernel`.

    Args:
        pixels: of the map.
        count: of the result, which tells whether windows stand over the edge (`ceil_mode`).
        kernel, stride, padding: in pixels.
        counted: whether pixels of the padding are counted as zeros; what is beyond the padding never is.
    """
    spans, sizes = [], []
    for begin in range(-padding, count * stride - padding, stride):
        end = min(begin + kernel, pixels + padding)
        spans.append((max(begin, 0), min(end, pixels)))
        sizes.append(end - begin if counted else spans[-1][1] - spans[-1][0])
    return Windows(tuple(spans), tuple(sizes), stride)
