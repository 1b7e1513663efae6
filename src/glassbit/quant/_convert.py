"""Turning a float network into a quantized one, in place, and back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glassbit._arguments import shown
from glassbit._errors import GlassbitWarning, UsageError
from glassbit._inputs import check_network
from glassbit._sound import check_sound, home
from glassbit._takes import check_kind, instance
from glassbit._text import listed

from ._assign import Activation, LayerBits, Row, activations, after, give_bits
from ._calls import Calls, Example, see
from ._ceiling import ceiling
from ._kinds import ELEMENTWISE, is_activation, is_weighted
from ._layers import QuantizedConv2d, QuantizedLinear
from ._named import activation_kind, weight_kind
from ._places import walk
from ._plan import FLOAT_BITS, Plan
from ._quantizer import ActivationQuantizer, Quantizer, WeightQuantizer
from ._refused import refuse, refuse_hooks, refuse_read_again, without_activations
from ._sawb import SAWB
from ._sites import ROOT, Sites, calls_relu, count_calls_, stop_counting_

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
class Conversion:
    """What `quantize_` did.

    Args:
        layers: every layer that the plan speaks of, in order of definition.
        left: (name, reason) of every layer that stays in full precision although a plan could not tell.
        unmatched: what rules of the plan call layers, where there is no such layer.
    """

    layers: tuple[LayerBits, ...]
    left: tuple[tuple[str, str], ...]
    unmatched: tuple[str, ...] = ()

    @property
    def without_effect(self) -> str | None:
        """A sentence on the rules that match no layer; None where each matches one."""
        if not self.unmatched:
            return None
        names = [layer.name for layer in self.layers]
        rules = f"the rule for {listed(self.unmatched, longest=60)} matches"
        if len(self.unmatched) > 1:
            rules = f"the rules for {listed(self.unmatched, longest=60)} match"
        return f"{rules} no layer and has no effect; the layers are {listed(names, longest=60)}"


def quantize_(model: nn.Module, plan: Plan, *, example: Example | None = None) -> Conversion:
    """Convert `model` in place: Conv2d and Linear get a weight quantizer, ReLU-like activations become quantizers.

    Weights stay where they are (as `layer.weight` of the new layer) and float `state_dict`s keep loading. Frozen
    weights stay frozen. A clipping level starts at or below the ceiling of the activation (6 for ReLU6, c for
    `Hardtanh(0, c)`) and is learned from there, past that ceiling too. Activations without a quantizer (GELU,
    Hardswish) stay as they are; the export gives them codes of 8 bits. A network in which nothing is called that a
    quantizer can take the place of is a `GlassbitWarning`.

    A layer that carries more than a weight and a bias is refused, before anything is changed: hooks, pruning, weight
    or spectral norm, parametrizations, a forward of its own, weights that are not real floating-point numbers or not
    there yet (lazy layers), and modules of torch that read the weights of their layers (`TransformerEncoderLayer`).

    Each call of an activation gets a quantizer of its own, with its own level and bits. One forward pass shows the
    calls: of `example`, or of an empty image of a likely size, on a copy. A module that is called once keeps its name;
    one that is called k times, as a `self.relu` for all layers or inside a block that is used k times, becomes `Sites`
    named `relu.0`, ..., `relu.<k-1>` in order of calls; one that is registered in several places gets quantizers in
    each of them. First and last layer mean the order of calls, too. A forward pass with other calls is refused.

    Args:
        model: any module tree; a bare layer cannot be replaced in place.
        plan: the bits of each layer.
        example: what the network takes, e.g. a batch of images; needed where it takes nothing like square images, or
            calls other things than on an empty one.

    Returns:
        The bits of every layer, and what was left alone with its reason; the latter is a `GlassbitWarning` too. So is a
        network that could be run on no image: then the order of definition counts.

    Raises:
        UsageError: the model is quantized already, has nothing to quantize, does not take `example`, layers carry more
            than a quantizer would keep (all of them), values are not finite, a module is scripted, or the plan asks for
            bits that a quantizer lacks.
    """
    check_network("quantize_", model)
    if not isinstance(plan, Plan):
        must, repair = "quantize_: plan must be a glassbit.Plan", 'pass one, such as Plan.named("w4a4")'
        raise UsageError(f"{must}; got {shown(plan)}; {repair}")
    if next(quantizers(model), None) is not None:
        raise UsageError(
            "quantize_: the model must not be quantized yet; got one that is; call dequantize_(model) first"
        )
    check_sound("quantize_", model, empty=True)
    try:
        calls = see(model, example, is_activation=is_activation, is_weighted=is_weighted)
    except UsageError:
        refuse(model, _replaced(model, _assign(model, plan, None), None), plan)  # which may be why
        raise
    conversion = _assign(model, plan, calls)
    refuse(model, _replaced(model, conversion, calls), plan)
    if not conversion.layers:
        raise UsageError(
            f"quantize_: the model must contain a Conv2d, Linear or ReLU; got {type(model).__name__} without one; "
            "wrap a bare layer in nn.Sequential"
        )
    placed = _put(model, conversion, calls, plan)
    for text in _remarks(model, conversion, plan, ordered=calls is not None or not placed):
        warnings.warn(text, GlassbitWarning, stacklevel=2)
    return conversion


def _put(model: nn.Module, conversion: Conversion, calls: Calls | None, plan: Plan) -> int:
    """Put the quantizers into the network; return the number of activations that became some."""
    bits = {layer.name: layer.bits for layer in conversion.layers}
    replacements: dict[int, nn.Module] = {}
    device = next((parameter.device for parameter in model.parameters()), None)
    for name, module in list(model.named_modules()):
        if is_weighted(module) and bits.get(name, FLOAT_BITS) != FLOAT_BITS:
            replacements[id(module)] = _quantized(module, bits[name], plan, device)
    placed = [
        (activation, _placed(activation, [bits.get(name, FLOAT_BITS) for name in activation.sites], plan, device))
        for activation in activations(model, calls, is_activation)
    ]
    owners = {activation.scope for activation, new in placed if isinstance(new, Sites)}
    if any(activation.module is not new for activation, new in placed):
        owners.add(ROOT)
    functions = {
        activation.functions.owner: activation.functions.attribute
        for activation, new in placed
        if activation.functions is not None and activation.module is not new
    }
    refuse_read_again(activation.functions for activation, new in placed if activation.module is not new)
    if functions:
        owners |= _callers(model, placed)
    count_calls_({scope: model.get_submodule(scope) for scope in owners}, functions)
    _replace(model, replacements)
    for activation, new in placed:
        for place in activation.places if activation.functions is None or activation.module is not new else ():
            place.parent._modules[place.attribute] = new
    return len(placed)


def _callers(model: nn.Module, placed: list[tuple[Activation, nn.Module]]) -> set[str]:
    """Return the names of all modules that call activations as functions and stay: each must say that a call is its
    own, so that it is not taken for one of the module around it.
    """
    going = {id(activation.module) for activation, new in placed if activation.module is not new}
    going -= {id(activation.module) for activation, new in placed if activation.module is new}
    names = {activation.functions.owner for activation, _ in placed if activation.functions is not None}
    return names | {name for name, module in model.named_modules() if calls_relu(module) and id(module) not in going}


def _remarks(model: nn.Module, conversion: Conversion, plan: Plan, *, ordered: bool) -> Iterator[str]:
    """Yield what a user should know of a conversion; `ordered` says whether the order of calls is known."""
    if not ordered:
        yield (
            f"quantize_: {type(model).__name__} could be run on no image of a likely size, so the order of its layers "
            "is that of definition, and activations that it calls as functions are not seen; pass example=images, a "
            "batch as the network takes it"
        )
    if conversion.left:
        listed_layers = "; ".join(f"{name}: {reason}" for name, reason in conversion.left)
        yield f"left in full precision: {listed_layers}"
    if conversion.without_effect:
        yield f"quantize_: plan {plan.name}: {conversion.without_effect}"
    if unquantized := without_activations(model, conversion, plan):
        yield f"quantize_: {unquantized}"


def dequantize_(model: nn.Module) -> None:
    """Undo `quantize_` in place: the float layers, with the weights as trained, and the activations as they were.

    Raises:
        UsageError: quantized layers or activations have hooks, which would be lost.
    """
    check_network("dequantize_", model)
    replacements: dict[int, nn.Module] = {}
    layers = (QuantizedConv2d, QuantizedLinear, Quantizer, Sites)
    refuse_hooks([(name, module) for name, module in model.named_modules() if isinstance(module, layers)])
    for module in list(model.modules()):
        stop_counting_(module)
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            replacements[id(module)] = module.layer
        elif isinstance(module, Sites):
            replacements[id(module)] = module.replaced[0]
        elif isinstance(module, ActivationQuantizer):
            replacements[id(module)] = module.replaced[0] if module.replaced else nn.ReLU()
    _replace(model, replacements)


def quantizers(model: nn.Module) -> Iterator[tuple[str, WeightQuantizer | ActivationQuantizer]]:
    """(layer name, quantizer) of every quantized layer and activation of `model`."""
    check_network("quantizers", model, runs=False)
    for name, module in model.named_modules():
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            yield name, module.quantizer
        elif isinstance(module, ActivationQuantizer):
            yield name, module


def assign(model: nn.Module, plan: Plan, *, example: Example | None = None) -> Conversion:
    """Return the bits that `plan` gives each layer of a float model, without converting it; see `quantize_`."""
    check_network("assign", model)
    check_kind("assign", "plan", instance(Plan, "a glassbit.Plan", 'pass one, such as Plan.named("w4a4")'), plan)
    return _assign(model, plan, see(model, example, is_activation=is_activation, is_weighted=is_weighted))


def _assign(model: nn.Module, plan: Plan, calls: Calls | None) -> Conversion:
    seen = activations(model, calls, is_activation)
    by_place = {activation.name: activation for activation in seen}
    rows: list[Row] = []
    left: list[tuple[str, str]] = []
    walked = list(walk(model, is_activation))
    called: dict[int, list[Row]] = {}
    callers = {activation.functions.owner for activation in seen if activation.functions is not None}
    for activation in seen:
        if activation.functions is not None:
            index = after(activation, [place.name for place in walked])
            called.setdefault(index, []).extend(
                Row(site, "activation", (site, activation.name)) for site in activation.fit
            )
    for index, place in enumerate(walked):
        name, module = place.name, place.module
        if is_activation(module):
            if (found := by_place.get(name)) is not None:
                places = [place.name for place in found.places]
                rows += [Row(site, "activation", (site, *places)) for site in found.sites]
        elif is_weighted(module):
            rows.append(Row(name, "weight", (name,)))
        elif (
            _is_whole(module)
            and (reason := _why_left(module))
            and not (name in callers and isinstance(module, nn.ReLU | nn.Hardtanh))
            and not any(name.startswith(f"{parent}.") for parent, _ in left)
        ):
            left.append((name, reason))
        rows += called.get(index, [])
    layers, unmatched = give_bits(rows, seen, calls, plan)
    return Conversion(layers, tuple(left), unmatched)


def _replaced(model: nn.Module, conversion: Conversion, calls: Calls | None) -> list[str]:
    """Return the names of the modules that a conversion replaces."""
    bits = {layer.name: layer.bits for layer in conversion.layers}
    names = {name for name, width in bits.items() if width != FLOAT_BITS}
    places = activations(model, calls, is_activation)
    shared = {id(activation.module) for activation in places if names.intersection(activation.sites)}
    return [name for name, module in model.named_modules() if name in names or id(module) in shared]


def _is_whole(module: nn.Module) -> bool:
    """Whether a module is a layer: it has no children, or computes with parameters of its own besides them."""
    own = any(parameter is not None for parameter in module._parameters.values())
    return own or not list(module.children()) or isinstance(module, nn.Conv2d | nn.Linear | nn.ReLU | nn.Hardtanh)


def _why_left(module: nn.Module) -> str | None:
    kind = type(module).__name__
    if isinstance(module, _FLOAT_BY_DESIGN) or type(module) in ELEMENTWISE:
        return None
    if isinstance(module, nn.Conv2d | nn.Linear | nn.ReLU | nn.Hardtanh):
        return f"{kind} is a subclass and may compute something else than its base class"
    if isinstance(module, nn.modules.conv._ConvNd):
        return f"{kind} is not supported; Conv2d and Linear are"
    if home(type(module)) == nn.ReLU.__module__ and not list(module.children()):
        return f"{kind} is not ReLU-like: {_why_not_relu(module)}"
    if next(module.parameters(), None) is not None:
        return f"{kind} has parameters and no quantizer; Conv2d and Linear are supported"
    return None


def _why_not_relu(module: nn.Module) -> str:
    if isinstance(module, nn.Softmax | nn.Softmax2d | nn.Softmin | nn.LogSoftmax):
        return "it divides by a sum over its input, and no quantizer does"
    if isinstance(module, nn.Threshold):
        return "no quantizer has a step at its threshold"
    return "its output can be negative, and the quantizers of activations clip at 0"


def _quantized(module: nn.Module, bits: int, plan: Plan, device: torch.device | None) -> nn.Module:
    if isinstance(module, nn.Conv2d | nn.Linear):
        quantizer = _weight_quantizer(module.weight.detach(), bits, plan)
        made: QuantizedConv2d | QuantizedLinear
        if isinstance(module, nn.Conv2d):
            made = QuantizedConv2d(module, quantizer)
        else:
            made = QuantizedLinear(module, quantizer)
        made.signed = plan.signed
        return made.train(module.training)
    alpha = min(10.0 if plan.alpha == "data" else float(plan.alpha), ceiling(module))
    activation = activation_kind(plan.activations)(bits)
    activation.set_level_(alpha)
    activation.replaced = (module,)
    return activation.to(device).train(module.training)


def _placed(activation: Activation, bits: list[int], plan: Plan, device: torch.device | None) -> nn.Module:
    """Return what takes the place of an activation: itself in full precision, a quantizer, or one per call."""
    module = activation.module
    if all(count == FLOAT_BITS for count in bits):
        return module
    made = [
        each if count == FLOAT_BITS else _quantized(each, count, plan, device)
        for each, count in zip(activation.floats, bits, strict=True)
    ]
    for site, name in zip(made, activation.sites, strict=True):
        if isinstance(site, ActivationQuantizer):
            site.placed = name
    return made[0] if len(made) == 1 else Sites(activation.name, activation.scope, made, module).train(module.training)


def _weight_quantizer(weight: Tensor, bits: int, plan: Plan) -> WeightQuantizer:
    quantizer = weight_kind(plan.weights)(bits)
    quantizer = quantizer if quantizer.fits_int8 else SAWB(bits)
    quantizer.initialise_(weight)
    return quantizer.to(weight.device)


def _replace(model: nn.Module, replacements: dict[int, nn.Module]) -> None:
    """Put the replacements wherever the originals are registered; an original may have several parents."""
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):  # named_children skips what is registered twice
            if id(child) in replacements:
                setattr(parent, name, replacements[id(child)])
