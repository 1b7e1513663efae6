"""Which of the last feature maps speak for a class, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._takes import TEXT, optional, takes
from glassbit.models import Classifier
from glassbit.quant import QuantizedConv2d, QuantizedLinear

from ._batches import Images, Target, batches, joined, on_model, taken, undisturbed

_NO_FEATURES = (
    nn.Identity,
    nn.modules.dropout._DropoutNd,
    nn.modules.padding._ConstantPadNd,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
)


@takes(layer=optional(TEXT))
def grad_cam(
    model: nn.Module,
    images: Images,
    target: Target = None,
    *,
    layer: str | None = None,
    batch: int = 250,
) -> Float[Tensor, "n h w"]:
    """Feature maps weighted by the mean gradient of one logit, enlarged to the image.

        w_k = mean over i, j of d f_target / d A_k,  a = relu(sum over k of w_k A_k), enlarged bilinearly

    The mean over positions is Captum's; the result is as coarse as the feature maps.

    Args:
        model, images, target, batch: see `saliency`.
        layer: the name of the layer that gives A, relative to the network; the last that gives maps larger than 1 x 1
            when None, pooling and dropout left aside.

    Raises:
        UsageError: see `saliency`; or there is no such layer, or it gives no maps.

    Selvaraju et al. 2017 (arXiv 1610.02391), equations 1 and 2.
    """
    images = taken(images)
    from captum.attr import LayerGradCam

    maps: list[Tensor] = []
    method = None
    with undisturbed(model):
        for x, labels in batches(model, images, target, batch=batch):
            if method is None:
                method = LayerGradCam(model, _feature_layer(model, on_model(model, images[:1]), layer))
            attributed = method.attribute(x.requires_grad_(), target=labels, relu_attributions=True)
            maps.append(F.interpolate(attributed.detach(), x.shape[2:], mode="bilinear", align_corners=False)[:, 0])
    return joined(maps, images)


def _feature_layer(model: nn.Module, x: Float[Tensor, "1 c h w"], name: str | None) -> nn.Module:
    seen = _outputs(model, x)
    if name is None:
        usable = [module for _, module, shape in seen if _is_map(shape) and not isinstance(module, _NO_FEATURES)]
        if not usable:
            raise UsageError(
                "grad-cam: the model must have a layer with feature maps larger than 1 x 1; got none; use gradient, "
                "smoothgrad, integrated-gradients or occlusion"
            )
        return usable[-1]
    shapes = [(module, shape) for layer, module, shape in seen if layer == name]
    if not shapes or not _is_map(shapes[-1][1]):
        maps = dict.fromkeys(layer for layer, _, shape in seen if _is_map(shape))
        raise UsageError(f"grad-cam: layer must be one of {', '.join(maps) or 'none'}; got {name!r}")
    return shapes[-1][0]


def _is_map(shape: torch.Size) -> bool:
    return len(shape) == 4 and shape[0] == 1 and shape[2] * shape[3] > 1


@torch.no_grad()
def _outputs(model: nn.Module, x: Tensor) -> list[tuple[str, nn.Module, torch.Size]]:
    """(name, layer, output shape) in order of execution."""
    seen: list[tuple[str, nn.Module, torch.Size]] = []

    def noting(name: str) -> Callable[[nn.Module, object, object], None]:
        def note(module: nn.Module, _: object, output: object) -> None:
            if isinstance(output, Tensor):
                seen.append((name, module, output.shape))

        return note

    root = model.network if isinstance(model, Classifier) else model
    hooks = [module.register_forward_hook(noting(name)) for name, module in _layers(root)]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _layers(module: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules that compute; what is inside a quantized layer belongs to its weights."""
    children = list(module.named_children())
    if not children or isinstance(module, QuantizedConv2d | QuantizedLinear):
        yield name, module
        return
    for part, child in children:
        yield from _layers(child, f"{name}.{part}" if name else part)
