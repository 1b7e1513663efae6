"""Attribution methods that Glassbit does not offer, and why."""

from __future__ import annotations

from torch import nn

from glassbit._arguments import is_word, shown
from glassbit._errors import UsageError
from glassbit._takes import instance, takes
from glassbit.quant import quantizers

NETWORK = instance(nn.Module, "a torch.nn.Module", "pass the network itself")
OFFERED = ("gradient", "smoothgrad", "integrated-gradients", "grad-cam", "occlusion")

_REASONS = {
    "guided-backprop": (
        "it changes the backward pass of nn.ReLU and its subclasses only, and other quantized activations give their "
        "plain gradient without a word; besides, its maps hardly depend on the weights (Adebayo et al. 2018)"
    ),
    "deconvolution": (
        "it changes the backward pass of nn.ReLU and its subclasses only: other quantized activations give their plain "
        "gradient without a word, and PACT lets through what its clipping level stops"
    ),
    "deeplift": "it looks up its rules by the exact type of a layer and takes a quantizer for linear, without a word",
    "lrp": "it has no rule for a quantized layer, and a rule for the float layer inside would explain other weights",
}


def is_quantized(model: nn.Module) -> bool:
    """Whether any layer or activation of `model` is quantized."""
    return next(iter(quantizers(model)), None) is not None


@takes(model=NETWORK)
def check_method(model: nn.Module, method: str) -> None:
    """Refuse a method that is not offered.

    Raises:
        UsageError: with the reason, for a known method that would be wrong on a quantized network.
    """
    if is_word(method, OFFERED):
        return
    use = ", ".join(OFFERED)
    if not is_word(method, tuple(_REASONS)):
        raise UsageError(f"saliency: method must be one of {use}; got {shown(method)}; pass one of them")
    reason = _REASONS[method]
    if is_quantized(model):
        must = "saliency: method must be correct on quantized networks, as this one is"
    else:
        must = "saliency: method must be correct on quantized networks too, so that maps can be compared"
    raise UsageError(f"{must}; got {method}: {reason}; use one of {use}")
