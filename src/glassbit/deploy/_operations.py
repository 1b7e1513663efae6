"""What each layer and function of torch becomes: a step of the program, or the reason why it cannot be one."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from glassbit._sound import home
from glassbit.models import SubsampleAndPad
from glassbit.quant import ActivationQuantizer, QuantizedConv2d, QuantizedLinear

from ._functions import ADDS, DROPOUTS, RELUS, SHAPES, SPARSE, bound, spoken, why_no_map
from ._match import Builder, RefusedError, Symbol, pair
from ._program import Pair
from ._tracked import Read
from ._windows import adaptive, sliding

_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVERAGE = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")


class Operations:
    """Hands what a network calls to a builder.

    Args:
        builder: of the program.
    """

    def __init__(self, builder: Builder) -> None:
        self.builder = builder

    def function(
        self, owner: str, name: str, read: Read, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> Symbol:
        """Return what a function makes of the tensors that it reads.

        Raises:
            RefusedError: it has no integer form.
        """
        value, x = read[0]
        made = f"{owner}.{name}" if owner else name
        if not isinstance(result, Tensor):
            raise RefusedError(why_no_map(name, result))
        if name in SHAPES and value.dim() > 1 and result.shape == value.flatten(1).shape:
            return x if value.dim() == 2 else self.builder.flatten(made, x, value)
        if name in ADDS and _adds_zero(value, bound(("input", "other"), args, kwargs)):
            return x
        if name in DROPOUTS:
            raise RefusedError(f"{name} acts in eval mode; use an nn.Dropout module, or pass training=self.training")
        if name in RELUS:
            raise RefusedError(
                f"the function {name} stays in full precision; use an nn.ReLU module, which becomes a quantizer"
            )
        if len(read) == 1 and kwargs.get("out") is None:
            if name == "mean":
                return self._mean(made, x, value, result, bound(("input", "dim", "keepdim"), args, kwargs))
            if name == "max_pool2d":
                return self._max_pool(made, x, value, result, bound(_POOL, args, kwargs))
            if name == "avg_pool2d":
                return self._average_pool(made, x, value, result, bound(_AVERAGE, args, kwargs))
            if name == "adaptive_avg_pool2d":
                return self._adaptive(made, x, value, result)
        if name in SPARSE:
            raise RefusedError(f"the shape of what {name} returns depends on the pixels")
        raise RefusedError(f"{spoken(name)} has no integer form")

    def layer(self, name: str, module: nn.Module, x: Symbol, value: Tensor, result: Any) -> Symbol:
        """Return what a module makes of the tensor that it reads.

        Raises:
            RefusedError: it has no integer form.
        """
        build = self.builder
        if "forward" in vars(module):
            raise RefusedError("its forward was replaced on the object; make it a module of its own instead")
        acts = isinstance(module, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd)
        if acts and module.training:
            raise RefusedError(f"this {type(module).__name__} is in training mode in spite of eval()")
        if isinstance(module, nn.MaxPool2d) and module.return_indices:
            raise RefusedError("a max pool must have dilation=1 and return_indices=False")
        if not isinstance(result, Tensor):
            raise RefusedError(f"{type(module).__name__} has no integer form")
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            return build.weighted(name, module, x, value)
        if isinstance(module, ActivationQuantizer):
            return build.activation(name, module, x)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            return build.norm(name, module, x)
        if isinstance(module, SubsampleAndPad):
            return build.subsample(name, x, (2, 2), module.channels)
        if isinstance(module, nn.Identity | nn.modules.dropout._DropoutNd):
            return x
        if isinstance(module, nn.Flatten) and result.shape == value.flatten(1).shape:
            return x if value.dim() == 2 else build.flatten(name, x, value)
        if isinstance(module, nn.MaxPool2d):
            options = {key: getattr(module, key) for key in _POOL[1:]}
            return self._max_pool(name, x, value, result, options)
        if isinstance(module, nn.AvgPool2d):
            return self._average_pool(name, x, value, result, {key: getattr(module, key) for key in _AVERAGE[1:]})
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return self._adaptive(name, x, value, result)
        if type(module) in (nn.Conv2d, nn.Linear, nn.ReLU, nn.ReLU6) or _is_clip(module):
            raise RefusedError(
                f"this {type(module).__name__} stays in full precision; give it bits in the plan "
                '(edges "8" or "same" for the first and last layer)'
            )
        raise RefusedError(f"{type(module).__name__} has no integer form")

    def add(self, owner: str, read: Read, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Symbol:
        """Return the sum of two tensors.

        Raises:
            RefusedError: it has no integer form.
        """
        given = bound(("input", "other"), args, kwargs)
        symbols = {id(value): symbol for value, symbol in read}
        left, right = given["input"], given["other"]
        if id(left) not in symbols or id(right) not in symbols:
            raise RefusedError("a sum must be of two maps that depend on the image, into a tensor of its own")
        if given.get("alpha", 1) != 1:
            raise RefusedError(f"a sum must have alpha=1; got {given['alpha']}")
        return self.builder.add(owner, symbols[id(left)], symbols[id(right)], left, right)

    def _mean(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        dims = given.get("dim")
        dims = dims if isinstance(dims, tuple | list) else (dims,)
        if value.dim() != 4 or None in dims or {dim % 4 for dim in dims} != {2, 3}:
            raise RefusedError(f"a mean must be over height and width, the axes (2, 3); got {given.get('dim')}")
        pooled = self.builder.average_pool(name, x, adaptive(value.shape[2], 1), adaptive(value.shape[3], 1))
        return pooled if result.dim() == 4 else self.builder.flatten(f"{name}.flat", pooled, value)

    def _max_pool(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        if pair(given.get("dilation", 1)) != (1, 1) or given.get("return_indices"):
            raise RefusedError("a max pool must have dilation=1 and return_indices=False")
        kernel, stride, padding = _windows(value, result, given)
        return self.builder.max_pool(name, x, kernel, stride, padding)

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
        return self.builder.average_pool(name, x, rows, columns, divisor)

    def _adaptive(self, name: str, x: Symbol, value: Tensor, result: Tensor) -> Symbol:
        rows, columns = (adaptive(value.shape[axis], result.shape[axis]) for axis in (2, 3))
        return self.builder.average_pool(name, x, rows, columns)


def is_leaf(module: nn.Module) -> bool:
    """Whether a module counts as one operation: all of torch's own but containers, and all of ours."""
    for ours in (QuantizedConv2d, QuantizedLinear, SubsampleAndPad):
        if isinstance(module, ours):
            return type(module).forward is ours.forward  # a subclass may compute something else
    if isinstance(module, ActivationQuantizer):
        return True
    return home(type(module)).startswith("torch.nn.") and not isinstance(
        module, nn.Sequential | nn.ModuleList | nn.ModuleDict
    )


def _adds_zero(value: Tensor, given: dict[str, Any]) -> bool:
    """Whether a sum is one with the number 0, with which Python's `sum` begins."""
    other = given.get("other") if given.get("input") is value else given.get("input")
    return isinstance(other, int) and other == 0


def _is_clip(module: nn.Module) -> bool:
    """Whether a plan could give bits to a Hardtanh."""
    return type(module) is nn.Hardtanh and module.min_val == 0


def _windows(value: Tensor, result: Tensor, given: dict[str, Any]) -> tuple[Pair, Pair, Pair]:
    """(kernel, stride, padding) of a pool."""
    kernel = pair(given["kernel_size"])
    stride = pair(given.get("stride") or kernel)
    padding = pair(given.get("padding", 0))
    expected = tuple((value.shape[2 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
    if tuple(result.shape[2:]) != expected:
        raise RefusedError("a pool with ceil_mode=True must not have windows that stand over the edge")
    return kernel, stride, padding
