"""The residual networks for small images."""

from __future__ import annotations

from typing import Literal, cast

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from glassbit._arguments import is_word, shown
from glassbit._errors import UsageError
from glassbit._inputs import check_dense
from glassbit._takes import check_kind, whole
from glassbit.intgraph import LONGEST, MOST_CLASSES

from ._checks import check_count, check_size
from ._initialise import kaiming_

Shortcut = Literal["A", "B"]

_WIDTHS = (16, 32, 64)


class SubsampleAndPad(nn.Module):
    """The shortcut without parameters (option A): every second pixel of every second row, then new channels of zeros.

    Args:
        channels: how many channels of zeros follow those of the input, >= 0.

    Raises:
        UsageError: `channels` is out of range.
    """

    def __init__(self, channels: int) -> None:
        check_kind("SubsampleAndPad", "channels", whole(0, LONGEST, usual=16), channels)
        super().__init__()
        self.channels = int(channels)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        """Feature maps to maps of half the height and width (rounded up), with `channels` more channels.

        Raises:
            UsageError: `x` is no batch of feature maps.
        """
        check_dense("SubsampleAndPad", x)
        if x.ndim != 4:
            raise UsageError(f"SubsampleAndPad: x must be (n, c, h, w); got {tuple(x.shape)}; pass a batch of maps")
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.channels))

    def extra_repr(self) -> str:
        """Return the settings, for `print(module)`."""
        return f"channels={self.channels}"


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added back.

        y = relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))

    Args:
        channels: channels of the input.
        width: channels of the output.
        shortcut: what the input goes through where the shape changes, which it does, by a stride of 2, where `width` is
            not `channels`.
    """

    def __init__(self, channels: int, width: int, shortcut: Shortcut) -> None:
        super().__init__()
        stride = 1 if width == channels else 2
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Identity() if stride == 1 else _shortcut(channels, width, shortcut)
        self.relu2 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        """Feature maps to feature maps."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return cast(Tensor, self.relu2(y + self.shortcut(x)))


class ResNet(nn.Module):
    """A residual network of 6n + 2 layers; see `resnet20`."""

    def __init__(self, name: str, blocks: int, classes: int, channels: int, shortcut: Shortcut) -> None:
        super().__init__()
        self.name = name
        self.channels = channels
        self.conv1 = nn.Conv2d(channels, _WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_WIDTHS[0])
        self.relu1 = nn.ReLU()
        self.layer1 = _layer(_WIDTHS[0], _WIDTHS[0], blocks, shortcut)
        self.layer2 = _layer(_WIDTHS[0], _WIDTHS[1], blocks, shortcut)
        self.layer3 = _layer(_WIDTHS[1], _WIDTHS[2], blocks, shortcut)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(_WIDTHS[2], classes)
        kaiming_(self, logits=self.fc)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Images to logits.

        Raises:
            UsageError: images of another number of channels, or smaller than 4 x 4.
        """
        check_size(self.name, x, self.channels, 4)
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return cast(Tensor, self.fc(self.flatten(self.pool(x))))


def resnet20(classes: int = 10, channels: int = 3, *, shortcut: Shortcut = "A") -> nn.Module:
    """Return the 20-layer residual network for small images.

        conv 3x3, 16 - n blocks of 16 channels - n of 32 - n of 64 - mean of each channel - linear,    n = 3

    The first block of 32 and of 64 channels halves height and width.

    Args:
        classes: number of logits, >= 2.
        channels: image channels, >= 1.
        shortcut: "A" skips pixels and adds channels of zeros, "B" is a 1x1 convolution with BatchNorm.

    Returns:
        The network: images `(n, channels, h, w)` of any size from 4 x 4 up to logits `(n, classes)`; 269,722
        parameters as it stands, 272,474 with shortcut "B".

    Raises:
        UsageError: an argument out of range.

    He et al. 2015, Deep residual learning (arXiv 1512.03385), section 4.2.
    """
    return _resnet("resnet20", 3, classes, channels, shortcut)


def resnet32(classes: int = 10, channels: int = 3, *, shortcut: Shortcut = "A") -> nn.Module:
    """Return the 32-layer residual network for small images: `resnet20` with n = 5, 464,154 parameters."""
    return _resnet("resnet32", 5, classes, channels, shortcut)


def resnet56(classes: int = 10, channels: int = 3, *, shortcut: Shortcut = "A") -> nn.Module:
    """Return the 56-layer residual network for small images: `resnet20` with n = 9, 853,018 parameters."""
    return _resnet("resnet56", 9, classes, channels, shortcut)


def _resnet(name: str, blocks: int, classes: int, channels: int, shortcut: Shortcut) -> nn.Module:
    if not is_word(shortcut, ("A", "B")):
        must = '"A" (subsample and pad) or "B" (1x1 convolution)'
        raise UsageError(f"{name}: shortcut must be {must}; got {shown(shortcut)}; the default is 'A'")
    classes = check_count(name, "classes", classes, 2, MOST_CLASSES)
    return ResNet(name, blocks, classes, check_count(name, "channels", channels, 1, LONGEST), shortcut)


def _layer(channels: int, width: int, blocks: int, shortcut: Shortcut) -> nn.Sequential:
    first = BasicBlock(channels, width, shortcut)
    return nn.Sequential(first, *(BasicBlock(width, width, shortcut) for _ in range(blocks - 1)))


def _shortcut(channels: int, width: int, shortcut: Shortcut) -> nn.Module:
    if shortcut == "A":
        return SubsampleAndPad(width - channels)
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride=2, bias=False), nn.BatchNorm2d(width))
