"""Layers that have a weight quantizer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class QuantizedConv2d(nn.Module):
    """A convolution that runs on quantized weights: `conv(x, quantizer(weight)) + bias`.

    Args:
        layer: the float convolution, kept as it is, its weight the one that is trained.
        quantizer: the weight quantizer.
    """

    def __init__(self, layer: nn.Conv2d, quantizer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.quantizer = quantizer
        self.register_load_state_dict_pre_hook(_accept_float_names)  # type: ignore[no-untyped-call]

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        """Images or feature maps to feature maps."""
        weight: Tensor = self.quantizer(self.layer.weight)
        return cast(Tensor, self.layer._conv_forward(x, weight, self.layer.bias))


class QuantizedLinear(nn.Module):
    """A linear layer that runs on quantized weights: `x quantizer(weight)^T + bias`.

    Args:
        layer: the float layer, kept as it is, its weight the one that is trained.
        quantizer: the weight quantizer.
    """

    def __init__(self, layer: nn.Linear, quantizer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.quantizer = quantizer
        self.register_load_state_dict_pre_hook(_accept_float_names)  # type: ignore[no-untyped-call]

    def forward(self, x: Float[Tensor, "... c"]) -> Float[Tensor, "... k"]:
        """Features to features."""
        return F.linear(x, self.quantizer(self.layer.weight), self.layer.bias)


@contextmanager
def quantized_once(model: nn.Module) -> Iterator[None]:
    """Inside the block every weight of `model` is quantized once, however often the network runs.

    All passes then share one graph from the weight to its quantized values, so that gradients are what they would be.
    The weights must not change inside.

    Args:
        model: any network; one without quantized layers is left alone.
    """
    found = [layer.quantizer for layer in model.modules() if isinstance(layer, QuantizedConv2d | QuantizedLinear)]
    try:
        for quantizer in found:
            quantizer.forward = cache(quantizer.forward)
        yield
    finally:
        for quantizer in found:
            del quantizer.forward  # the class's own is behind it


def _accept_float_names(_module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Let the weights of the float network load: `conv.weight` is `conv.layer.weight` here."""
    for name in ("weight", "bias"):
        if prefix + name in state:
            state[f"{prefix}layer.{name}"] = state.pop(prefix + name)
