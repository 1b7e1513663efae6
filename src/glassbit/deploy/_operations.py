"""What each layer and function of torch becomes: steps of the program, or the reason why it cannot be one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from glassbit._sound import home
from glassbit.models import SubsampleAndPad
from glassbit.quant import ActivationQuantizer, QuantizedConv2d, QuantizedLinear, is_weighted

from ._constants import Constants
from ._curves import CURVES, OPTIONS
from ._functions import (
    ADDS,
    ARRANGES,
    DROPOUTS,
    MULTIPLIES,
    RELUS,
    SHAPES,
    SPARSE,
    bound,
    is_number,
    replaced,
    spoken,
    why_no_map,
)
from ._geometry import NO_PADS, pair
from ._match import Builder
from ._program import Constant, Norm
from ._symbols import BLANK, Accumulators, Arranged, Codes, RefusedError, Symbol, Unknown
from ._tracked import Read
from ._windows import adaptive, sliding

_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVERAGE = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
_LAYERS = {"conv2d": nn.Conv2d, "linear": nn.Linear}


class Operations:
    """Hands what a network calls to a builder.

    Args:
        builder: of the program.
        network: whose modules and tensors the program names.
    """

    def __init__(self, builder: Builder, network: nn.Module) -> None:
        self.builder = builder
        self.network = network
        self.constants = Constants(network)
        self._table: dict[str, Callable[[str, Symbol, Tensor, Any, dict[str, Any]], Symbol]] = {
            "batch_norm": self._norm,
            "mean": self._mean,
            "sum": self._sum,
            "amax": self._global_max,
            "max_pool2d": self._max_pool,
            "adaptive_max_pool2d": self._global_max,
            "avg_pool2d": self._average_pool,
            "adaptive_avg_pool2d": self._adaptive,
            "pad": self._pad,
            "hardsigmoid": self._hard_sigmoid,
            "hardtanh": self._clip,
            "clamp": self._clip,
            "clip": self._clip,
        }

    def function(
        self, owner: str, name: str, read: Read, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> Symbol | list[Symbol]:
        """Return what a function makes of the tensors that it reads; one for each tensor that it returns.

        Raises:
            RefusedError: it has no integer form.
        """
        value, x = read[0]
        made = self._named(owner, name)
        if name in ARRANGES and isinstance(result, tuple | list) and len(read) == 1:
            return self._arranged(made, x, value, name, args, kwargs)
        if name == "max_pool2d_with_indices":
            raise RefusedError("a max pool must have dilation=1 and return_indices=False")
        if not isinstance(result, Tensor):
            raise RefusedError(why_no_map(name, result))
        flat = value.dim() > 1 and result.shape == value.flatten(1).shape
        if name in SHAPES and flat and not isinstance(x, Arranged):
            return x if value.dim() == 2 else self.builder.flatten(made, x, value)
        if name in ADDS and any(isinstance(part, int) and part == 0 for part in (*args, *kwargs.values())):
            return x  # Python's sum begins with 0
        if name in DROPOUTS:
            return self._dropout(owner, name, x, bound(("input", "p", "training"), args, kwargs))
        if kwargs.get("out") is None:
            if name in ("cat", "concat", "concatenate"):
                return self._concat(made, read, bound(("tensors", "dim"), args, kwargs))
            if len(read) == 1 and name in ARRANGES:
                return self._arranged(made, x, value, name, args, kwargs)[0]
            if len(read) == 1 and (known := self._known(owner, name, made, x, value, result, args, kwargs)) is not None:
                return known
        if name in SPARSE:
            raise RefusedError(f"the shape of what {name} returns depends on the pixels")
        raise RefusedError(f"{self._spoken(owner, name)} has no integer form")

    def layer(self, name: str, module: nn.Module, x: Symbol, value: Tensor, result: Any) -> Symbol:
        """Return what a layer that is known as a whole makes of the tensor that it reads; see `is_leaf`.

        Raises:
            RefusedError: it has no integer form.
        """
        if "forward" in vars(module):
            raise RefusedError("its forward was replaced on the object; make it a module of its own instead")
        if not isinstance(result, Tensor):
            raise RefusedError(f"{type(module).__name__} has no integer form")
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            return self.builder.weighted(name, module, x, value)
        if isinstance(module, ActivationQuantizer):
            return self.builder.activation(name, module, x, value)
        assert isinstance(module, SubsampleAndPad)
        return self.builder.subsample(name, x, value, (2, 2), module.channels)

    def combine(self, owner: str, name: str, read: Read, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Symbol:
        """Return the sum or the product of two tensors.

        Raises:
            RefusedError: it has no integer form.
        """
        given = bound(("input", "other"), args, kwargs)
        symbols = {id(value): symbol for value, symbol in read}
        left, right = given.get("input"), given.get("other")
        what = "sum" if name in ADDS else "product"
        if id(left) not in symbols or id(right) not in symbols:
            raise RefusedError(f"a {what} must be of two maps that depend on the image, into a tensor of its own")
        if given.get("alpha", 1) != 1:
            raise RefusedError(f"a sum must have alpha=1; got {given['alpha']}")
        assert isinstance(left, Tensor)
        assert isinstance(right, Tensor)
        make = self.builder.add if name in ADDS else self.builder.multiply
        return make(owner, symbols[id(left)], symbols[id(right)], left, right)

    def _known(
        self,
        owner: str,
        name: str,
        made: str,
        x: Symbol,
        value: Tensor,
        result: Tensor,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Symbol | None:
        """Return what a function of one tensor makes of it; None where it is none of these."""
        if name in RELUS or (name in ("clamp", "clip", "hardtanh") and _is_relu(name, args, kwargs)):
            module = self._module(owner)
            if isinstance(module, nn.ReLU | nn.ReLU6 | nn.Hardtanh):
                raise RefusedError(_in_full_precision(module))
            raise RefusedError(
                f"the function {name} stays in full precision; give it bits in the plan, or use an nn.ReLU module"
            )
        if name in self._table:
            names = {"batch_norm": _NORM, "max_pool2d": _POOL, "avg_pool2d": _AVERAGE}.get(name, _NAMES.get(name, ()))
            return self._table[name](made, x, value, result, bound(names, args, kwargs))
        if name in MULTIPLIES or name in ADDS or name in _SCALES:
            return self.builder.affine(made, x, value, self._constant(name, value, args, kwargs))
        curve = name.removesuffix("_")
        if curve == "pow" and bound(("input", "exponent"), args, kwargs).get("exponent") == 2:
            curve = "square"
        if curve in CURVES:
            return self._curve(made, x, value, curve, bound(("input", *OPTIONS.get(curve, ())), args, kwargs))
        if name in _LAYERS:
            module = self._module(owner)
            if isinstance(module, _LAYERS[name]):
                raise RefusedError(_in_full_precision(module))
            raise RefusedError(f"the function {name} has no bits; use an nn.Conv2d or nn.Linear module")
        return None

    def _named(self, owner: str, name: str) -> str:
        """Return the name of what a function makes: that of its layer where it is one of torch's."""
        if not owner:
            return name
        return owner if _is_torchs(self._module(owner)) else f"{owner}.{name}"

    def _spoken(self, owner: str, name: str) -> str:
        """Return a function in a sentence: its layer where that is one of torch's."""
        module = self._module(owner)
        return type(module).__name__ if owner and _is_torchs(module) else spoken(name)

    def _module(self, owner: str) -> nn.Module:
        return self.network.get_submodule(owner)

    def _constant(self, name: str, value: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Constant:
        """Return what a product, a quotient or a sum with something that is the same for all images does."""
        given = bound(("input", "other"), args, kwargs)
        if given.get("alpha", 1) != 1 or given.get("rounding_mode") is not None:
            raise RefusedError(f"{spoken(name)} must have no alpha and no rounding_mode")
        if name in ("neg", "negative", "neg_"):
            return Constant(factor=-1.0)
        first = given.get("input")
        other = given.get("other") if isinstance(first, Tensor) and first.shape == value.shape else first
        if other is value or (is_number(first) and isinstance(given.get("other"), Tensor)):
            other = first
        number = self.constants.value(other, value)
        back = "rsub" in name or (is_number(first) and name == "sub")
        if name in MULTIPLIES:
            return Constant(factor=number)
        if name in ADDS:
            return Constant(term=number)
        if isinstance(number, str):
            raise RefusedError(f"{spoken(name)} must be with a number; got the tensor {number}")
        if "sub" in name:
            return Constant(-1.0, number) if back else Constant(term=-number)
        if is_number(first) or "rtruediv" in name or "rdiv" in name:
            raise RefusedError(f"{spoken(name)} has no integer form")
        if number == 0:
            raise RefusedError(f"{spoken(name)} must divide by a number other than 0; got {number:g}")
        return Constant(divisor=number)

    def _norm(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        if given.get("running_mean") is None or given.get("running_var") is None:
            raise RefusedError("it needs running statistics; build it with track_running_stats=True")
        if given.get("training"):
            raise RefusedError("this BatchNorm is in training mode in spite of eval()")
        tensors = [given.get(key) for key in ("running_mean", "running_var", "weight", "bias")]
        mean, var, weight, bias = ("" if tensor is None else self.constants.name(tensor) for tensor in tensors)
        if not mean or not var or (tensors[2] is not None and not weight) or (tensors[3] is not None and not bias):
            raise RefusedError("its statistics must be tensors of the network; got others")
        return self.builder.affine(name, x, value, Norm(mean, var, weight, bias, float(given.get("eps", 1e-5))))

    def _dropout(self, owner: str, name: str, x: Symbol, given: dict[str, Any]) -> Symbol:
        if given.get("training", True) and given.get("p", 0.5):
            module = self._module(owner)
            if isinstance(module, nn.modules.dropout._DropoutNd):
                raise RefusedError(f"this {type(module).__name__} is in training mode in spite of eval()")
            raise RefusedError(f"{name} acts in eval mode; use an nn.Dropout module, or pass training=self.training")
        return x

    def _concat(self, made: str, read: Read, given: dict[str, Any]) -> Symbol:
        tensors, dim = given["tensors"], given.get("dim", given.get("axis", 0))
        symbols = {id(value): symbol for value, symbol in read}
        if any(id(tensor) not in symbols for tensor in tensors):
            raise RefusedError("a concatenation must be of maps that depend on the image")
        if dim % tensors[0].dim() != 1:
            raise RefusedError(f"a concatenation must be along the channels, the axis 1; got {dim}")
        return self.builder.concat(made, [symbols[id(tensor)] for tensor in tensors], list(tensors))

    def _arranged(
        self, made: str, x: Symbol, value: Tensor, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[Symbol]:
        """Where each element of the result comes from, found by the same call on the numbers of the elements."""
        if isinstance(x, Arranged):
            of, shape, places = x.of, x.shape, x.places
        elif isinstance(x, Codes | Accumulators | Unknown):
            of, shape = BLANK if isinstance(x, Unknown) else x, tuple(value.shape)
            places = torch.arange(value.numel(), dtype=torch.int32).view(shape)
        else:
            raise RefusedError(f"{spoken(name)} has no integer form")
        moved = replaced((args, kwargs), value, places)
        with torch.no_grad():
            results = ARRANGES[name](*moved[0], **moved[1])
        results = [results] if isinstance(results, Tensor) else [*results]
        return [self.builder.arranged(made, x, value, Arranged(of, shape, each.contiguous())) for each in results]

    def _curve(self, name: str, x: Symbol, value: Tensor, curve: str, given: dict[str, Any]) -> Symbol:
        options = tuple((key, given[key]) for key in OPTIONS.get(curve, ()) if key in given and key != "weight")
        weight = ""
        if curve == "prelu":
            weight = self.constants.name(given.get("weight"))
            if not weight or self.constants.tensors[weight].numel() != 1:
                raise RefusedError("PReLU must have one weight for all channels; use nn.PReLU()")
        return self.builder.curve(name, x, value, curve, options, weight)

    def _hard_sigmoid(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        half = self.builder.affine(f"{name}.sixth", x, value, Constant(term=0.5, divisor=6.0))
        return self.builder.clip(name, half, value / 6 + 0.5, 0.0, 1.0)

    def _clip(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        least, most = given.get("min_val", given.get("min")), given.get("max_val", given.get("max"))
        if not is_number(least) or not is_number(most):
            raise RefusedError("it must clip between two numbers")
        return self.builder.clip(name, x, value, float(least or 0), float(most or 0))

    def _pad(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        if given.get("mode", "constant") != "constant" or given.get("value") not in (None, 0, 0.0):
            raise RefusedError(f"padding must be of zeros; got {given.get('mode', 'constant')} {given.get('value')}")
        sides = [*given["pad"], 0, 0, 0, 0][:4]
        if value.dim() != 4 or any(given["pad"][4:]):
            raise RefusedError(f"padding must be of height and width; got {tuple(given['pad'])}")
        left, right, top, bottom = sides
        return self.builder.pad(x, value, (top, left, bottom, right))

    def _mean(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        return self._over_map("mean", name, x, value, result, given)

    def _sum(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        return self._over_map("sum", name, x, value, result, given)

    def _over_map(
        self, what: str, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]
    ) -> Symbol:
        _check_over_map(what, value, given)
        rows, columns = adaptive(value.shape[2], 1), adaptive(value.shape[3], 1)
        if what == "sum":
            rows, columns = rows.summed(), columns.summed()
        pooled = self.builder.average_pool(name, x, value, rows, columns)
        return pooled if result.dim() == 4 else self.builder.flatten(f"{name}.flat", pooled, result[..., None, None])

    def _global_max(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        if given.get("return_indices"):
            raise RefusedError("a max pool must have return_indices=False")
        if "output_size" in given:
            size = tuple(result.shape[2:])
        else:
            _check_over_map("maximum", value, given)
            size = (1, 1)
        if value.dim() != 4 or any(n % o for n, o in zip(value.shape[2:], size, strict=True)):
            raise RefusedError(f"the windows of an adaptive max pool must be equal; got {tuple(value.shape)} to {size}")
        kernel = (value.shape[2] // size[0], value.shape[3] // size[1])
        pooled = self.builder.max_pool(name, x, value, kernel, kernel, NO_PADS)
        if result.dim() == 4:
            return pooled
        return self.builder.flatten(f"{name}.flat", pooled, result[..., None, None])

    def _max_pool(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        if pair(given.get("dilation", 1)) != (1, 1) or given.get("return_indices"):
            raise RefusedError("a max pool must have dilation=1 and return_indices=False")
        kernel = pair(given["kernel_size"])
        stride = pair(given.get("stride") or kernel)
        padding = pair(given.get("padding", 0))
        needed = [(result.shape[2 + i] - 1) * stride[i] + kernel[i] - padding[i] - value.shape[2 + i] for i in (0, 1)]
        bottom, right = (max(most, own) for most, own in zip(needed, padding, strict=True))  # ceil_mode goes further
        return self.builder.max_pool(name, x, value, kernel, stride, (*padding, bottom, right))

    def _average_pool(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        kernel = pair(given["kernel_size"])
        stride, padding = pair(given.get("stride") or kernel), pair(given.get("padding", 0))
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
        return self.builder.average_pool(name, x, value, rows, columns, divisor)

    def _adaptive(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        rows, columns = (adaptive(value.shape[axis], result.shape[axis]) for axis in (2, 3))
        return self.builder.average_pool(name, x, value, rows, columns)


_SCALES = frozenset(
    {"sub", "sub_", "__sub__", "__isub__", "__rsub__", "rsub", "subtract", "div", "div_", "__truediv__", "__itruediv__",
     "true_divide", "divide", "__rtruediv__", "__rdiv__", "neg", "negative", "neg_"}
)  # fmt: skip
_NAMES = {
    "mean": ("input", "dim", "keepdim"),
    "sum": ("input", "dim", "keepdim"),
    "amax": ("input", "dim", "keepdim"),
    "adaptive_max_pool2d": ("input", "output_size", "return_indices"),
    "adaptive_avg_pool2d": ("input", "output_size"),
    "pad": ("input", "pad", "mode", "value"),
    "hardtanh": ("input", "min_val", "max_val"),
    "clamp": ("input", "min", "max"),
    "clip": ("input", "min", "max"),
}


def is_leaf(module: nn.Module) -> bool:
    """Whether a module counts as one operation: what we quantize, and what is ours. All else is seen as functions."""
    for ours in (QuantizedConv2d, QuantizedLinear, SubsampleAndPad):
        if isinstance(module, ours):
            return type(module).forward is ours.forward  # a subclass may compute something else
    return isinstance(module, ActivationQuantizer)


def _check_over_map(what: str, value: Tensor, given: dict[str, Any]) -> None:
    dims = given.get("dim", given.get("axis"))
    dims = dims if isinstance(dims, tuple | list) else (dims,)
    if value.dim() != 4 or None in dims or {dim % 4 for dim in dims} != {2, 3}:
        raise RefusedError(f"a {what} must be over height and width, the axes (2, 3); got {given.get('dim')}")


def _is_torchs(module: nn.Module) -> bool:
    """Whether a module is a single layer of torch."""
    return home(type(module)).startswith("torch.nn.") and not list(module.children())


def _is_relu(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    given = bound(_NAMES[name], args, kwargs)
    least = given.get("min_val", -1.0) if name == "hardtanh" else given.get("min")
    return is_number(least) and least == 0


def _in_full_precision(module: nn.Module) -> str:
    base = nn.Conv2d if isinstance(module, nn.Conv2d) else nn.Linear
    if isinstance(module, base) and type(module).forward is not base.forward and not is_weighted(module):
        return (
            f"this {type(module).__name__} computes something else than a {base.__name__}; a layer that computes its "
            f"weight must be replaced by an nn.{base.__name__} with that weight"
        )
    return (
        f"this {type(module).__name__} stays in full precision; give it bits in the plan "
        '(edges "8" or "same" for the first and last layer)'
    )
