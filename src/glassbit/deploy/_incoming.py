"""Images on their way into integer arithmetic, which clips what is outside [0, 1]."""

from __future__ import annotations

from torch import Tensor

from glassbit._inputs import check_dense, check_images


def check_pass(owner: str, images: Tensor, shape: tuple[int, int, int], *, looked: bool, meta: bool = False) -> bool:
    """Refuse images of another size, and those that would be clipped.

    Images that want a gradient pass, since smoothed gradients probe around an image. On a GPU only the first batch is
    looked at, because looking waits for it.

    Args:
        owner: what takes them.
        images: of one pass.
        shape: channels, height and width.
        looked: whether images were looked at before.
        meta: whether images of the meta device pass, as in a network that is there.

    Returns:
        Whether images have been looked at now.

    Raises:
        UsageError: another shape or type, or floats that are not in [0, 1].
    """
    check_dense(owner, images, name="images")
    values = not images.requires_grad and (images.is_cpu or not looked)
    check_images(owner, images, shape=shape, empty=True, values=values, meta=meta)
    return looked or values
