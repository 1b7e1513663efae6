"""What tensors hold on their way through a network, as far as the bits that layers read are concerned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from ._functions import function_ceiling
from ._kinds import ELEMENTWISE_FUNCTIONS
from ._plan import FLOAT_BITS

_CODE_BITS = 8
_SUMS = frozenset({"add", "iadd", "radd", "sub", "isub", "rsub", "subtract", "batch_norm"})
_PRODUCTS = frozenset({"mul", "imul", "rmul", "multiply", "div", "truediv", "itruediv", "rtruediv", "divide"})
_MEANS = frozenset({"mean", "sum", "avg_pool2d", "adaptive_avg_pool2d"})
_CURVES = ELEMENTWISE_FUNCTIONS | {"abs", "clamp", "clip", "erf", "hardtanh", "pow", "square"}
_KEEPS = frozenset(
    {
        *("flatten", "reshape", "view", "squeeze", "unsqueeze", "contiguous", "clone", "detach", "float", "to", "pad"),
        *("dropout", "dropout2d", "feature_dropout", "max_pool2d", "max_pool2d_with_indices", "adaptive_max_pool2d"),
        *("amax", "getitem", "chunk", "split", "tensor_split", "unbind", "narrow", "select", "index_select"),
        *("transpose", "permute", "unflatten", "channel_shuffle", "native_channel_shuffle", "neg"),
    }
)
"""Functions behind which sums are sums."""
_JOINS = frozenset({"cat", "concat", "concatenate"})


@dataclass(frozen=True, eq=False)
class Held:
    """What a tensor holds; the codes of one quantizer are one object.

    Args:
        bits: of the codes that a layer reads there; 32 for numbers in full precision.
        at_export: whether only integer arithmetic makes these codes; in training they are numbers.
        sums: whether they are sums, which become codes where a layer reads them.
        signed: whether they can be negative.
    """

    bits: int
    at_export: bool = False
    sums: bool = False
    signed: bool = False


FULL = Held(FLOAT_BITS)


class Following(TorchFunctionMode):
    """Marks the result of every torch function with what it holds; unmarked inputs (weights, constants) do not count.

    Args:
        signed: bits of signed codes that no quantizer made; None for a network in full precision, where results have
            the widest bits of the inputs.
    """

    def __init__(self, signed: int | None) -> None:
        super().__init__()
        self.signed = signed

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        tensors = [value for value in _flat([*args, *kwargs.values()]) if isinstance(value, Tensor)]
        marks = [mark for mark in map(held, tensors) if mark is not None]
        if marks:
            relu = function_ceiling(func, args, kwargs) is not None
            name, constant = func.__name__.strip("_"), len(tensors) == len(marks) == 1
            if name in _MEANS and isinstance(result, Tensor) and result.numel() == tensors[0].numel():
                name = "flatten"  # each mean is one value
            mark = self._made(name, marks, relu=relu, constant=constant)
            for tensor in _flat([result]):
                if isinstance(tensor, Tensor):
                    mark_(tensor, mark)
        return result

    def layer(self) -> Held:
        """Return what comes out of a quantized layer."""
        return FULL if self.signed is None else Held(self.signed, at_export=True, sums=True, signed=True)

    def _made(self, name: str, marks: list[Held], *, relu: bool, constant: bool) -> Held:
        """Return what a function makes of tensors.

        Args:
            name: of the function.
            marks: what its inputs hold.
            relu: whether it is a ReLU, in full precision, as no quantizer took its place.
            constant: whether all else that it reads are numbers.
        """
        widest = max(marks, key=lambda mark: mark.bits)
        if self.signed is None or widest.bits == FLOAT_BITS:
            return widest
        if relu:
            return FULL if any(mark.sums for mark in marks) else widest
        if name in _SUMS or (name in _PRODUCTS and not constant):
            return self.layer()
        if name in _CURVES:
            return Held(_CODE_BITS, at_export=True, signed=True)
        if name in _MEANS:
            return self.layer() if widest.signed else Held(_CODE_BITS, at_export=True)
        if name in _JOINS and any(mark is not marks[0] for mark in marks):
            return self.layer() if any(mark.signed for mark in marks) else Held(_CODE_BITS, at_export=True)
        sums = next((mark for mark in marks if mark.sums), None)
        if sums is None:
            return widest
        return sums if name in _KEEPS or name in _PRODUCTS or name in _JOINS else FULL


def held(tensor: Tensor) -> Held | None:
    """Return what a tensor holds; None for one that does not come from the image."""
    mark: Held | None = tensor.__dict__.get("_glassbit_held")
    return mark


def mark_(tensor: Tensor, mark: Held) -> None:
    """Say what a tensor holds."""
    tensor._glassbit_held = mark  # type: ignore[attr-defined]


def _flat(values: Iterable[Any]) -> list[Any]:
    """Return values, also those one list deep (`torch.cat`)."""
    return [item for value in values for item in (value if isinstance(value, tuple | list) else (value,))]
