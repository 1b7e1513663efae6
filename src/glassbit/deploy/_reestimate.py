"""BatchNorm's running statistics anew, before they are frozen."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._inputs import PixelNetwork, check_images, check_network, in_precision_of, running
from glassbit._modes import evaluating, frozen
from glassbit._takes import Kind, check_kind


@torch.no_grad()
def reestimate_(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running mean and variance of every BatchNorm, in place, by plain averages over batches.

        mean = (1 / b) sum over batches of the batch's mean;    variance likewise

    While it trains, a network leaves behind averages that lag and that single batches shook. Layers are normalised by
    the statistics of the batch, as in training, but Dropout is off. Every module keeps its mode. BatchNorm layers that
    are frozen (in eval mode while the network is in training mode) keep their statistics and are normalised by them.

    Args:
        model: a quantized network, before it becomes `Deployed`.
        batches: images as the network takes them, `(n, c, h, w)`: uint8 or in [0, 1] for a `Classifier`, whatever it
            was trained on for another network (normalised images too, where it does not normalise them itself). Every
            batch counts the same, however many images it holds.

    Raises:
        UsageError: there are BatchNorm layers and no batches, or images are not what they must be; the statistics are
            then as they were.
    """
    check_network("reestimate_", model)
    must, repair = "tensors of images, a batch each", "pass a list of them, such as [images]"
    check_kind("reestimate_", "batches", Kind(must, _is_iterable, repair), batches)
    held = set(frozen(model))
    norms = [
        module
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats and module not in held
    ]
    if not norms:
        return
    scaled = isinstance(model, PixelNetwork)
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    before = [(norm, norm.momentum, [buffer.clone() for buffer in norm.buffers()]) for norm in norms]
    try:
        with evaluating(model):
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # a plain average
                norm.train()
            count = 0
            for images in batches:
                some = check_images("reestimate_", images, scaled=scaled, arrays=True, meta=False)
                with running("reestimate_", some):
                    model(in_precision_of(model, some.to(device)))
                count += 1
        if not count:
            raise UsageError("reestimate_: batches must be one or more; got none")
    except BaseException:
        for norm, _, buffers in before:
            for buffer, old in zip(norm.buffers(), buffers, strict=True):
                buffer.copy_(old)
        raise
    finally:
        for norm, momentum, _ in before:
            norm.momentum = momentum


def _is_iterable(value: object) -> bool:
    return isinstance(value, Iterable) and not (isinstance(value, Tensor) and not value.ndim)
