"""Networks that nothing can be done with: scripted modules, values that are not finite, values that are not there."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from ._count import counted
from ._errors import UsageError
from ._foreign import told

_Module = TypeVar("_Module", bound=nn.Module)
_TEXT = 200
_SCRIPTED = (
    "a module of torch.jit has no forward in Python and takes no hooks; use the module that it was made from, and "
    "script the network afterwards"
)
_DIVERGED = "holds values that are not finite; its training diverged"
_EMPTY = (
    "is on the meta device and holds no values; load the weights, as by load_state_dict(state, assign=True), or build "
    "the network on the CPU"
)


class Fussy(nn.Module):
    """Marks modules that say themselves which values they cannot work with."""

    def wrong_values(self) -> Iterator[str]:
        """Return what is wrong with its values, as far as they can be read."""
        raise NotImplementedError


def unsound(model: nn.Module, *, empty: bool = False) -> Iterator[str]:
    """Why a network cannot be worked on, by the names of its layers and tensors.

    Looked at are parameters, the statistics of normalisations, and what `Fussy` modules look at themselves; other
    buffers may be infinite on purpose.

    Args:
        empty: whether its tensors may be without values (the meta device).
    """
    within: list[str] = []
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule) and not any(name.startswith(outer) for outer in within):
            within.append(f"{name}." if name else "")
            yield f"{name or type(model).__name__}: {_SCRIPTED}"
    for name, module in model.named_modules():
        if isinstance(module, Fussy):
            yield from (f"{name or type(model).__name__}: {problem}" for problem in module.wrong_values())
    tensors: dict[str, Tensor] = dict(model.named_parameters())
    for owner, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            tensors |= {f"{owner}.{name}".lstrip("."): buffer for name, buffer in module.named_buffers(recurse=False)}
    without: list[str] = []
    for name, tensor in tensors.items():
        if isinstance(tensor, UninitializedParameter | UninitializedBuffer) or not (
            tensor.is_floating_point() or tensor.is_complex()
        ):
            continue
        if tensor.is_meta:
            without.append(name)
        elif not tensor.detach().isfinite().all():
            yield f"{name}: {_DIVERGED}"
    if without and not empty:
        more = f" (and {counted(len(without) - 1, 'tensor')} more)" if len(without) > 1 else ""
        yield f"{without[0]}: {_EMPTY}{more}"


def copied(owner: str, model: _Module) -> _Module:
    """Return a deep copy of a network.

    Args:
        owner: what needs it, for the message.
        model: the network.

    Raises:
        UsageError: a module keeps something that cannot be copied.
    """
    try:
        return copy.deepcopy(model)
    except Exception as error:
        raise UsageError(f"{owner}: the network must be one that can be copied; got {why_not_copied(error)}") from error


def why_not_copied(error: Exception) -> str:
    """Return what stood in the way of a copy, and the repair."""
    text = told(error).partition(": ")[2][:_TEXT]
    repair = (
        "keep tensors that were computed from parameters out of its attributes, or detach() them"
        if isinstance(error, RuntimeError)
        else "keep what cannot be copied (files, locks, generators) out of its attributes"
    )
    return f"{type(error).__name__} ({text}); {repair}"


def home(cls: type) -> str:
    """Return the name of the module that a class was written in; empty for a class without one."""
    name = getattr(cls, "__module__", None)
    return name if isinstance(name, str) else ""


def check_sound(owner: str, model: nn.Module, *, empty: bool = False) -> None:
    """Refuse a network that is `unsound`.

    Args:
        owner: what takes it, for the message.
        empty: see `unsound`.

    Raises:
        UsageError: all reasons.
    """
    problems = [*unsound(model, empty=empty)]
    if problems:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        raise UsageError(
            f"{owner}: the network must be of plain modules with finite values; "
            f"got {counted(len(problems), 'thing that is not', 'things that are not')}\n{listed}"
        )
