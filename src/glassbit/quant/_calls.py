"""Seeing which activations and layers a network calls, in which order, and how often."""

from __future__ import annotations

import copy
import math
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from glassbit._arguments import shown
from glassbit._errors import UsageError
from glassbit._foreign import told

from ._bits import FLOOR
from ._functions import function_ceiling, function_in_place, function_input, function_module
from ._places import walk
from ._sites import ROOT, calls_relu

Example = Tensor | tuple[Tensor, ...]

_SIDES = (28, 32, 64, 96, 224, 48, 16, 8, 128, 256, 299, 14)
_CHANNELS = (1, 3)
_HOOKS = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called",
    "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs",
)  # fmt: skip


@dataclass(eq=False)
class FunctionCalls:
    """The activations that one module calls as functions, in all forward passes of it together.

    Args:
        owner: the name of the module.
        attribute: a name in it that is free, for what takes their place.
        made: for each call the module that computes the same.
        fit: whether a call may be quantized: it reads a map or features that come from a layer with weights.
        read_again: whether one changes its input in place, which is read afterwards.
    """

    owner: str
    attribute: str
    made: list[nn.Module] = field(default_factory=list)
    fit: list[bool] = field(default_factory=list)
    read_again: bool = False

    @property
    def name(self) -> str:
        """The name of what takes their place."""
        return f"{self.owner}.{self.attribute}".lstrip(".")


@dataclass(frozen=True)
class Calls:
    """The calls of one forward pass.

    Args:
        order: names of activations and of layers with weights; a name stands there once per call.
        scopes: for each activation the innermost module that holds all of its calls and is itself called once.
        functions: activations that are called as functions, by module.
    """

    order: tuple[str, ...]
    scopes: dict[str, str]
    functions: tuple[FunctionCalls, ...] = ()

    def count(self, name: str) -> int:
        """How often an activation or layer is called."""
        return self.order.count(name)


def see(
    model: nn.Module,
    example: Example | None,
    *,
    is_activation: Callable[[nn.Module], bool],
    is_weighted: Callable[[nn.Module], bool],
) -> Calls | None:
    """Run the network once, and note its calls; None where no forward pass could be run.

    What runs is a twin in eval mode, without the user's hooks, which shares parameters and owns its buffers: nothing of
    the network is changed. Without an example the twin has no numbers at all (the meta device) and is tried on square
    images of likely sizes, then with linear layers that take features of any length, as for images of another size.

    Args:
        example: the network's input, or inputs.

    Raises:
        UsageError: the network does not take the example.
    """
    if example is not None:
        if not isinstance(example, Tensor | tuple) or example == ():
            raise UsageError(
                f"quantize_: example must be a tensor, or a tuple of what the network takes; got {shown(example)}; "
                "pass a batch of images as in training"
            )
        inputs = example if isinstance(example, tuple) else (example,)
        try:
            return _Twin(model, None, is_activation, is_weighted).run(*inputs)
        except Exception as error:
            shapes = ", ".join(
                str(tuple(value.shape)) if isinstance(value, Tensor) else shown(value) for value in inputs
            )
            raise UsageError(
                f"quantize_: example must be what the network takes; got {shapes}, on which it raised "
                f"{told(error)}; pass a batch of images as in training"
            ) from error
    dtype = next((value.dtype for value in model.parameters() if value.is_floating_point()), torch.float32)
    for device, any_length in (("meta", False), ("meta", True), (None, False)):
        with suppress(Exception):  # a network that cannot be copied
            twin = _Twin(model, device, is_activation, is_weighted, any_length=any_length)
            for shape in _shapes(model, is_weighted):
                with suppress(Exception):  # whatever it raises on an image that it was not made for
                    return twin.run(torch.zeros(shape, dtype=dtype))
    return None


class _Twin:
    """A copy of a network that notes calls, and which calls of other modules they happen in.

    Args:
        model: the network.
        device: of the copy; None shares the parameters of the network.
        any_length: whether linear layers take any number of features.
    """

    def __init__(
        self,
        model: nn.Module,
        device: str | None,
        is_activation: Callable[[nn.Module], bool],
        is_weighted: Callable[[nn.Module], bool],
        *,
        any_length: bool = False,
    ) -> None:
        self.any_length = any_length
        self.inside: list[tuple[str, int]] = []
        self.quiet: set[str] = set()
        self.weighted: set[str] = set()
        self.functions: dict[str, FunctionCalls] = {}
        self.entered: Counter[str] = Counter()
        self.noted: list[tuple[str, tuple[tuple[str, int], ...]]] = []
        self.device = device or next((parameter.device for parameter in model.parameters()), "cpu")
        self.network = _copied(model, device).eval()
        noted = {place.name: place.module for place in walk(model, is_activation)}
        for place in list(walk(self.network, is_activation)):
            module, original = place.module, noted[place.name]
            if is_activation(original) or is_weighted(original) or calls_relu(original):
                self.quiet.add(place.name)
            if is_weighted(original):
                self.weighted.add(place.name)
            if is_activation(module):  # one object may be registered in several places, and each counts its own calls
                module = copy.copy(module)
                place.parent._modules[place.attribute] = module
            self._watch(place.name, module, noted=is_activation(original) or is_weighted(original))
        self._watch(ROOT, self.network, noted=False)

    def run(self, *inputs: Tensor) -> Calls:
        """Return the calls of one forward pass."""
        self.inside.clear()
        self.entered.clear()
        self.noted.clear()
        self.functions.clear()
        given = [value.to(self.device) for value in inputs]
        gpus = [value.device for value in given if value.is_cuda]
        with warnings.catch_warnings(), torch.random.fork_rng(devices=gpus), torch.no_grad(), _Functions(self):
            warnings.simplefilter("ignore")  # what is wrong with the network is said when it is used
            self.network(*given)
        stacks: dict[str, list[tuple[tuple[str, int], ...]]] = {}
        for name, stack in self.noted:
            stacks.setdefault(name, []).append(stack)
        order = tuple(name for name, _ in self.noted)
        scopes = {name: self._scope(stack) for name, stack in stacks.items()}
        return Calls(order, scopes, tuple(self.functions.values()))

    def note_function(self, x: object, ceiling: float) -> FunctionCalls | None:
        """Note an activation that is called as a function; None where a module of torch calls it."""
        if any(name in self.quiet for name, _ in self.inside):
            return None
        owner = self.inside[-1][0]
        if owner not in self.functions:
            self.functions[owner] = FunctionCalls(owner, _free_name(self.network.get_submodule(owner)))
        functions = self.functions[owner]
        behind = any(name in self.weighted for name, _ in self.noted)
        fit = isinstance(x, Tensor) and not isinstance(x, nn.Parameter) and x.dim() > 1 and x.is_floating_point()
        functions.made.append(function_module(ceiling))
        functions.fit.append(behind and fit and ceiling >= FLOOR)
        self.noted.append((functions.name, tuple(self.inside)))
        return functions

    def _watch(self, name: str, module: nn.Module, *, noted: bool) -> None:
        """Note the calls of a module, also where its `forward` is called directly."""
        inner: Callable[..., object] = (
            _of_any_length(module) if self.any_length and isinstance(module, nn.Linear) else module.forward
        )

        def forward(*args: object, **kwargs: object) -> object:
            if noted:
                self.noted.append((name, tuple(self.inside)))
            self.entered[name] += 1
            self.inside.append((name, self.entered[name]))
            try:
                return inner(*args, **kwargs)
            finally:
                self.inside.pop()

        module.forward = forward

    def _scope(self, stacks: list[tuple[tuple[str, int], ...]]) -> str:
        scope = ROOT
        for calls in zip(*stacks, strict=False):
            if len(set(calls)) > 1:
                break
            if self.entered[calls[0][0]] == 1:
                scope = calls[0][0]
        return scope


class _Functions(TorchFunctionMode):
    """Notes the activations that are called as functions, out of place, so that a changed input is told from a result.

    Args:
        twin: what notes them.
    """

    def __init__(self, twin: _Twin) -> None:
        super().__init__()
        self.twin = twin
        self.changed: dict[int, tuple[object, FunctionCalls]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ != "__get__":  # shape, dtype and the like
            for value in (*args, *kwargs.values()):
                for each in value if isinstance(value, tuple | list) else (value,):
                    if id(each) in self.changed:
                        self.changed[id(each)][1].read_again = True
        ceiling = function_ceiling(func, args, kwargs)
        noted = None if ceiling is None else self.twin.note_function(function_input(args, kwargs), ceiling)
        if noted is None or not function_in_place(func, args, kwargs):
            return func(*args, **kwargs)
        x = function_input(args, kwargs)
        self.changed[id(x)] = (x, noted)
        return noted.made[-1](x)


def _free_name(module: nn.Module) -> str:
    """Return the name of what takes the place of functions in a module: that of a module which it could have had."""
    name, index = "relu", 0
    while hasattr(module, name):
        name, index = f"function_relu{index or ''}", index + 1
    return name


def _copied(model: nn.Module, device: str | None) -> nn.Module:
    """Return a copy without hooks that shares the parameters, or has them on `device`."""
    memo: dict[int, object] = {}
    for parameter in model.parameters():
        moved = parameter if device is None else nn.Parameter(parameter.detach().to(device), parameter.requires_grad)
        memo[id(parameter)] = moved
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.detach().clone() if device is None else buffer.detach().to(device)
    twin = copy.deepcopy(model, memo)
    for module in twin.modules():
        for hooks in _HOOKS:  # private names of torch, as there is no public way to do without hooks
            setattr(module, hooks, OrderedDict())
    return twin


def _of_any_length(layer: nn.Linear) -> Callable[..., Tensor]:
    def forward(x: Tensor) -> Tensor:
        return x.new_zeros(*x.shape[:-1], layer.out_features)

    return forward


def _shapes(model: nn.Module, is_weighted: Callable[[nn.Module], bool]) -> Iterator[tuple[int, ...]]:
    """Yield input shapes that the network may take, the likely ones first; two samples each."""
    first = next((module for module in model.modules() if is_weighted(module)), None)
    channels: list[int] = []
    if isinstance(first, nn.Linear):
        yield (2, first.in_features)
        for count in (*_CHANNELS, first.in_features):
            side = math.isqrt(first.in_features // count)
            if count * side**2 == first.in_features:
                yield (2, count, side, side)
    elif isinstance(first, nn.Conv2d):
        channels.append(first.in_channels)
    others = [module.in_channels for module in model.modules() if isinstance(module, nn.Conv2d)]
    for count in dict.fromkeys([*channels, *_CHANNELS, *others[:1]]):
        for side in _SIDES:
            yield (2, count, side, side)
