"""What a network costs: stored bytes, multiply-accumulates and bit operations, a layer at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from glassbit._inputs import check_network, running
from glassbit._modes import evaluating
from glassbit._takes import check_kind, several, whole
from glassbit.intgraph import LONGEST

from ._convert import quantizers
from ._kinds import ELEMENTWISE_FUNCTIONS
from ._layers import QuantizedConv2d, QuantizedLinear
from ._plan import FLOAT_BITS
from ._quantizer import ActivationQuantizer

_IMAGE_BITS = 8
_CODE_BITS = 8


@dataclass(frozen=True)
class CostRow:
    """One layer with weights.

    Args:
        name: its name.
        kind: `Conv2d` or `Linear`.
        weight_bits, input_bits: of its weights and of the values that it multiplies them with (the image itself has 8).
        weights: how many; the bias is not counted.
        stored_bytes: weights at their bits, bias at 32.
        macs: multiply-accumulates for one image.
        bitops: `macs * weight_bits * input_bits`.
    """

    name: str
    kind: Literal["Conv2d", "Linear"]
    weight_bits: int
    input_bits: int
    weights: int
    stored_bytes: float
    macs: int
    bitops: int


@dataclass(frozen=True)
class Cost:
    """The rows of a network and their totals.

    Args:
        rows: in order of execution.
        parameters: number of trained values.
        stored_bytes: the rows, two 32-bit numbers a BatchNorm channel (scale and shift, as folded), and every other
            parameter at 32 bits.
        macs, bitops: sums over the rows.
    """

    rows: tuple[CostRow, ...]
    parameters: int
    stored_bytes: float
    macs: int
    bitops: int


def cost(model: nn.Module, image_shape: tuple[int, int, int]) -> Cost:
    """Count what one image costs, by running the network on one blank image and following the bits through it.

    Bits pass through everything that keeps integer codes countable (pools, flatten, sums); a convolution or linear
    layer ends them, a quantizer starts them. An activation without one (GELU, Hardswish) starts 8 bits in a quantized
    network, as the export does. A layer that is called several times counts several times.

    Args:
        model: a float or quantized network.
        image_shape: (c, h, w).

    Raises:
        UsageError: one of them is not what it must be, or the network does not run on such an image.
    """
    check_network("cost", model)
    check_kind("cost", "image_shape", several(whole(1, LONGEST, usual=28), count=3), image_shape)
    calls: list[_Call] = []
    handles = [
        module.register_forward_hook(_Count(name, calls))
        for name, module in model.named_modules()
        if _is_weighted(module)
    ]
    inner = {id(module.layer) for module in model.modules() if isinstance(module, QuantizedConv2d | QuantizedLinear)}
    quantized = dict(quantizers(model))
    handles += [
        module.register_forward_hook(_Mark(module.bits))
        for module in quantized.values()
        if isinstance(module, ActivationQuantizer)
    ]
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        with evaluating(model), torch.no_grad(), _FollowBits(quantized=bool(quantized)):
            image = torch.zeros(1, *image_shape, device=device)
            _set_bits(image, _IMAGE_BITS)
            with running("cost", image):
                model(image)
    finally:
        for handle in handles:
            handle.remove()
    rows: dict[str, CostRow] = {}
    for call in (call for call in calls if id(call.layer) not in inner or call.quantized):
        row = _row(call)
        if call.name in rows:
            before = rows[call.name]
            row = replace(
                row,
                input_bits=max(row.input_bits, before.input_bits),
                macs=row.macs + before.macs,
                bitops=row.bitops + before.bitops,
            )
        rows[call.name] = row
    values = tuple(rows.values())
    return Cost(
        rows=values,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        stored_bytes=sum(row.stored_bytes for row in values) + _other_bytes(model),
        macs=sum(row.macs for row in values),
        bitops=sum(row.bitops for row in values),
    )


@dataclass(frozen=True)
class _Call:
    name: str
    layer: nn.Conv2d | nn.Linear
    weight_bits: int
    input_bits: int
    positions: int
    quantized: bool


class _Count:
    """A hook that notes each call of a layer with weights."""

    def __init__(self, name: str, calls: list[_Call]) -> None:
        self.name = name
        self.calls = calls

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        quantized = isinstance(module, QuantizedConv2d | QuantizedLinear)
        layer = module.layer if isinstance(module, QuantizedConv2d | QuantizedLinear) else module
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        bits = module.quantizer.bits if isinstance(module, QuantizedConv2d | QuantizedLinear) else FLOAT_BITS
        channels = output.shape[1] if isinstance(layer, nn.Conv2d) else output.shape[-1]
        self.calls.append(_Call(self.name, layer, bits, _get_bits([inputs[0]]), output.numel() // channels, quantized))
        _set_bits(output, FLOAT_BITS)


class _Mark:
    """A hook that notes the bits of a quantizer's output."""

    def __init__(self, bits: int) -> None:
        self.bits = bits

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        _set_bits(output, self.bits)


class _FollowBits(TorchFunctionMode):
    """Give the result of every torch function the widest bits among its inputs; unmarked inputs (weights, constants) do
    not count.

    Args:
        quantized: whether the network is; then activations without a quantizer give codes of 8 bits, as exported.
    """

    def __init__(self, *, quantized: bool) -> None:
        super().__init__()
        self.quantized = quantized

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        bits = _get_bits([*args, *(kwargs or {}).values()], default=0)
        if self.quantized and bits and func.__name__.rstrip("_") in ELEMENTWISE_FUNCTIONS:
            bits = _CODE_BITS
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if bits and isinstance(tensor, Tensor):
                _set_bits(tensor, bits)
        return result


def _set_bits(tensor: Tensor, bits: int) -> None:
    tensor._glassbit_bits = bits  # type: ignore[attr-defined]


def _get_bits(values: list[Any], default: int = FLOAT_BITS) -> int:
    """Return the widest mark among tensors, also one list deep (`torch.cat`)."""
    flat = [item for value in values for item in (value if isinstance(value, tuple | list) else (value,))]
    marks = [tensor.__dict__.get("_glassbit_bits", 0) for tensor in flat if isinstance(tensor, Tensor)]
    return max(marks, default=0) or default


def _is_weighted(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d | nn.Linear | QuantizedConv2d | QuantizedLinear)


def _row(call: _Call) -> CostRow:
    layer = call.layer
    macs = call.positions * layer.weight.numel()
    bias = 0 if layer.bias is None else layer.bias.numel()
    return CostRow(
        name=call.name,
        kind="Conv2d" if isinstance(layer, nn.Conv2d) else "Linear",
        weight_bits=call.weight_bits,
        input_bits=call.input_bits,
        weights=layer.weight.numel(),
        stored_bytes=(layer.weight.numel() * call.weight_bits + bias * 32) / 8,
        macs=macs,
        bitops=macs * call.weight_bits * call.input_bits,
    )


def _other_bytes(model: nn.Module) -> float:
    counted = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
        for parameter in module.parameters()
    }
    total = 0
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            counted |= {id(parameter) for parameter in module.parameters()}
            total += 2 * module.num_features
    return 4.0 * (total + sum(parameter.numel() for parameter in model.parameters() if id(parameter) not in counted))
