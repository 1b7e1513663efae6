"""Functions of one number, which become tables of the codes that they read."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

CURVES: dict[str, Callable[..., Tensor]] = {
    "abs": torch.abs,
    "celu": F.celu,
    "elu": F.elu,
    "erf": torch.erf,
    "gelu": F.gelu,
    "hardswish": F.hardswish,
    "hardtanh": F.hardtanh,
    "leaky_relu": F.leaky_relu,
    "logsigmoid": F.logsigmoid,
    "mish": F.mish,
    "prelu": F.prelu,
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "square": torch.square,
    "tanh": torch.tanh,
}
"""Each takes float64 and the options of the call, by whichever of its names it was called."""

OPTIONS: dict[str, tuple[str, ...]] = {
    "celu": ("alpha",),
    "elu": ("alpha",),
    "gelu": ("approximate",),
    "hardtanh": ("min_val", "max_val"),
    "leaky_relu": ("negative_slope",),
    "prelu": ("weight",),
    "softplus": ("beta", "threshold"),
}
"""The arguments behind the tensor that change the curve."""
