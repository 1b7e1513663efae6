"""Plain values that Python keeps for a network: attributes of modules and classes, globals, cells of closures."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glassbit._sound import home

from ._writes import fingerprint

_DEPTH = 5
_ITEMS = 10_000
_NUMBERS = 10_000_000
_SCALARS = (int, float, complex, str, bytes, type(None), torch.dtype, torch.device, slice, range, np.generic)
_LIBRARIES = frozenset({"torch", "glassbit", "builtins", "typing", "abc", "collections", "numpy"})
_TORCHS_OWN = frozenset(
    {
        "_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "_backward_pre_hooks", "_backward_hooks",
        "_is_full_backward_hook", "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
        "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks", "_state_dict_pre_hooks",
        "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks", "training",
    }
)  # fmt: skip

Place = tuple[str, str]
"""The layer, and what it keeps there, in words."""


def plain_state(network: nn.Module) -> dict[Place, object]:
    """Return what can be compared of everything plain that a network's modules can keep between two passes.

    Numbers, strings, tensors, arrays and containers of them count, and plain objects of the user's own: on the modules,
    on their classes, in the closures of the classes' methods, and in the globals of the files that define the classes.
    Containers are looked into 5 levels deep and up to 10 000 items each; torch's and Glassbit's own state is left out.
    """
    state: dict[Place, object] = {}
    seen: set[int] = set()
    own = {home(cls) for module in network.modules() for cls in _classes(module)}
    for owner, module in network.named_modules():
        for name, value in vars(module).items():
            if name not in _TORCHS_OWN:
                _put(state, (owner, name), value, own)
        for cls in _classes(module):
            if id(cls) not in seen:
                seen.add(id(cls))
                for what, value in (*_of_class(cls), *_globals(cls, seen)):
                    _put(state, (owner, what), value, own)
        for value in vars(module).values():
            if isinstance(value, types.FunctionType | types.MethodType):
                for what, cell in _cells(value):
                    _put(state, (owner, what), cell, own)
    return state


def _put(state: dict[Place, object], place: Place, value: Any, own: set[str]) -> None:
    frozen = _Frozen(own).of(value, _DEPTH)
    if frozen is not _OPAQUE:
        state[place] = frozen


def _classes(module: nn.Module) -> Iterator[type]:
    """Yield the classes of a module that the user wrote."""
    for cls in type(module).__mro__:
        if home(cls).partition(".")[0] not in _LIBRARIES:
            yield cls


def _of_class(cls: type) -> Iterator[tuple[str, Any]]:
    for name, value in list(vars(cls).items()):
        if isinstance(value, types.FunctionType):
            yield from _cells(value)
        elif not name.startswith("__") and name not in ("_abc_impl", "_glassbit_base"):
            yield f"{name}, an attribute of the class {cls.__name__},", value


def _globals(cls: type, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield the globals of the file of a class, once per file."""
    for space in (_space(cls), *(value.__globals__ for value in vars(cls).values() if _is_function(value))):
        if id(space) in seen:
            continue
        seen.add(id(space))
        file = space.get("__name__", "its file")
        if str(file).partition(".")[0] in _LIBRARIES:
            continue
        for name, value in list(space.items()):
            if not name.startswith("__"):
                yield f"{name}, a global of {file},", value


def _space(cls: type) -> Mapping[str, Any]:
    return vars(sys.modules[home(cls)]) if home(cls) in sys.modules else {}


def _is_function(value: Any) -> bool:
    return isinstance(value, types.FunctionType)


def _cells(function: types.FunctionType | types.MethodType) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f"{name}, a variable around {function.__name__},", cell.cell_contents
        except ValueError:  # empty
            continue


class _Opaque:
    """Stands for what is not compared."""

    def __repr__(self) -> str:
        return "?"


_OPAQUE = _Opaque()


class _Frozen:
    """Makes values that compare by content, and do not change with what they were made from.

    Args:
        own: the files whose classes are the user's.
    """

    def __init__(self, own: set[str]) -> None:
        self.own = own
        self.left = _ITEMS

    def of(self, value: Any, depth: int) -> object:
        """Return the value, frozen; `_OPAQUE` for what is not plain."""
        self.left -= 1
        kind = type(value)
        if isinstance(value, _SCALARS) or kind is itertools.count:
            return kind.__name__, repr(value)  # NaN is NaN
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, np.ndarray):
            return ("ndarray", value.shape, hash(value.tobytes())) if value.size <= _NUMBERS else _OPAQUE
        if depth == 0 or isinstance(value, nn.Module | type | types.ModuleType):
            return _OPAQUE
        if isinstance(value, Mapping):
            return kind.__name__, self._all((item for pair in value.items() for item in pair), 2 * len(value), depth)
        if isinstance(value, set | frozenset):
            parts = self._all(value, len(value), depth)
            return kind.__name__, tuple(sorted(map(repr, parts))) if isinstance(parts, tuple) else parts
        if isinstance(value, list | tuple | deque):
            return kind.__name__, self._all(value, len(value), depth)
        if isinstance(value, types.SimpleNamespace) or home(kind) in self.own or dataclasses.is_dataclass(value):
            held = getattr(value, "__dict__", {})
            return kind.__name__, self._all((item for pair in held.items() for item in pair), 2 * len(held), depth)
        return _OPAQUE

    def _all(self, values: Iterable[Any], count: int, depth: int) -> object:
        """Return the parts; of a container that is too large its length only."""
        if count > self.left:
            return count
        return tuple(self.of(value, depth - 1) for value in list(values))

    @staticmethod
    def _tensor(value: Tensor) -> object:
        if value.is_meta or value.layout != torch.strided or not 0 < value.numel() <= _NUMBERS:
            return "tensor", tuple(value.shape)
        return "tensor", str(value.dtype), tuple(value.shape), fingerprint(value.detach().cpu().resolve_conj())
