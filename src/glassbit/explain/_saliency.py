"""Saliency maps by the name of their method."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from glassbit._inputs import check_network

from ._batches import Images, Target
from ._grad_cam import grad_cam
from ._gradient import gradient
from ._integrated import integrated_gradients
from ._occlusion import occlusion
from ._refused import OFFERED, check_method
from ._smoothgrad import smoothgrad

METHODS: tuple[str, ...] = OFFERED


def saliency(
    model: nn.Module,
    images: Images,
    target: Target = None,
    *,
    method: str = "gradient",
    batch: int = 250,
) -> Float[Tensor, "n h w"]:
    """How much every pixel matters to one logit.

        gradient              sum over channels of |d f_target / d x|
        smoothgrad            the same of the mean gradient over noisy copies
        integrated-gradients  the same of the gradient integrated from black, times the pixel
        grad-cam              the last feature maps, weighted by their mean gradient
        occlusion             the change when a square around the pixel is covered

    Each is a function of its own with further options. For a quantized network the gradient of the first four is the
    straight-through one: it explains the network at the scale of its quantization steps, not infinitesimally. The
    model's modes, its parameters and the random generators are left as they were.

    Args:
        model: takes float images in [0, 1] and returns logits; explained in eval mode, on its own device.
        images: `(n, c, h, w)`, uint8 or float in [0, 1], as a tensor or a NumPy array; also for a network without a
            normalisation of its own.
        target: a class for all images (a Python or NumPy integer), one per image as integers (n,) in a tensor or array,
            or None for the class that the model predicts.
        method: one of the five.
        batch: images that go through the network at once, of which there are never more than 4096.

    Returns:
        Maps >= 0, a tensor on the device of the images.

    Raises:
        UsageError: an argument is not what it must be (images outside [0, 1] or not finite, with the range that was
            found), or the method would be wrong on this network.

    Example:
        >>> import torch
        >>> from glassbit import models
        >>> images = torch.zeros(2, 1, 28, 28, dtype=torch.uint8)
        >>> saliency(models.cnn_bn(), images, target=3).shape
        torch.Size([2, 28, 28])
    """
    check_network("saliency", model)
    check_method(model, method)
    if method == "smoothgrad":
        return smoothgrad(model, images, target, batch=batch)
    if method == "integrated-gradients":
        return integrated_gradients(model, images, target, batch=batch).maps
    if method == "grad-cam":
        return grad_cam(model, images, target, batch=batch)
    if method == "occlusion":
        return occlusion(model, images, target, batch=batch)
    return gradient(model, images, target, batch=batch)
