"""Kinds of NumPy arrays that public functions take; see `_takes`."""

from __future__ import annotations

import numpy as np

from ._takes import Kind

_WHAT = {"f": "floating-point numbers", "iuf": "numbers", "b": "True and False"}


def array(dims: int, shape: str, kinds: str = "f") -> Kind:
    """Return the kind of a NumPy array; `kinds` are letters of `dtype.kind`. Only the first axis may be empty."""
    return Kind(
        f"a NumPy array {shape} of {_WHAT[kinds]}",
        lambda value: (
            isinstance(value, np.ndarray)
            and value.ndim == dims
            and value.dtype.kind in kinds
            and 0 not in value.shape[1:]
        ),
        "pass one; a tensor's is tensor.cpu().numpy()",
    )
