"""In brevitas' own environment: ResNet-20 of brevitas layers."""

from __future__ import annotations

import brevitas.nn as qnn
from torch import nn

_STATISTICS = 2
"""Steps in which QuantReLU collects statistics, its default being 300; after them its scale is a learned parameter."""


def quantized(network: nn.Module, bits: int) -> nn.Module:
    """The network with brevitas' layers in place of convolutions, ReLU and linear layers, and the same weights.

    Args:
        network: made of Conv2d, ReLU and Linear; changed in place.
        bits: of weights and activations; the first and the last layer have 8.
    """
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Conv2d:
                setattr(parent, name, _conv(child, 8 if child is first else bits))
            elif type(child) is nn.Linear:
                setattr(parent, name, _linear(child))
            elif type(child) is nn.ReLU:
                setattr(parent, name, qnn.QuantReLU(bit_width=bits, collect_stats_steps=_STATISTICS))
    return network


def _conv(conv: nn.Conv2d, bits: int) -> nn.Module:
    made: nn.Module = qnn.QuantConv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        bias=False,
        weight_bit_width=bits,
        weight_scaling_per_output_channel=True,
    )
    made.load_state_dict(conv.state_dict(), strict=False)
    return made


def _linear(linear: nn.Linear) -> nn.Module:
    made: nn.Module = qnn.QuantLinear(linear.in_features, linear.out_features, bias=True, weight_bit_width=8)
    made.load_state_dict(linear.state_dict(), strict=False)
    return made
