"""Saliency maps by name."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glassbit.models import to_unit

from ._modes import evaluating


def saliency(
    model: nn.Module, images: Tensor, target: Tensor | int | None = None, *, batch: int = 250
) -> Float[Tensor, "n h w"]:
    """The size of the gradient of one logit at every pixel.

        a = sum over channels of |d f_target / d x|

    For a quantized network this is the straight-through gradient: it explains the network at the scale of its
    quantization step.

    Args:
        model: takes float images in [0, 1] and returns logits.
        images: uint8 or float in [0, 1], (n, c, h, w).
        target: a class for all images, one a image, or None for the predicted class.
        batch: images a step.

    Returns:
        Non-negative maps, on the images' device.

    Simonyan et al. 2014 (arXiv 1312.6034), section 3.
    """
    maps = []
    with evaluating(model), torch.enable_grad():
        for start in range(0, len(images), batch):
            x = to_unit(images[start : start + batch]).detach().clone().requires_grad_()
            logits = model(x)
            if target is None:
                chosen = logits.argmax(1)
            elif isinstance(target, Tensor):
                chosen = target[start : start + batch].to(logits.device)
            else:
                chosen = torch.full((len(x),), target, device=logits.device)
            (gradient,) = torch.autograd.grad(logits.gather(1, chosen[:, None]).sum(), x)
            maps.append(gradient.abs().sum(1))
    return torch.cat(maps)
