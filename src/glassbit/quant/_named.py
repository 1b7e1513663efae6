"""From what a plan calls a quantizer to its class."""

from __future__ import annotations

import inspect
from importlib import import_module

from glassbit._arguments import is_word
from glassbit._quantizers import ACTIVATIONS, WEIGHTS, Named

from ._quantizer import ActivationQuantizer, WeightQuantizer

Weights = str | type[WeightQuantizer]
Activations = str | type[ActivationQuantizer]


def weight_kind(weights: Weights) -> type[WeightQuantizer]:
    """Return the class of a weight quantizer, by its name or as it is."""
    kind = _load(WEIGHTS[weights]) if isinstance(weights, str) else weights
    assert issubclass(kind, WeightQuantizer)
    return kind


def activation_kind(activations: Activations) -> type[ActivationQuantizer]:
    """Return the class of an activation quantizer, by its name or as it is."""
    kind = _load(ACTIVATIONS[activations]) if isinstance(activations, str) else activations
    assert issubclass(kind, ActivationQuantizer)
    return kind


def why_not(choice: object, names: tuple[str, ...], contract: type) -> str | None:
    """Return what a plan must name instead of `choice`, as follows "must be"; None where `choice` is right."""
    if isinstance(choice, type):
        complete = issubclass(choice, contract) and not inspect.isabstract(choice)
        return None if complete else f"a complete subclass of glassbit.quant.{contract.__name__}"
    return None if is_word(choice, names) else f"one of {', '.join(names)}"


def _load(named: Named) -> type:
    kind = getattr(import_module(f"{__package__}.{named.file}"), named.kind)
    assert isinstance(kind, type)
    return kind
