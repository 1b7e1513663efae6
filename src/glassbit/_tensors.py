"""Kinds of tensors that public functions take; see `_takes`. What images and labels must be: `_inputs`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ._takes import Kind


def is_dense(value: Any, *, dims: int | None = None, meta: bool = False) -> bool:
    """Whether it is a plain tensor, whose numbers can be read; `meta` takes tensors of the meta device, too."""
    if not isinstance(value, Tensor) or value.is_nested or value.layout != torch.strided:
        return False
    return not value.is_quantized and (meta or not value.is_meta) and dims in (None, value.ndim)


def floats(dims: int, shape: str) -> Kind:
    """Return the kind of a dense floating-point tensor. Only the first axis may be empty."""
    return Kind(
        f"a dense floating-point tensor {shape}",
        lambda value: is_dense(value, dims=dims, meta=True) and value.is_floating_point() and 0 not in value.shape[1:],
        "pass one, such as values.float()",
    )


def marks(dims: int, shape: str) -> Kind:
    """Return the kind of a dense tensor of True and False."""
    return Kind(
        f"a dense tensor {shape} of True and False",
        lambda value: is_dense(value, dims=dims, meta=True) and value.dtype == torch.bool,
        "pass one, such as scores > 0",
    )


GENERATOR = Kind(
    "a torch.Generator, or None",
    lambda value: value is None or isinstance(value, torch.Generator),
    "pass torch.Generator().manual_seed(0)",
)
