"""What the shipped networks say about arguments and images that they cannot work with."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from glassbit._count import counted
from glassbit._errors import UsageError
from glassbit._takes import check_kind, whole

WEIGHTS = 2**30
"""The most weights of one network: 4 GiB."""


def check_count(network: str, argument: str, value: int, least: int, most: int) -> int:
    """`value` itself, as an int, when it is a whole number in `least..most`.

    Raises:
        UsageError: it is not.
    """
    check_kind(network, argument, whole(least, most, usual=max(least, 10)), value)
    return int(value)


def check_weights(network: str, weights: int, repair: str) -> None:
    """Refuse a network that no machine would hold, before anything of it is made.

    Raises:
        UsageError: it has too many weights.
    """
    if weights > WEIGHTS:
        raise UsageError(f"{network}: must have at most {WEIGHTS:,} weights; got {weights:,}; {repair}")


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
    _, channels_here, height, width = images.shape
    if channels_here != channels:
        raise UsageError(
            f"{network}: images must have {counted(channels, 'channel')}; got {channels_here}; "
            f"build the network with channels={channels_here}"
        )
    if height < least or width < least:
        raise UsageError(
            f"{network}: images must be at least {least} x {least} pixels; got {height} x {width}; "
            "load the data with a larger size"
        )
