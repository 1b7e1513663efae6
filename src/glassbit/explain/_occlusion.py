"""What covering a part of the image changes."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn

from glassbit._arguments import is_whole, require
from glassbit._errors import UsageError
from glassbit.masking import fill

from ._batches import Images, Target, batches, bounded, joined, taken, undisturbed


def occlusion(
    model: nn.Module,
    images: Images,
    target: Target = None,
    *,
    window: int | None = None,
    stride: int | None = None,
    batch: int = 250,
) -> Float[Tensor, "n h w"]:
    """How much one logit moves when a square of the image is painted in the background's colour.

        a = |mean over the squares that cover the pixel of (f_target(x) - f_target(x with the square covered))|

    The background is the top-left pixel. No gradient is involved, so a quantized network is explained as it computes.

    Args:
        model, images, target, batch: see `saliency`.
        window: side of the square in pixels; a seventh of the image's shorter side when None.
        stride: from square to square, in pixels, at most `window`; half of it when None.

    Raises:
        UsageError: see `saliency`; or an option is out of range.

    Zeiler and Fergus 2014 (arXiv 1311.2901), section 4.2; through Captum.
    """
    images = taken(images)
    from captum.attr import Occlusion

    batch = bounded("occlusion", batch)
    channels, side = images.shape[1], min(images.shape[2:])
    for name, value in (("window", window), ("stride", stride)):
        holds = value is None or is_whole(value)
        require("occlusion", name, holds, "a whole number of pixels", value, "leave it out for one that fits")
    window = max(1, round(side / 7)) if window is None else int(window)
    stride = max(1, window // 2) if stride is None else int(stride)
    if not 1 <= stride <= window <= side:
        raise UsageError(
            f"occlusion: stride and window must be 1 <= stride <= window <= {side}, the image's shorter side; "
            f"got stride {stride} and window {window}"
        )
    squares = math.prod(-(-(size - window) // stride) + 1 for size in images.shape[2:])
    maps = []
    with undisturbed(model):
        method = Occlusion(model)
        for x, labels in batches(model, images, target, batch=batch):
            attributed = method.attribute(
                x,
                sliding_window_shapes=(channels, window, window),
                strides=(channels, stride, stride),
                baselines=fill(x, "constant").expand_as(x),
                target=labels,
                perturbations_per_eval=max(1, min(batch // len(x), squares)),
            )
            maps.append(attributed[:, 0].abs().to(x.dtype))
    return joined(maps, images)
