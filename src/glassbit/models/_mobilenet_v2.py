"""MobileNetV2."""

from __future__ import annotations

from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from glassbit.intgraph import LONGEST, MOST_CLASSES

from ._checks import check_count, check_size
from ._initialise import kaiming_
from ._inverted import InvertedResidual, check_width, rounded

_NAME = "mobilenet_v2_035"
_STAGES = (
    # expansion, channels, blocks, stride of the first block
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class MobileNetV2(nn.Module):
    """See `mobilenet_v2_035`."""

    def __init__(self, classes: int, channels: int, width: float, stem_stride: int) -> None:
        super().__init__()
        self.channels = channels
        before = rounded(32 * width)
        last = rounded(1280 * max(1.0, width))
        self.stem = nn.Conv2d(channels, before, 3, stride=stem_stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.relu1 = nn.ReLU6()
        self.blocks = nn.Sequential()
        for expansion, wide, blocks, stride in _STAGES:
            after = rounded(wide * width)
            for index in range(blocks):
                step = stride if index == 0 else 1
                block = InvertedResidual(before, before * expansion, after, stride=step, activation=nn.ReLU6)
                self.blocks.append(block)
                before = after
        self.conv = nn.Conv2d(before, last, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(last)
        self.relu2 = nn.ReLU6()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(last, classes)
        kaiming_(self, logits=self.fc)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Images to logits.

        Raises:
            UsageError: images of another number of channels, or smaller than 4 x 4.
        """
        check_size(_NAME, x, self.channels, 4)
        x = self.blocks(self.relu1(self.bn1(self.stem(x))))
        x = self.flatten(self.pool(self.relu2(self.bn2(self.conv(x)))))
        return cast(Tensor, self.fc(self.dropout(x)))


def mobilenet_v2_035(classes: int = 10, channels: int = 3, *, width: float = 0.35, stem_stride: int = 2) -> nn.Module:
    """Return MobileNetV2, of 0.35 times the channels as it stands.

        conv 3x3, 32 - 17 inverted residual blocks - 1x1 conv, 1280 - mean of each channel - dropout 0.2 - linear

    The last map has a 32nd of the height and width of the images, rounded up. Below 64 x 64 pixels a `stem_stride` of 1
    leaves twice as much.

    Args:
        classes: number of logits, >= 2.
        channels: image channels, >= 1.
        width: factor of the channels, 0.1..4, rounded to multiples of 8; the last convolution keeps 1,280 below 1.
        stem_stride: stride of the first convolution, 1 or 2.

    Returns:
        The network: images `(n, channels, h, w)` of any size from 4 x 4 up to logits `(n, classes)`. At 1,000 classes
        1,677,128 parameters and 59,285,808 multiply-adds at 224 x 224; at a `width` of 1 3,504,872 and 300,774,272.

    Raises:
        UsageError: an argument out of range.

    Sandler et al. 2018, MobileNetV2 (arXiv 1801.04381), table 2.
    """
    classes = check_count(_NAME, "classes", classes, 2, MOST_CLASSES)
    channels = check_count(_NAME, "channels", channels, 1, LONGEST)
    stride = check_count(_NAME, "stem_stride", stem_stride, 1, 2)
    return MobileNetV2(classes, channels, check_width(_NAME, width), stride)
