"""What a network costs: stored bytes, multiply-accumulates and bit operations, a layer at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from glassbit._inputs import check_network, running
from glassbit._modes import evaluating
from glassbit._takes import check_kind, several, whole
from glassbit.intgraph import LONGEST

from ._convert import quantizers
from ._held import FULL, Following, Held, held, mark_
from ._layers import QuantizedConv2d, QuantizedLinear, signed_bits
from ._plan import FLOAT_BITS
from ._quantizer import ActivationQuantizer

_IMAGE_BITS = 8


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
        at_export: whether no quantizer makes the codes that it reads, but the export alone, and training in integers:
            they are signed where they can be negative.
    """

    name: str
    kind: Literal["Conv2d", "Linear"]
    weight_bits: int
    input_bits: int
    weights: int
    stored_bytes: float
    macs: int
    bitops: int
    at_export: bool = False


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

    A quantizer starts codes, and max pools, flatten and the like pass them on. What else a layer reads in a quantized
    network has the bits that the export gives it (`at_export`): 8 for means, concatenations and activations without a
    quantizer (GELU, Hardswish), the plan's `signed` for outputs of layers, sums and BatchNorm. A layer that is called
    several times counts several times.

    Args:
        model: a float or quantized network.
        image_shape: (c, h, w).

    Raises:
        UsageError: one of them is not what it must be, or the network does not run on such an image.
    """
    check_network("cost", model)
    check_kind("cost", "image_shape", several(whole(1, LONGEST, usual=28), count=3), image_shape)
    calls: list[_Call] = []
    quantized = dict(quantizers(model))
    following = Following(signed_bits(model) if quantized else None)
    handles = [
        module.register_forward_hook(_Count(name, calls, following.layer()))
        for name, module in model.named_modules()
        if _is_weighted(module)
    ]
    inner = {id(module.layer) for module in model.modules() if isinstance(module, QuantizedConv2d | QuantizedLinear)}
    handles += [
        module.register_forward_hook(_Mark(Held(module.bits)))
        for module in quantized.values()
        if isinstance(module, ActivationQuantizer)
    ]
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    try:
        with evaluating(model), torch.no_grad(), following:
            image = torch.zeros(1, *image_shape, device=device)
            mark_(image, Held(_IMAGE_BITS))
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
                at_export=row.at_export or before.at_export,
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
    read: Held
    positions: int
    quantized: bool


class _Count:
    """A hook that notes each call of a layer with weights.

    Args:
        name: of the layer.
        calls: where calls are noted.
        made: what a quantized layer makes.
    """

    def __init__(self, name: str, calls: list[_Call], made: Held) -> None:
        self.name = name
        self.calls = calls
        self.made = made

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        quantized = isinstance(module, QuantizedConv2d | QuantizedLinear)
        layer = module.layer if isinstance(module, QuantizedConv2d | QuantizedLinear) else module
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        bits = module.quantizer.bits if isinstance(module, QuantizedConv2d | QuantizedLinear) else FLOAT_BITS
        channels = output.shape[1] if isinstance(layer, nn.Conv2d) else output.shape[-1]
        read = held(inputs[0]) or FULL
        self.calls.append(_Call(self.name, layer, bits, read, output.numel() // channels, quantized))
        mark_(output, self.made if quantized else FULL)


class _Mark:
    """A hook that notes what a quantizer makes."""

    def __init__(self, made: Held) -> None:
        self.made = made

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        mark_(output, self.made)


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
        input_bits=call.read.bits,
        weights=layer.weight.numel(),
        stored_bytes=(layer.weight.numel() * call.weight_bits + bias * 32) / 8,
        macs=macs,
        bitops=macs * call.weight_bits * call.read.bits,
        at_export=call.read.at_export,
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
