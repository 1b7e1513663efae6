"""Activations that are called as functions or methods: which calls count as a ReLU, and under which ceiling."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit._arguments import is_real

_RELU = {torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu}
_HARDTANH = {F.hardtanh, torch._C._nn.hardtanh, torch._C._nn.hardtanh_}
_CLAMP = {torch.clamp, torch.clamp_, torch.clip, torch.clip_, Tensor.clamp, Tensor.clamp_, Tensor.clip, Tensor.clip_}
_CLAMP_MIN = {torch.clamp_min, torch.clamp_min_, Tensor.clamp_min, Tensor.clamp_min_}
_SIX = {F.relu6, torch._C._nn.relu6}
_ALL = frozenset({*_RELU, *_SIX, *_HARDTANH, *_CLAMP, *_CLAMP_MIN})
_HARDTANH_LOW, _HARDTANH_HIGH = -1.0, 1.0


def function_ceiling(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> float | None:
    """Return the ceiling under which a call is a ReLU, infinity where there is none; None for any other call.

    A ReLU is `relu`, `relu6`, `hardtanh(x, 0, c)`, `clamp(x, 0)`, `clamp(x, 0, c)` or `clamp_min(x, 0)`, as a function
    of torch or a method of tensors, in place or not.
    """
    if func not in _ALL or "out" in kwargs:
        return None
    if func in _RELU:
        return math.inf
    if func in _SIX:
        return 6.0
    low, high = _bounds(func, args, kwargs)
    if not is_real(low) or low != 0 or not (high is None or (is_real(high) and high > 0)):
        return None
    return math.inf if high is None else float(high)


def function_input(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return what such a call reads."""
    return args[0] if args else kwargs["input"]


def function_in_place(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether such a call changes what it reads."""
    position = {F.relu: 1, F.relu6: 1, F.hardtanh: 3}.get(func)
    given = position is not None and len(args) > position and bool(args[position])
    return given or bool(kwargs.get("inplace")) or func.__name__.endswith("_")


def function_module(ceiling: float) -> nn.Module:
    """Return the module that computes what a call under a ceiling computes."""
    if ceiling == math.inf:
        return nn.ReLU()
    return nn.ReLU6() if ceiling == nn.ReLU6().max_val else nn.Hardtanh(0.0, ceiling)


def _bounds(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    after = args[1:]
    if func in _HARDTANH:
        low = after[0] if after else kwargs.get("min_val", _HARDTANH_LOW)
        return low, after[1] if len(after) > 1 else kwargs.get("max_val", _HARDTANH_HIGH)
    low = after[0] if after else kwargs.get("min")
    if func in _CLAMP_MIN:
        return low, None
    return low, after[1] if len(after) > 1 else kwargs.get("max")
