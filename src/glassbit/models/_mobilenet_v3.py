"""MobileNetV3-Small."""

from __future__ import annotations

from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from glassbit.intgraph import LONGEST, MOST_CLASSES

from ._checks import check_count, check_size
from ._initialise import kaiming_
from ._inverted import InvertedResidual, check_width, rounded

_NAME = "mobilenet_v3_small"
_RE, _HS = nn.ReLU, nn.Hardswish
_BLOCKS: tuple[tuple[int, int, int, bool, type[nn.Module], int], ...] = (
    # kernel, channels of the depthwise convolution, channels, squeeze-and-excitation, activation, stride
    (3, 16, 16, True, _RE, 2),
    (3, 72, 24, False, _RE, 2),
    (3, 88, 24, False, _RE, 1),
    (5, 96, 40, True, _HS, 2),
    (5, 240, 40, True, _HS, 1),
    (5, 240, 40, True, _HS, 1),
    (5, 120, 48, True, _HS, 1),
    (5, 144, 48, True, _HS, 1),
    (5, 288, 96, True, _HS, 2),
    (5, 576, 96, True, _HS, 1),
    (5, 576, 96, True, _HS, 1),
)


class MobileNetV3Small(nn.Module):
    """See `mobilenet_v3_small`."""

    def __init__(self, classes: int, channels: int, width: float, stem_stride: int) -> None:
        super().__init__()
        self.channels = channels
        before = rounded(16 * width)
        self.stem = nn.Conv2d(channels, before, 3, stride=stem_stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(before)
        self.act1 = nn.Hardswish()
        self.blocks = nn.Sequential()
        for kernel, expand, wide, excite, activation, stride in _BLOCKS:
            after = rounded(wide * width)
            self.blocks.append(
                InvertedResidual(
                    before,
                    rounded(expand * width),
                    after,
                    kernel=kernel,
                    stride=stride,
                    activation=activation,
                    excite=excite,
                )
            )
            before = after
        last, hidden = 6 * before, rounded(1024 * width)
        self.conv = nn.Conv2d(before, last, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(last)
        self.act2 = nn.Hardswish()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(last, hidden)
        self.act3 = nn.Hardswish()
        self.dropout = nn.Dropout(0.2)
        self.fc2 = nn.Linear(hidden, classes)
        kaiming_(self, logits=self.fc2)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Images to logits.

        Raises:
            UsageError: images of another number of channels, or smaller than 4 x 4.
        """
        check_size(_NAME, x, self.channels, 4)
        x = self.blocks(self.act1(self.bn1(self.stem(x))))
        x = self.flatten(self.pool(self.act2(self.bn2(self.conv(x)))))
        return cast(Tensor, self.fc2(self.dropout(self.act3(self.fc1(x)))))


def mobilenet_v3_small(classes: int = 10, channels: int = 3, *, width: float = 1.0, stem_stride: int = 2) -> nn.Module:
    """Return MobileNetV3-Small.

        conv 3x3, 16 - 11 inverted residual blocks - 1x1 conv, 576 - mean of each channel - linear, 1024 - dropout 0.2
        - linear

    Nine blocks have squeeze-and-excitation, eight a depthwise kernel of 5 and hard-swish. The last map has a 32nd of
    the height and width of the images, rounded up. Below 64 x 64 pixels a `stem_stride` of 1 leaves twice as much.

    Args:
        classes: number of logits, >= 2.
        channels: image channels, >= 1.
        width: factor of the channels, 0.1..4, rounded to multiples of 8.
        stem_stride: stride of the first convolution, 1 or 2.

    Returns:
        The network: images `(n, channels, h, w)` of any size from 4 x 4 up to logits `(n, classes)`. At 1,000 classes
        2,542,856 parameters and 56,510,400 multiply-adds at 224 x 224.

    Raises:
        UsageError: an argument out of range.

    Howard et al. 2019, Searching for MobileNetV3 (arXiv 1905.02244), table 2.
    """
    classes = check_count(_NAME, "classes", classes, 2, MOST_CLASSES)
    channels = check_count(_NAME, "channels", channels, 1, LONGEST)
    stride = check_count(_NAME, "stem_stride", stem_stride, 1, 2)
    return MobileNetV3Small(classes, channels, check_width(_NAME, width), stride)
