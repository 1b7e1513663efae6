"""The ceiling that an activation had before it was quantized, under which its clipping level starts."""

from __future__ import annotations

import math

from torch import nn

from ._bits import FLOOR
from ._quantizer import ActivationQuantizer


def ceiling(module: nn.Module) -> float:
    """Return an activation's largest output: 6 for ReLU6, `c` for `Hardtanh(0, c)`, infinity for ReLU.

    Of an activation quantizer it is the ceiling of the activation that it replaced: clipping levels start at or below
    it. Training may move them anywhere, above it too: from then on the learned level is the ceiling.
    """
    if isinstance(module, ActivationQuantizer):
        return ceiling(module.replaced[0]) if module.replaced else math.inf
    return float(module.max_val) if isinstance(module, nn.Hardtanh) else math.inf


def has_low_ceiling(module: nn.Module) -> bool:
    """Whether the ceiling is too low for a clipping level."""
    return ceiling(module) < FLOOR
