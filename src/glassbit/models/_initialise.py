"""First weights."""

from __future__ import annotations

from torch import nn


def kaiming_(network: nn.Module, *, logits: nn.Linear | nn.Conv2d | None) -> None:
    """Draw the weights of every convolution and linear layer, in place; biases start at 0.

        w ~ N(0, gain^2 / fan_in),   gain = 1 in the layer that makes the logits, sqrt(2) in all others

    Args:
        network: the network.
        logits: its last layer; None if a ReLU follows there too.

    He et al. 2015, Delving deep into rectifiers (arXiv 1502.01852), equation 10.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear" if module is logits else "relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
