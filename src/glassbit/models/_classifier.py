"""A network together with the normalisation of its data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from glassbit._arguments import is_real, shown
from glassbit._count import counted
from glassbit._errors import UsageError
from glassbit._inputs import PixelNetwork, check_dense, check_network, readable
from glassbit._sound import Fussy
from glassbit._tensors import is_dense


def to_unit(images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Bytes to [0, 1]; floating-point images pass through untouched.

        x = images / 255

    Args:
        images: `(n, c, h, w)`, uint8, or floating point that is in [0, 1] already.

    Returns:
        `(n, c, h, w)`, float32 for bytes, the dtype and the very tensor that came in for floats.

    Raises:
        UsageError: another type or dtype.

    Example:
        >>> import torch
        >>> to_unit(torch.tensor([[[[0, 255]]]], dtype=torch.uint8)).tolist()
        [[[[0.0, 1.0]]]]
    """
    check_dense("to_unit", images, name="images")
    if images.is_floating_point():
        return images
    if images.dtype != torch.uint8:
        raise UsageError(
            f"images must be uint8 (0..255) or floating point ([0, 1]); got {images.dtype}; use images.to(torch.uint8) "
            "if they are 0..255"
        )
    return images.to(torch.float32).div_(255)


class Normalize(Fussy):
    """Shift and scale every channel to mean 0 and standard deviation 1.

        y = (x - mean) / std

    Args:
        mean: one number per channel, in [0, 1] units.
        std: one number per channel, > 0, in [0, 1] units.

    Raises:
        UsageError: different lengths, no channel at all, or a standard deviation that is not a positive number.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        mean, std = _numbers("mean", mean), _numbers("std", std)
        if len(mean) != len(std) or not mean:
            raise UsageError(
                f"Normalize: mean and std must have one number per channel; got {len(mean)} and {len(std)}; "
                "use those of the data set, dataset.mean and dataset.std"
            )
        if not all(0.0 < value < float("inf") for value in std):
            raise UsageError(
                f"Normalize: every std must be a positive number; got {tuple(std)}; "
                "use 1.0 for a channel that is constant"
            )
        self.register_buffer("mean", torch.tensor(tuple(mean), dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(tuple(std), dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Images in [0, 1] to normalised images of the same shape.

        Raises:
            UsageError: the images have another number of channels.
        """
        check_dense("Normalize", x)
        if x.ndim not in (3, 4) or not x.is_floating_point():
            got = f"{x.dtype} {tuple(x.shape)}"
            raise UsageError(
                f"Normalize: images must be floating point (n, c, h, w); got {got}; pass a batch of images"
            )
        if x.device != self.mean.device:
            must, repair = f"on the device of the network, {self.mean.device}", "move them there, images.to(device)"
            raise UsageError(f"Normalize: images must be {must}; got {x.device}; {repair}")
        if x.shape[-3] != self.mean.shape[1]:
            raise UsageError(f"Normalize: images must have {counted(self.mean.shape[1], 'channel')}; got {x.shape[-3]}")
        return (x - self.mean) / self.std

    def wrong_values(self) -> Iterator[str]:
        """Yield the entries of mean and std, if changed since, that are no mean or no standard deviation."""
        repair = "use those of the data set, dataset.mean and dataset.std"
        for name, value in (("mean", self.mean), ("std", self.std)):
            got = f"{type(value).__name__}" if not isinstance(value, Tensor) else f"the shape {tuple(value.shape)}"
            if not isinstance(value, Tensor) or value.shape != (1, value.numel(), 1, 1) or not value.numel():
                yield f"{name} must hold one number per channel, (1, c, 1, 1); got {got}; {repair}"
            elif not readable(value):
                continue
            elif not value.isfinite().all() or (name == "std" and not (value > 0).all()):
                must = "positive numbers" if name == "std" else "finite numbers"
                yield f"{name} must be {must}, one per channel; got {tuple(value.flatten().tolist())}; {repair}"

    def extra_repr(self) -> str:
        """Return the settings, for `print(module)`."""
        return f"channels={self.mean.shape[1]}"


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    must = f"Normalize: {name} must be finite numbers, one per channel"
    if isinstance(values, Tensor) and not is_dense(values):
        raise UsageError(f"{must}; got a tensor that is not dense, or has no values; use that of the data set")
    given = values.tolist() if isinstance(values, Tensor | np.ndarray) else values
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        repair = f"write {name}=({given},)" if isinstance(given, int | float) else "use that of the data set"
        raise UsageError(f"{must}; got {shown(given)}; {repair}")
    if not all(isinstance(value, Real) and not isinstance(value, bool) for value in given) or (
        name == "mean" and not all(map(is_real, given))
    ):
        raise UsageError(f"{must}; got {shown(given)}; use that of the data set")
    return tuple(float(value) for value in given)


class Classifier(PixelNetwork):
    """A network that normalises its images itself, so that whoever calls it only has to know about [0, 1] (or bytes).

        logits = network((x - mean) / std)

    Whether floats are in [0, 1] is not looked at here, as noise may well lie outside; objectives, `saliency`, `lower`
    and the like refuse others. Floats of another precision are converted to that of mean and std.

    Args:
        network: takes normalised float images `(n, c, h, w)`, returns logits `(n, classes)`.
        mean: one number per channel, in [0, 1] units; see `Dataset.mean`.
        std: one number per channel, > 0, in [0, 1] units; see `Dataset.std`.

    Raises:
        UsageError: as `Normalize`.

    Example:
        >>> import torch
        >>> from glassbit import models
        >>> model = models.Classifier(models.cnn_bn(), mean=(0.5,), std=(0.25,))
        >>> model(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, network: nn.Module, *, mean: Sequence[float], std: Sequence[float]) -> None:
        check_network("Classifier", network, name="network")
        super().__init__()
        self.normalize = Normalize(mean, std)
        self.network = network

    def forward(self, images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Images, uint8 or in [0, 1], to logits."""
        x = to_unit(images).to(self.normalize.mean.dtype)
        return cast(Tensor, self.network(self.normalize(x)))
