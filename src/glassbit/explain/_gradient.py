"""The size of the gradient."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glassbit._errors import UsageError

from ._batches import Images, Target, batches, joined, taken, undisturbed


def gradient(model: nn.Module, images: Images, target: Target = None, *, batch: int = 250) -> Float[Tensor, "n h w"]:
    """Return the size of the gradient of one logit at every pixel.

        a = sum over channels of |d f_target / d x|

    Args:
        model, images, target, batch: see `saliency`.

    Returns:
        Maps >= 0, in logits per unit of [0, 1].

    Raises:
        UsageError: see `saliency`.

    Simonyan et al. 2014 (arXiv 1312.6034), section 3.
    """
    images = taken(images)
    with undisturbed(model):
        maps = [
            input_gradient(model, x, labels).abs().sum(1) for x, labels in batches(model, images, target, batch=batch)
        ]
    return joined(maps, images)


def input_gradient(
    model: nn.Module, x: Float[Tensor, "n c h w"], labels: Int64[Tensor, " n"]
) -> Float[Tensor, "n c h w"]:
    """Return the gradient of each image's logit `labels` with respect to that image.

    Raises:
        UsageError: the logits are cut off from the image.
    """
    x = x.detach().requires_grad_()
    logits = model(x)
    if not logits.requires_grad:
        raise UsageError(
            "saliency: the model's logits must have a gradient to the image; got logits without one; look for a "
            "no_grad or detach in the model, or use method='occlusion', which needs no gradient"
        )
    (gradient,) = torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), x, materialize_grads=True)
    return gradient
