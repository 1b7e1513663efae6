"""Activations that are called several times in one forward pass: a quantizer per call."""

from __future__ import annotations

import copyreg
import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from glassbit._errors import UsageError
from glassbit._sound import home

from ._functions import function_ceiling, function_input

ROOT = ""
"""The scope of the network itself."""

_CALLS_RELU = (nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
"""Modules of torch whose forward calls the function; the call is not one of the module around them."""

_REPAIR = (
    "call dequantize_(model), then quantize_(model, plan, example=images) with images that show every call; "
    "a number of calls that depends on the input or on the mode (train, eval) cannot be quantized"
)


class Sites(nn.Module):
    """One quantizer per call of an activation: the k-th call in a forward pass of its owner goes to child `k`.

    The activation is a module that is called several times, or the functions that one module calls (`F.relu`).

    The owner is the module whose forward pass holds all calls, and is itself called once per forward pass of the
    network. Each of its forward passes counts its own calls (`count_calls_`), so passes may be nested, interleaved in
    several threads, broken off by an exception, or repeated by a checkpoint.

    Args:
        name: of the activation in the network.
        scope: of its owner, see `count_calls_`.
        children: in order of calls; one that the plan leaves in full precision is the float activation.
        replaced: the activation that they take the place of.
    """

    def __init__(self, name: str, scope: str, children: Sequence[nn.Module], replaced: nn.Module) -> None:
        super().__init__()
        self.placed = name
        self.scope = scope
        self.replaced = (replaced,)  # in a tuple, so that it is not registered
        for index, child in enumerate(children):
            self.add_module(str(index), child)

    def __len__(self) -> int:
        return len(self._modules)

    def forward(self, x: Tensor) -> Tensor:
        """Activations of any shape to values of the same shape.

        Raises:
            UsageError: a call outside of the owner's forward pass, or one call too many.
        """
        counts = _counts(self.scope)
        if counts is None:
            owner = self.scope or "the network"
            raise UsageError(
                f"{self.placed}: must be called in the forward pass of {owner}, where its calls are counted; "
                f"got a call outside of it; call or checkpoint {owner} as a whole"
            )
        index = counts.get(self, 0)
        counts[self] = index + 1
        if index >= len(self):
            raise UsageError(_miscounted(self.placed, len(self), f"call {index + 1}"))
        return unseen(cast(nn.Module, self._modules[str(index)]), x)

    def extra_repr(self) -> str:
        """Return the settings, for `print(module)`."""
        return f"scope={self.scope!r}"


def count_call(quantizer: nn.Module, name: str) -> None:
    """Note the call of a quantizer that belongs to one call site.

    Raises:
        UsageError: it is called for the second time in one forward pass of its network.
    """
    counts = _counts(ROOT)
    if counts is not None:
        if quantizer in counts:
            raise UsageError(_miscounted(name, 1, "call 2"))
        counts[quantizer] = 1


def unseen(compute: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return `compute(x)`; functions that are called in it are none of the module around it."""
    if not _PASSES.open:
        return compute(x)
    _PASSES.open.append((_NOBODY, {}))
    try:
        return compute(x)
    finally:
        _PASSES.open.pop()


def calls_relu(module: nn.Module) -> bool:
    """Whether a module is one of torch that calls the function itself."""
    return type(module) in _CALLS_RELU


def count_calls_(owners: Mapping[str, nn.Module], functions: Mapping[str, str]) -> None:
    """Count the calls of `Sites` in each forward pass of their owners, in place.

    Their classes become subclasses of the same name. What a module is lies in its class and its attributes alone, so
    that it can be copied, pickled, compiled, checkpointed and called through `torch.func.functional_call`.

    Args:
        owners: by the scope that their `Sites` know them by; `ROOT` is the network, where each quantizer is counted.
        functions: of owners which call activations as functions: the child that such calls go to.

    Raises:
        UsageError: a class cannot have a subclass, or `forward` is no method of it; then nothing is changed.
    """
    classes: dict[str, type] = {}
    for scope, module in owners.items():
        name = scope or "the network"
        if "forward" in vars(module) and (scope != ROOT or scope in functions):
            raise UsageError(
                f"quantize_: {name}: forward must be a method of its class, to count how often it calls its "
                "activations; got one that is set on the object; define it in the class"
            )
        try:
            classes[scope] = _counting(cast(Any, type(module)), scope in functions)
        except TypeError as error:
            raise UsageError(
                f"quantize_: {name} must be a plain nn.Module, to count how often it calls its activations; "
                f"got {type(module).__name__} ({error})"
            ) from error
    for scope, module in owners.items():
        module.__class__ = classes[scope]
        vars(module)["_glassbit_scope"] = scope
        if scope in functions:
            vars(module)["_glassbit_functions"] = functions[scope]


def stop_counting_(module: nn.Module) -> None:
    """Undo `count_calls_`, and give function calls back; other modules are left alone."""
    base = vars(type(module)).get("_glassbit_base")
    if base is not None:
        module._modules.pop(vars(module).pop("_glassbit_functions", ""), None)
        module.__class__ = base
        vars(module).pop("_glassbit_scope", None)


class _Passes(threading.local):
    """The forward passes that are under way in this thread, the innermost last: scope, and calls so far."""

    def __init__(self) -> None:
        self.open: list[tuple[str, dict[nn.Module, int]]] = []


_PASSES = _Passes()
_NOBODY = "\0"


class _Sending(TorchFunctionMode):
    """Sends the activations that a forward calls as functions to a module; those of modules in it are left alone.

    Args:
        counts: of this forward pass.
        module: `Sites`, or a quantizer.
    """

    def __init__(self, counts: dict[nn.Module, int], module: nn.Module) -> None:
        super().__init__()
        self.counts = counts
        self.module = module

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if _PASSES.open[-1][1] is self.counts and function_ceiling(func, args, kwargs) is not None:
            return self.module(function_input(args, kwargs))
        return func(*args, **kwargs)


def _counts(scope: str) -> dict[nn.Module, int] | None:
    for name, counts in reversed(_PASSES.open):
        if name == scope:
            return counts
    return None


def _check(scope: str, counts: dict[nn.Module, int]) -> None:
    """Refuse a pass that left calls of `Sites` out, as the others may have gone to the wrong quantizer."""
    for module, count in counts.items():
        if isinstance(module, Sites) and module.scope == scope and count != len(module):
            raise UsageError(_miscounted(module.placed, len(module), str(count)))


@functools.cache
def _counting(base: Any, functions: bool) -> Any:
    """Return the subclass of the class `base` that counts calls in its forward passes.

    Args:
        functions: whether it calls activations as functions. Then `torch.compile` leaves it alone: in compiled code a
            mode sees what modules call, without the modules.
    """

    @functools.wraps(base.forward)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        scope: str | None = vars(self).get("_glassbit_scope")
        if scope is None:  # made from the class of another module, as a slice of an nn.Sequential is
            return base.forward(self, *args, **kwargs)
        counts: dict[nn.Module, int] = {}
        child: str | None = vars(self).get("_glassbit_functions")
        _PASSES.open.append((scope, counts))
        try:
            if child is None:
                result = base.forward(self, *args, **kwargs)
            else:
                with _Sending(counts, cast(nn.Module, self._modules[child])):
                    result = base.forward(self, *args, **kwargs)
        finally:
            _PASSES.open.pop()
        _check(scope, counts)
        return result

    def __reduce_ex__(self: nn.Module, protocol: Any) -> Any:  # noqa: N807 - pickle finds no such class by its name
        made, arguments, *state = base.__reduce_ex__(self, protocol)
        if made not in (copyreg.__newobj__, copyreg._reconstructor):  # type: ignore[attr-defined]
            return (made, arguments, *state)
        return (_remade, (made, base, functions, *arguments[1:]), *state)

    body = {
        "forward": torch.compiler.disable(forward) if functions else forward,
        "__reduce_ex__": __reduce_ex__,
        "__module__": home(base),
        "__qualname__": base.__qualname__,
        "__doc__": base.__doc__,
        "_glassbit_base": base,
    }
    if issubclass(base, nn.Sequential | nn.ModuleList):  # what they run is what they hold
        body |= {"__iter__": lambda self: iter(_own(self)), "__len__": lambda self: len(_own(self))}
    return type(base)(base.__name__, (base,), body)


def _own(container: nn.Module) -> list[nn.Module]:
    functions = vars(container).get("_glassbit_functions")
    return [cast(nn.Module, child) for name, child in container._modules.items() if name != functions]


def _remade(make: Callable[..., nn.Module], base: Any, functions: bool, *arguments: Any) -> nn.Module:
    return make(_counting(base, functions), *arguments)


def _miscounted(name: str, count: int, got: str) -> str:
    times = "once" if count == 1 else f"{count} times"
    return f"{name}: must be called {times} per forward pass, as often as it has quantizers; got {got}; {_REPAIR}"
