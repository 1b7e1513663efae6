"""What the shipped networks say about arguments and images that they cannot work with."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from glassbit._count import counted
from glassbit._errors import UsageError


def check_count(network: str, argument: str, value: int, least: int) -> int:
    """`value` itself when it is a whole number of at least `least`.

    Raises:
        UsageError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{network}: {argument} must be a whole number of at least {least}; got {value!r}")
    return value


def check_size(network: str, images: Float[Tensor, "n c h w"], channels: int, least: int) -> None:
    """Refuse images that `network` cannot take.

    Args:
        network: its name.
        images: the batch.
        channels: the channels that it was built for.
        least: the smallest height and width that its strides leave something of.

    Raises:
        UsageError: not a batch of images, another number of channels, or images that are too small.
    """
    if images.dim() != 4:
        raise UsageError(
            f"{network}: images must have the shape (n, channels, height, width); got {tuple(images.shape)}"
        )
    _, found, height, width = images.shape
    if found != channels:
        raise UsageError(
            f"{network}: built for images of {counted(channels, 'channel')}, got {found}; "
            f"build it with channels={found}"
        )
    if height < least or width < least:
        raise UsageError(
            f"{network}: images must be at least {least} x {least} pixels; got {height} x {width}; "
            "load the data with a larger size"
        )
