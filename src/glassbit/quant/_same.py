"""Convolutions that pad as TensorFlow's "SAME" does: as much as the size of the map asks for."""

from __future__ import annotations

from torch import nn


def same_pads(layer: nn.Conv2d, height: int, width: int) -> tuple[int, int, int, int]:
    """Return the zeros on the left, on the right, at the top and at the bottom, as `F.pad` takes them.

    The output has `ceil(size / stride)` pixels, and the odd one is padded below and on the right.
    """
    sides: list[int] = []
    for axis, size in ((1, width), (0, height)):
        kernel, stride, dilation = (each[axis] for each in (layer.kernel_size, layer.stride, layer.dilation))
        whole = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
        sides += [whole // 2, whole - whole // 2]
    left, right, top, bottom = sides
    return left, right, top, bottom
