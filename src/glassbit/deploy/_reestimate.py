"""BatchNorm's running statistics anew, before they are frozen."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._modes import evaluating


@torch.no_grad()
def reestimate_(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running mean and variance of every BatchNorm, in place, by plain averages over batches.

        mean = (1 / b) sum over batches of the batch's mean;    variance likewise

    While it trains, a network leaves behind averages that lag and that single batches shook. Layers are normalised by
    the statistics of the batch, as in training, but Dropout is off. Every module keeps its mode.

    Args:
        model: a quantized network, before it becomes `Deployed`.
        batches: images as the network takes them, `(n, c, h, w)`; every batch counts the same, however many images it
            holds.

    Raises:
        UsageError: there are BatchNorm layers and no batches.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats
    ]
    if not norms:
        return
    device = next(model.parameters()).device
    before = [norm.momentum for norm in norms]
    count = 0
    with evaluating(model):
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain average
            norm.train()
        try:
            for images in batches:
                model(images.to(device))
                count += 1
        finally:
            for norm, momentum in zip(norms, before, strict=True):
                norm.momentum = momentum
    if not count:
        raise UsageError("reestimate_: needs at least one batch of images; got none")
