"""Turning a float network into a quantized one, in place, and back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeGuard

import torch
from torch import Tensor, nn

from glassbit._errors import GlassbitWarning, UsageError

from ._ceiling import ceiling
from ._dorefa import DoReFa
from ._layers import QuantizedConv2d, QuantizedLinear
from ._lsq import LSQ
from ._pact import PACT
from ._plan import FLOAT_BITS, Plan
from ._refused import refuse, refuse_hooks, without_activations
from ._sawb import SAWB

_RELU_LIKE = (nn.ReLU, nn.ReLU6, nn.Hardtanh)
_FLOAT_BY_DESIGN = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.dropout._DropoutNd,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.Identity,
    nn.Flatten,
    nn.Unflatten,
    nn.modules.padding._ConstantPadNd,
)


@dataclass(frozen=True)
class LayerBits:
    """What one layer got.

    Args:
        name: its name in the network.
        kind: a layer with weights, or an activation.
        bits: of its weights, or of its output codes; 32 where the plan leaves it in full precision.
    """

    name: str
    kind: Literal["weight", "activation"]
    bits: int


@dataclass(frozen=True)
class Conversion:
    """What `quantize_` did.

    Args:
        layers: every layer that the plan speaks of, in order of definition.
        left: (name, reason) of every layer that stays in full precision although a plan could not tell.
    """

    layers: tuple[LayerBits, ...]
    left: tuple[tuple[str, str], ...]


def quantize_(model: nn.Module, plan: Plan) -> Conversion:
    """Convert `model` in place: Conv2d and Linear get a weight quantizer, ReLU-like activations become PACT (or LSQ).

    Weights stay where they are (as `layer.weight` of the new layer) and float `state_dict`s keep loading. First and
    last mean the order of definition. Frozen weights stay frozen. A clipping level starts at or below the ceiling of
    the activation (6 for ReLU6, c for `Hardtanh(0, c)`) and is learned from there, past that ceiling too. Activations
    that are called as functions (`F.relu`) cannot be seen here; `cost` shows the layers that they feed with 32-bit
    inputs, and a network that has no other activation is a `GlassbitWarning`.

    A layer that carries more than a weight and a bias is refused, before anything is changed: hooks, pruning, weight
    or spectral norm, parametrizations, a forward of its own, weights that are not real floating-point numbers or not
    there yet (lazy layers), and modules of torch that read the weights of their layers (`TransformerEncoderLayer`).

    Args:
        model: any module tree; a bare layer cannot be replaced in place.
        plan: the bits of each layer.

    Returns:
        The bits of every layer, and what was left alone with its reason; the latter is a `GlassbitWarning` too.

    Raises:
        UsageError: the model is quantized already, has nothing to quantize, layers carry more than a quantizer would
            keep (all of them), or the plan asks for bits that a quantizer lacks.
    """
    if next(quantizers(model), None) is not None:
        raise UsageError("quantize_: the model is quantized already; call dequantize_(model) first")
    conversion = assign(model, plan)
    bits = {layer.name: layer.bits for layer in conversion.layers}
    refuse(model, [name for name, width in bits.items() if width != FLOAT_BITS], plan)
    if not conversion.layers:
        raise UsageError(
            f"quantize_: {type(model).__name__} has no Conv2d, Linear or ReLU inside that could be replaced; "
            "wrap a bare layer in nn.Sequential"
        )
    replacements: dict[int, nn.Module] = {}
    device = next((parameter.device for parameter in model.parameters()), None)
    for name, module in list(model.named_modules()):
        if bits.get(name, FLOAT_BITS) != FLOAT_BITS:
            replacements[id(module)] = _quantized(module, bits[name], plan, device)
    _replace(model, replacements)
    if conversion.left:
        listed = "; ".join(f"{name}: {reason}" for name, reason in conversion.left)
        warnings.warn(f"left in full precision: {listed}", GlassbitWarning, stacklevel=2)
    if unquantized := without_activations(model, conversion, plan):
        warnings.warn(f"quantize_: {unquantized}", GlassbitWarning, stacklevel=2)
    return conversion


def dequantize_(model: nn.Module) -> None:
    """Undo `quantize_` in place: the float layers, with the weights as trained, and the activations as they were.

    Raises:
        UsageError: quantized layers or activations have hooks, which would be lost.
    """
    replacements: dict[int, nn.Module] = {}
    layers = (QuantizedConv2d, QuantizedLinear, PACT, LSQ)
    refuse_hooks([(name, module) for name, module in model.named_modules() if isinstance(module, layers)])
    for module in model.modules():
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            replacements[id(module)] = module.layer
        elif is_activation_quantizer(module):
            replacements[id(module)] = module.replaced[0] if module.replaced else nn.ReLU()
    _replace(model, replacements)


def is_activation_quantizer(module: nn.Module) -> TypeGuard[PACT | LSQ]:
    """Whether a module quantizes activations: any PACT, or an LSQ of unsigned values."""
    return isinstance(module, PACT) or (isinstance(module, LSQ) and not module.signed)


def quantizers(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """(layer name, quantizer) of every quantized layer and activation of `model`."""
    for name, module in model.named_modules():
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            yield name, module.quantizer
        elif is_activation_quantizer(module):
            yield name, module


def assign(model: nn.Module, plan: Plan) -> Conversion:
    """The bits that `plan` gives each layer of a float model, without converting it."""
    leaves = [(name, module) for name, module in model.named_modules() if name and _is_whole(module)]
    weighted = [name for name, module in leaves if type(module) in (nn.Conv2d, nn.Linear)]
    layers: list[LayerBits] = []
    left: list[tuple[str, str]] = []
    producer, depth = "", 0.0
    for name, module in leaves:
        if type(module) in (nn.Conv2d, nn.Linear):
            producer, depth = name, weighted.index(name) / len(weighted)
            bits, _ = plan.bits((name,), depth)
            if name in (weighted[0], weighted[-1]) and not plan.names_exactly((name,)):
                bits = _edge(plan, bits)
            layers.append(LayerBits(name, "weight", bits))
        elif type(module) in _RELU_LIKE and not _negative_floor(module):
            _, bits = plan.bits((name, producer), depth)
            layers.append(LayerBits(name, "activation", bits))
        elif (reason := _why_left(module)) and not any(name.startswith(f"{parent}.") for parent, _ in left):
            left.append((name, reason))
    return Conversion(_feed_last(layers, weighted, plan), tuple(left))


def _feed_last(layers: list[LayerBits], weighted: list[str], plan: Plan) -> tuple[LayerBits, ...]:
    """Give the activation in front of the last weight layer the bits of the edge."""
    names = [layer.name for layer in layers]
    if len(weighted) > 1:
        before = [index for index in range(names.index(weighted[-1])) if layers[index].kind == "activation"]
        if before and not plan.names_exactly((names[before[-1]],)):
            last = layers[before[-1]]
            layers[before[-1]] = LayerBits(last.name, last.kind, _edge(plan, last.bits))
    return tuple(layers)


def _edge(plan: Plan, bits: int) -> int:
    return {"8": 8, "full": FLOAT_BITS, "same": bits}[plan.edges]


def _is_whole(module: nn.Module) -> bool:
    """Whether a module is a layer: it has no children, or computes with parameters of its own besides them."""
    own = any(parameter is not None for parameter in module._parameters.values())
    return own or not list(module.children()) or isinstance(module, (nn.Conv2d, nn.Linear, *_RELU_LIKE))


def _negative_floor(module: nn.Module) -> bool:
    return type(module) is nn.Hardtanh and module.min_val != 0


def _why_left(module: nn.Module) -> str | None:
    kind = type(module).__name__
    if isinstance(module, _FLOAT_BY_DESIGN):
        return None
    if isinstance(module, nn.Conv2d | nn.Linear) or (isinstance(module, _RELU_LIKE) and type(module) not in _RELU_LIKE):
        return f"{kind} is a subclass and may compute something else than its base class"
    if isinstance(module, nn.modules.conv._ConvNd):
        return f"{kind} is not supported; Conv2d and Linear are"
    if type(module).__module__ == nn.ReLU.__module__ and not list(module.children()):
        return f"{kind} is not ReLU-like: {_why_not_relu(module)}"
    if next(module.parameters(), None) is not None:
        return f"{kind} has parameters and no quantizer; Conv2d and Linear are supported"
    return None


def _why_not_relu(module: nn.Module) -> str:
    if isinstance(module, nn.Hardtanh):
        return f"it clips at {module.min_val}, and the quantizers of activations clip at 0"
    if isinstance(module, nn.Sigmoid | nn.Hardsigmoid | nn.Softplus | nn.Softmax | nn.Softmax2d | nn.Softmin):
        return "its output is never negative, but no quantizer has its curve"
    if isinstance(module, nn.Threshold):
        return "no quantizer has a step at its threshold"
    return "its output can be negative, and the quantizers of activations clip at 0"


def _quantized(module: nn.Module, bits: int, plan: Plan, device: torch.device | None) -> nn.Module:
    if isinstance(module, nn.Conv2d):
        return QuantizedConv2d(module, _weight_quantizer(module.weight.detach(), bits, plan)).train(module.training)
    if isinstance(module, nn.Linear):
        return QuantizedLinear(module, _weight_quantizer(module.weight.detach(), bits, plan)).train(module.training)
    alpha = min(10.0 if plan.alpha == "data" else float(plan.alpha), ceiling(module))
    activation = (
        PACT(bits, alpha=alpha) if plan.activations == "pact" else LSQ(bits, signed=False, step=alpha / (2**bits - 1))
    )
    activation.replaced = (module,)
    return activation.to(device).train(module.training)


def _weight_quantizer(weight: Tensor, bits: int, plan: Plan) -> nn.Module:
    if plan.weights == "lsq":
        quantizer = LSQ(bits)
        quantizer.initialise_(weight)
        return quantizer.to(weight.device)
    return DoReFa(bits) if plan.weights == "dorefa" and bits < 8 else SAWB(bits)


def _replace(model: nn.Module, replacements: dict[int, nn.Module]) -> None:
    """Put the replacements wherever the originals are registered; an original may have several parents."""
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):  # named_children skips what is registered twice
            if id(child) in replacements:
                setattr(parent, name, replacements[id(child)])
