"""The residual network of MLPerf Tiny."""

from __future__ import annotations

from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from glassbit.intgraph import LONGEST, MOST_CLASSES

from ._checks import check_count, check_size
from ._initialise import kaiming_


class Stack(nn.Module):
    """Two 3x3 convolutions around which the input is added back; every convolution has a bias.

        y = relu(bn(conv(relu(bn(conv(x))))) + shortcut(x))

    Args:
        channels: channels of the input.
        width: channels of the output. Where it is not `channels`, the first convolution has a stride of 2 and the
            shortcut is a 1x1 convolution with that stride, without BatchNorm.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        stride = 1 if width == channels else 2
        self.conv1 = nn.Conv2d(channels, width, 3, stride=stride, padding=1)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(width)
        self.shortcut = nn.Identity() if stride == 1 else nn.Conv2d(channels, width, 1, stride=2)
        self.relu2 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        """Feature maps to feature maps."""
        y = self.relu1(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return cast(Tensor, self.relu2(y + self.shortcut(x)))


class ResNet8(nn.Module):
    """See `resnet8`."""

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu1 = nn.ReLU()
        self.stack1 = Stack(16, 16)
        self.stack2 = Stack(16, 32)
        self.stack3 = Stack(32, 64)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(64, classes)
        kaiming_(self, logits=self.fc)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Images to logits.

        Raises:
            UsageError: images of another number of channels, or smaller than 4 x 4.
        """
        check_size("resnet8", x, self.channels, 4)
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.stack3(self.stack2(self.stack1(x)))
        return cast(Tensor, self.fc(self.flatten(self.pool(x))))


def resnet8(classes: int = 10, channels: int = 3) -> nn.Module:
    """Return the image classification network of MLPerf Tiny.

        conv 3x3, 16 - block of 16 channels - of 32 - of 64 - mean of each channel - linear

    The blocks of 32 and of 64 channels halve height and width. All convolutions pad by 1 on each side; the reference
    pads those with stride 2 at the bottom and on the right only, where height and width are even.

    Args:
        classes: number of logits, >= 2.
        channels: image channels, >= 1.

    Returns:
        The network: images `(n, channels, h, w)` of any size from 4 x 4 up to logits `(n, classes)`; 78,186
        parameters as it stands (with the 480 running statistics of BatchNorm 78,666, the count of the reference) and
        12,501,632 multiply-adds at 32 x 32.

    Raises:
        UsageError: an argument out of range.

    Banbury et al. 2021, MLPerf Tiny benchmark (arXiv 2106.07597), image classification.
    """
    classes = check_count("resnet8", "classes", classes, 2, MOST_CLASSES)
    return ResNet8(classes, check_count("resnet8", "channels", channels, 1, LONGEST))
