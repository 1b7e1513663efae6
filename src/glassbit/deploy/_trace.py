"""Following an image through a network, layer by layer and function by function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from glassbit._count import counted
from glassbit._errors import UsageError
from glassbit._modes import evaluating
from glassbit.models import Classifier, SubsampleAndPad, to_unit
from glassbit.quant import QuantizedConv2d, QuantizedLinear, is_activation_quantizer, quantizers

from ._match import UNKNOWN, Builder, RefusedError, Symbol, Unknown
from ._program import Pair, Program
from ._windows import adaptive, sliding

_BATCH = 64
_TWICE = 2

_SAME = frozenset({"contiguous", "clone", "float"})
_ADDS = frozenset({"add", "add_", "__add__", "__radd__", "__iadd__"})
_SHAPES = frozenset({"flatten", "reshape", "view", "squeeze"})
_DROPOUTS = frozenset({"dropout", "dropout2d", "feature_dropout", "alpha_dropout"})
_ASKS = frozenset({"size", "dim", "ndimension", "numel", "stride", "is_contiguous", "is_floating_point", "__len__"})
_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVERAGE = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")


def trace(model: nn.Module, images: Shaped[Tensor, "n c h w"], *, zero: int) -> Program:
    """The program of a quantized network, in eval mode, from one run on `images`.

    The network runs as it is, so Python of any kind may decide what it calls, as long as the pixels do not.

    Args:
        model: a `Classifier`, or a network that takes images in [0, 1].
        images: uint8 or in [0, 1]; they also tell how large the operands of sums become.
        zero: the pixel that counts as zero.

    Raises:
        UsageError: something in the network has no deployed form; every such thing by the name of its layer.
    """
    if next(quantizers(model), None) is None:
        raise UsageError("deploy: the network is not quantized; call quantize_(model.network, plan) and train it first")
    network = model.network if isinstance(model, Classifier) else model
    device = next((parameter.device for parameter in model.parameters()), images.device)
    programs: list[Program] = []
    with evaluating(model), torch.no_grad():
        for start in range(0, len(images), _BATCH):
            x = to_unit(images[start : start + _BATCH].to(device))
            x = x if len(x) > 1 else x.repeat(_TWICE, 1, 1, 1)  # one image cannot tell the batch from other axes
            x = model.normalize(x) if isinstance(model, Classifier) else x
            programs.append(_Recorder(network, x.float(), zero).run())
    peaks = [max(values) for values in zip(*(program.peaks for program in programs), strict=True)]
    return Program(programs[0].steps, tuple(peaks))


class _Recorder(TorchFunctionMode):
    """Watches one forward pass: known layers whole, everything else function by function."""

    def __init__(self, network: nn.Module, x: Float[Tensor, "n c h w"], zero: int) -> None:
        super().__init__()
        self.network = network
        self.x = x
        self.builder = Builder(x.shape[1], x.shape[2], x.shape[3], zero)
        self.problems: dict[str, None] = {}
        self.symbols: dict[int, tuple[Tensor, Symbol]] = {}  # the tensor is kept, so that its id stays its own
        self.inside: list[str] = []
        self.leaves = 0

    def run(self) -> Program:
        """The program of what the network called.

        Raises:
            UsageError: see `trace`.
        """
        self._set(self.x, self.builder.image)
        handles = list(self._watch(self.network, ""))
        try:
            with self:
                output = self.network(self.x)
        finally:
            for handle in handles:
                handle.remove()
        symbol = self._get(output) if isinstance(output, Tensor) else None
        program = None
        if not isinstance(symbol, Unknown):
            try:
                if symbol is None:
                    raise RefusedError(
                        "its output must be the logits, one tensor (n, classes) that depends on the image"
                    )
                program = self.builder.finish(symbol, output)
            except RefusedError as refusal:
                self._report(type(self.network).__name__, refusal)
        if self.problems or program is None:
            count = counted(len(self.problems), "thing has", "things have")
            listed = "\n".join(f"  - {problem}" for problem in self.problems)
            raise UsageError(f"deploy: {count} no form in integer arithmetic\n{listed}")
        return program

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self.leaves:
            return func(*args, **kwargs)
        found = [value for value in _tensors([*args, *kwargs.values()]) if self._get(value) is not None]
        before = [(value, self._get(value)) for value in found]
        name = _name(func)
        owner = self.inside[-1] if self.inside else ""
        if name in _ADDS and len(found) > 1:  # before an in-place sum overwrites one of the two
            symbol = self._attempt(owner, lambda: self._add(owner, name, args, kwargs), before)
            result = func(*args, **kwargs)
            self._set(result, symbol)
            return result
        result = func(*args, **kwargs)
        if not before or (name.startswith("property ") and not isinstance(result, Tensor)) or name in _ASKS:
            return result
        if isinstance(result, Tensor) and (result is found[0] or name in _SAME):
            self._set(result, before[0][1] or UNKNOWN)
            return result
        symbol = self._attempt(
            owner, lambda: self._function(owner, name, before[0][1] or UNKNOWN, args, kwargs, result), before
        )
        for value in _tensors([result]):
            self._set(value, symbol)
        return result

    def _function(
        self, owner: str, name: str, x: Symbol, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> Symbol:
        value = args[0] if args else next(iter(kwargs.values()))
        made = f"{owner}.{name}" if owner else name
        if not isinstance(result, Tensor):
            raise RefusedError(
                f"{name} reads values out of a tensor; what a network calls must not depend on the pixels"
            )
        if name in _SHAPES and result.shape == value.flatten(1).shape:
            return x if value.dim() == 2 else self.builder.flatten(made, x)
        if name == "mean":
            return self._mean(made, x, value, result, _bound(("input", "dim", "keepdim"), args, kwargs))
        if name in _DROPOUTS:
            raise RefusedError(f"{name} acts in eval mode; use an nn.Dropout module, or pass training=self.training")
        if name == "max_pool2d":
            return self._max_pool(made, x, value, result, _bound(_POOL, args, kwargs))
        if name == "avg_pool2d":
            return self._average_pool(made, x, value, result, _bound(_AVERAGE, args, kwargs))
        if name == "adaptive_avg_pool2d":
            return self._adaptive(made, x, value, result)
        if name in ("relu", "hardtanh", "relu6"):
            raise RefusedError(
                f"the function {name} stays in full precision; use an nn.ReLU module, which becomes a quantizer"
            )
        raise RefusedError(f"the function {name} has no integer form")

    def _layer(self, name: str, module: nn.Module, x: Symbol, value: Tensor, result: Tensor) -> Symbol:
        build = self.builder
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            return build.weighted(name, module, x, value)
        if is_activation_quantizer(module):
            return build.activation(name, module, x)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            return build.norm(name, module, x)
        if isinstance(module, SubsampleAndPad):
            return build.subsample(name, x, (2, 2), module.channels)
        if isinstance(module, nn.Identity | nn.modules.dropout._DropoutNd):
            return x
        if isinstance(module, nn.Flatten) and result.shape == value.flatten(1).shape:
            return x if value.dim() == 2 else build.flatten(name, x)
        if isinstance(module, nn.MaxPool2d):
            options = {key: getattr(module, key) for key in _POOL[1:]}
            return self._max_pool(name, x, value, result, options)
        if isinstance(module, nn.AvgPool2d):
            return self._average_pool(name, x, value, result, {key: getattr(module, key) for key in _AVERAGE[1:]})
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return self._adaptive(name, x, value, result)
        if isinstance(module, nn.Conv2d | nn.Linear | nn.ReLU | nn.ReLU6 | nn.Hardtanh):
            raise RefusedError(
                f"this {type(module).__name__} stays in full precision; give it bits in the plan "
                '(edges "8" or "same" for the first and last layer)'
            )
        raise RefusedError(f"{type(module).__name__} has no integer form")

    def _add(self, owner: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Symbol:
        given = _bound(("input", "other"), args, kwargs)
        if given.get("alpha", 1) != 1:
            raise RefusedError(f"a sum must have alpha=1; got {given['alpha']}")
        left, right = given["input"], given["other"]
        return self.builder.add(owner, self._get(left) or UNKNOWN, self._get(right) or UNKNOWN, left, right)

    def _mean(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        dims = given.get("dim")
        dims = dims if isinstance(dims, tuple | list) else (dims,)
        if value.dim() != 4 or None in dims or {dim % 4 for dim in dims} != {2, 3}:
            raise RefusedError(f"a mean must be over height and width, the axes (2, 3); got {given.get('dim')}")
        pooled = self.builder.average_pool(name, x, adaptive(value.shape[2], 1), adaptive(value.shape[3], 1))
        return pooled if result.dim() == 4 else self.builder.flatten(f"{name}.flat", pooled)

    def _max_pool(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        if _pair(given.get("dilation", 1)) != (1, 1) or given.get("return_indices"):
            raise RefusedError("a max pool must have dilation=1 and return_indices=False")
        kernel, stride, padding = _windows(value, result, given)
        return self.builder.max_pool(name, x, kernel, stride, padding)

    def _average_pool(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        kernel = _pair(given["kernel_size"])
        stride, padding = _pair(given.get("stride") or kernel), _pair(given.get("padding", 0))
        counted, divisor = given.get("count_include_pad", True), given.get("divisor_override") or 1
        if divisor < 1:
            raise RefusedError(
                f"divisor_override must be at least 1; got {divisor}; leave it out to divide by the size of the window"
            )
        rows, columns = (
            sliding(value.shape[2 + i], result.shape[2 + i], kernel[i], stride[i], padding[i], counted=counted)
            for i in (0, 1)
        )
        if given.get("divisor_override"):
            rows, columns = rows.summed(), columns.summed()
        return self.builder.average_pool(name, x, rows, columns, divisor)

    def _adaptive(self, name: str, x: Symbol, value: Tensor, result: Tensor) -> Symbol:
        rows, columns = (adaptive(value.shape[axis], result.shape[axis]) for axis in (2, 3))
        return self.builder.average_pool(name, x, rows, columns)

    def _attempt(self, owner: str, make: Callable[[], Symbol], before: list[tuple[Tensor, Symbol | None]]) -> Symbol:
        """What `make` makes; where it refuses, its reason is noted. What follows a noted problem is passed over."""
        if any(isinstance(symbol, Unknown) for _, symbol in before):
            return UNKNOWN
        try:
            return make()
        except RefusedError as refusal:
            self._report(owner or type(self.network).__name__, refusal)
            return UNKNOWN

    def _report(self, owner: str, refusal: RefusedError) -> None:
        self.problems[f"{owner}: {refusal}"] = None

    def _watch(self, module: nn.Module, name: str) -> Iterable[RemovableHandle]:
        leaf = _is_leaf(module)

        def enter(*_: object) -> None:
            self.inside.append(name)
            self.leaves += leaf

        def leave(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            if leaf:  # while functions are still passed over: those that are called here are ours
                self._leave(name, module, [*args, *kwargs.values()], output)
            self.leaves -= leaf
            self.inside.pop()

        yield module.register_forward_pre_hook(enter, with_kwargs=True)
        yield module.register_forward_hook(leave, with_kwargs=True)
        for part, child in module.named_children() if not leaf else ():
            yield from self._watch(child, f"{name}.{part}" if name else part)

    def _leave(self, name: str, module: nn.Module, given: list[Any], output: Any) -> None:
        before = [(value, self._get(value)) for value in _tensors(given) if self._get(value) is not None]
        if not before:
            return
        value, symbol = before[0]
        if not isinstance(output, Tensor):
            raise UsageError(f"deploy: {name}: {type(module).__name__} must return one tensor")
        made = self._attempt(name, lambda: self._layer(name, module, symbol or UNKNOWN, value, output), before)
        self._set(output, made)

    def _get(self, value: Tensor) -> Symbol | None:
        return self.symbols[id(value)][1] if id(value) in self.symbols else None

    def _set(self, value: Tensor, symbol: Symbol) -> None:
        self.symbols[id(value)] = (value, symbol)


def _is_leaf(module: nn.Module) -> bool:
    """Whether a module counts as one operation: all of torch's own but containers, and all of ours."""
    if isinstance(module, QuantizedConv2d | QuantizedLinear | SubsampleAndPad) or is_activation_quantizer(module):
        return True
    return type(module).__module__.startswith("torch.nn.") and not isinstance(
        module, nn.Sequential | nn.ModuleList | nn.ModuleDict
    )


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """The tensors among values, also one list deep."""
    flat = [item for value in values for item in (value if isinstance(value, tuple | list) else (value,))]
    return [item for item in flat if isinstance(item, Tensor)]


def _name(func: Callable[..., Any]) -> str:
    """What a torch function is called; getters are `property shape`."""
    name = str(getattr(func, "__name__", func))
    if name == "__get__":
        return f"property {getattr(getattr(func, '__self__', None), '__name__', '')}"
    return name


def _bound(names: tuple[str, ...], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _windows(value: Tensor, result: Tensor, given: dict[str, Any]) -> tuple[Pair, Pair, Pair]:
    """(kernel, stride, padding) of a pool."""
    kernel = _pair(given["kernel_size"])
    stride = _pair(given.get("stride") or kernel)
    padding = _pair(given.get("padding", 0))
    expected = tuple((value.shape[2 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
    if tuple(result.shape[2:]) != expected:
        raise RefusedError("a pool with ceil_mode=True must not have windows that stand over the edge")
    return kernel, stride, padding


def _pair(value: int | tuple[int, ...] | list[int]) -> Pair:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))
