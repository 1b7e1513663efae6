"""Whether a model does what its classes say, so that its parts can be converted one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from glassbit._arguments import is_whole, shown
from glassbit._errors import ExportError
from glassbit._inputs import readable
from glassbit._sound import unsound
from glassbit.models import Classifier, Normalize
from glassbit.quant import ActivationQuantizer, QuantizedConv2d, QuantizedLinear, Quantizer, WeightQuantizer

_HOOKS = {"_forward_hooks": "a forward hook", "_forward_pre_hooks": "a forward pre-hook"}
_METHODS = ("quantize", "to_int", "scale")
_MOST_BITS = 8
_TINY, _ROUNDING = 1e-30, 1e-3


def check_intact(model: nn.Module) -> None:
    """Refuse a model whose classifier, normalisation or quantizers do more, or something else, than their classes.

    What they do is written down from their numbers. A hook, or a `forward` of another kind, would be lost.

    Args:
        model: a `Classifier`, or the network itself.

    Raises:
        ExportError: all reasons.
    """
    problems: list[str] = []
    if isinstance(model, Classifier):
        name = type(model).__name__
        problems += changes(model, name, Classifier, "forward", "__call__")
        problems += _of_normalisation(model, name)
    network = model.network if isinstance(model, Classifier) else model
    if not isinstance(network, nn.Module):
        problems.append(f"Classifier: network must be a torch.nn.Module; got {shown(network)}; pass the network itself")
    else:
        problems += unsound(network)
        problems += [problem for name, module in network.named_modules() for problem in _of_quantizer(name, module)]
    if problems:
        raise ExportError(problems)


def _of_normalisation(model: Classifier, name: str) -> Iterator[str]:
    normalize: Any = model.normalize
    if not isinstance(normalize, Normalize):
        yield (
            f"{name}: normalize must be a glassbit.models.Normalize; got {shown(normalize)}; build the Classifier with "
            "the mean and std of its data"
        )
        return
    yield from changes(normalize, "normalize", Normalize, "forward", "__call__")
    yield from (f"normalize: {problem}" for problem in normalize.wrong_values())


def _of_quantizer(name: str, module: nn.Module) -> Iterator[str]:
    if isinstance(module, QuantizedConv2d | QuantizedLinear):
        quantizer: Any = module.quantizer
        if not isinstance(quantizer, WeightQuantizer):
            yield (
                f"{name}: its quantizer must be a glassbit.quant.WeightQuantizer; got {shown(quantizer)}; convert the "
                "layer with quantize_"
            )
            return
        changed = [*changes(quantizer, f"{name}.quantizer", type(quantizer), "forward", *_METHODS)]
        yield from changed or _broken(name, module, quantizer)
    if isinstance(module, ActivationQuantizer):
        yield from _replaced(module, name, _METHODS)
    if isinstance(module, Quantizer) and not is_whole(module.bits, 2, _MOST_BITS):
        yield f"{name}: bits must be a whole number 2..{_MOST_BITS}; got {shown(module.bits)}; choose them in the plan"
    elif isinstance(module, Quantizer) and not isinstance(module.bits, int):
        yield f"{name}: bits must be an int; got {shown(module.bits)}; use int({module.bits})"


def _broken(name: str, layer: QuantizedConv2d | QuantizedLinear, quantizer: WeightQuantizer) -> Iterator[str]:
    """Integer weights are written down as `scale (to_int + offset)`, which must be what the layer computes with."""
    weight = layer.layer.weight.detach()
    if not readable(weight) or not all(
        tensor.isfinite().all() for tensor in (weight, *quantizer.state_dict().values())
    ):
        return  # what is not finite is said by `unsound`
    with torch.no_grad():
        written = quantizer.scale(weight) * (quantizer.to_int(weight) + quantizer.offset)
        off = float((quantizer(weight) - written).abs().max() / written.abs().max().clamp(min=_TINY))
    if not off <= _ROUNDING:
        yield (
            f"{name}.quantizer: its forward must be scale * (to_int + offset); got {off:.1%} between them; correct "
            f"{type(quantizer).__qualname__}"
        )


def changes(module: nn.Module, name: str, kind: type[nn.Module], *methods: str) -> Iterator[str]:
    """Yield what makes a module do something else than `kind`."""
    for attribute, what in _HOOKS.items():
        if getattr(module, attribute):
            yield (
                f"{name}: {what} on it is no part of the integer network; remove it (its handle's remove()), or put "
                "what it does into a layer of the network"
            )
    yield from _replaced(module, name, methods)
    written = vars(type(module)).get("_glassbit_base", type(module))  # `quantize_` puts a class of its own in between
    own = [method for method in methods if getattr(written, method) is not getattr(kind, method)]
    if own:
        yield (
            f"{name}: its class {written.__qualname__} has a {own[0]} of its own, which is no part of the integer "
            f"network; use {kind.__name__} itself, and put what it does into a layer of the network"
        )


def _replaced(module: nn.Module, name: str, methods: Sequence[str]) -> Iterator[str]:
    for method in methods:
        if method in vars(module):
            yield (
                f"{name}: its {method} was replaced on the object, which is no part of the integer network; make it a "
                "class, or a layer of the network"
            )
