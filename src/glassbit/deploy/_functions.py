"""Calls of torch functions: their names, their tensors, and what is known of them by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Real
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

SAME = frozenset({"contiguous", "clone", "float", "detach", "__deepcopy__", "property data", "to"})
"""Functions whose result, where shape and dtype stay, holds the values of their first argument."""

SHAPES = frozenset({"flatten", "reshape", "view", "squeeze", "view_as", "reshape_as", "expand", "expand_as"})
"""Functions that change nothing but the shape."""

ADDS = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__"})
DROPOUTS = frozenset({"dropout", "dropout2d", "dropout_", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"})
RELUS = frozenset({"relu", "relu_", "relu6", "relu6_", "clamp_min", "clamp_min_"})
MULTIPLIES = frozenset({"mul", "mul_", "__mul__", "__rmul__", "__imul__", "multiply", "multiply_"})

ARRANGES: dict[str, Callable[..., Any]] = {
    **{
        name: getattr(Tensor, name)
        for name in (
            "__getitem__", "chunk", "split", "split_with_sizes", "tensor_split", "unbind", "narrow", "select",
            "index_select", "transpose", "permute", "swapaxes", "swapdims", "movedim", "moveaxis", "view", "reshape",
            "unflatten", "flatten", "squeeze", "unsqueeze", "flip", "roll",
        )
    },
    "channel_shuffle": F.channel_shuffle,
    "native_channel_shuffle": F.channel_shuffle,
}  # fmt: skip
"""Functions that choose elements and put them into another order or shape."""

ASKS = frozenset(
    {
        "size", "dim", "ndimension", "numel", "nelement", "element_size", "stride", "storage_offset", "is_contiguous",
        "is_floating_point", "is_complex", "is_signed", "is_same_size", "is_inference", "is_pinned", "is_shared",
        "type", "get_device", "result_type", "can_cast", "__len__", "__hash__", "__dir__",
    }
)  # fmt: skip
"""Functions that ask for a property of a tensor, not for its values."""

HARMLESS = frozenset({"requires_grad_", "share_memory_", "retain_grad"})
"""Functions named like those that change a tensor in place, which leave its values alone."""

MEMORY = frozenset({"numpy", "__array__", "data_ptr", "storage", "untyped_storage", "_typed_storage", "__dlpack__"})
"""Functions that hand out the memory of a tensor, where changes are out of sight."""

NEW = frozenset(
    {
        "empty_like", "zeros_like", "ones_like", "full_like", "rand_like", "randn_like", "new_empty", "new_zeros",
        "new_ones", "new_full", "new_tensor",
    }
)  # fmt: skip
"""Functions that make a tensor of the shape or kind of another one, without its values."""

NUMBERS = frozenset({"item", "tolist", "__float__", "__int__", "__index__", "__bool__", "__format__"})
"""Functions that read numbers of Python out of a tensor."""

SPARSE = frozenset({"nonzero", "nonzero_static", "argwhere", "unique", "unique_consecutive", "masked_select"})
"""Functions whose result has a shape that depends on the values."""

_SPOKEN = {
    "__setitem__": "an assignment y[...] = ...",
    "property data of": "an assignment y.data = ...",
}
_FREE_TO_SET = frozenset({"grad", "requires_grad"})


def called(func: Callable[..., Any]) -> str:
    """Return the name of a torch function.

    Getters are `property data`, setters `property data of`, or "" where they leave the values alone.
    """
    name = str(getattr(func, "__name__", func))
    of = getattr(getattr(func, "__self__", None), "__name__", "")
    if name == "__get__":
        return f"property {of}"
    if name in ("__set__", "__delete__"):
        return "" if of in _FREE_TO_SET else f"property {of} of"
    return name.partition(".")[0]


def spoken(name: str) -> str:
    """Return a function in a sentence."""
    if name.startswith("property ") and name not in _SPOKEN:
        return f"the attribute .{name.removeprefix('property ')}"
    return _SPOKEN.get(name, f"the function {name}")


def in_place(name: str) -> bool:
    """Whether a function says by its name that it changes its first argument."""
    return name.endswith("_") and not name.startswith("__") and name not in HARMLESS


def tensors_in(values: Iterable[Any]) -> list[Tensor]:
    """Return the tensors among values, in lists, tuples and dicts of any depth."""
    tensors: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            tensors.append(value)
        elif isinstance(value, tuple | list):
            tensors += tensors_in(value)
        elif isinstance(value, dict):
            tensors += tensors_in(value.values())
    return tensors


def is_same(name: str, value: Tensor, result: Any) -> bool:
    """Whether a call that wrote nothing hands its tensor on."""
    if result is value:
        return True
    if not isinstance(result, Tensor) or result.shape != value.shape:
        return False
    exact = result.dtype == value.dtype or (value.is_floating_point() and result.dtype == torch.float32)
    return exact and (name in SAME or name in SHAPES)


def why_no_map(name: str, result: Any) -> str:
    """Why a function that makes no map is refused."""
    if tensors_in([result]) or result is None:
        return f"{spoken(name)} has no integer form"
    if name in MEMORY:
        return f"{name} hands out the memory of a tensor, where changes go unseen; compute with torch functions"
    return f"{name} reads values out of a tensor; what a network calls must not depend on the pixels"


def replaced(values: Any, old: Tensor, new: Tensor) -> Any:
    """Return arguments with one tensor in the place of another, in tuples, lists and dicts of any depth."""
    if values is old:
        return new
    if isinstance(values, tuple | list):
        return type(values)(replaced(value, old, new) for value in values)
    if isinstance(values, dict):
        return {key: replaced(value, old, new) for key, value in values.items()}
    return values


def is_number(value: Any) -> bool:
    """Whether something is a real number, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)


def bound(names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name."""
    return {**dict(zip(names, args, strict=False)), **kwargs}
