"""Networks of depthwise-separable convolutions: those of MLPerf Tiny."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from glassbit.intgraph import LONGEST, MOST_CLASSES

from ._checks import check_count, check_size
from ._initialise import kaiming_

_STRIDES_V1 = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
_WIDTHS_V1 = (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256)


class Separable(nn.Module):
    """A convolution, depthwise-separable blocks, the mean of each channel, a linear layer.

    Args:
        name: of the network, for messages.
        stem: the first convolution.
        widths: channels behind each block.
        strides: of the depthwise convolution of each block.
        dropout: shares of the values that are dropped behind the stem and before the mean.
        classes: number of logits.
    """

    def __init__(
        self,
        name: str,
        stem: nn.Conv2d,
        widths: Sequence[int],
        strides: Sequence[int],
        dropout: tuple[float, float],
        classes: int,
    ) -> None:
        super().__init__()
        self.name = name
        self.channels = stem.in_channels
        self.conv = stem
        self.bn = nn.BatchNorm2d(stem.out_channels)
        self.relu = nn.ReLU()
        self.dropout1 = _dropout(dropout[0])
        before = (stem.out_channels, *widths[:-1])
        self.blocks = nn.Sequential(*map(_block, before, widths, strides))
        self.dropout2 = _dropout(dropout[1])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[-1], classes)
        kaiming_(self, logits=self.fc)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Images to logits.

        Raises:
            UsageError: images of another number of channels, or smaller than 4 x 4.
        """
        check_size(self.name, x, self.channels, 4)
        x = self.dropout1(self.relu(self.bn(self.conv(x))))
        x = self.dropout2(self.blocks(x))
        return cast(Tensor, self.fc(self.flatten(self.pool(x))))


def ds_cnn(classes: int = 12, channels: int = 1) -> nn.Module:
    """Return the keyword spotting network of MLPerf Tiny.

        conv 10x4, 64, stride 2 - 4 blocks of (depthwise 3x3, 1x1 conv, 64) - mean of each channel - linear

    Each convolution has a bias, BatchNorm and ReLU. The first pads by 5 rows and 1 column on each side: 49 x 10 becomes
    25 x 5, as in the reference.

    Args:
        classes: number of logits, >= 2.
        channels: image channels, >= 1.

    Returns:
        The network: images `(n, channels, h, w)` of any size from 4 x 4 up to logits `(n, classes)`; 23,756
        parameters as it stands (with the 1,152 running statistics of BatchNorm 24,908, the count of the reference) and
        2,656,768 multiply-adds at 49 x 10.

    Raises:
        UsageError: an argument out of range.

    Zhang et al. 2017, Hello edge (arXiv 1711.07128); Banbury et al. 2021, MLPerf Tiny benchmark (arXiv 2106.07597).
    """
    classes = check_count("ds_cnn", "classes", classes, 2, MOST_CLASSES)
    channels = check_count("ds_cnn", "channels", channels, 1, LONGEST)
    stem = nn.Conv2d(channels, 64, (10, 4), stride=2, padding=(5, 1))
    return Separable("ds_cnn", stem, (64,) * 4, (1,) * 4, (0.2, 0.4), classes)


def mobilenet_v1_025(classes: int = 2, channels: int = 3, *, stem_stride: int = 2) -> nn.Module:
    """Return MobileNetV1 of a quarter of the width, the visual wake words network of MLPerf Tiny.

        conv 3x3, 8 - 13 blocks of (depthwise 3x3, 1x1 conv) - mean of each channel - linear

        widths 16, 32, 32, 64, 64, 6 times 128, 256, 256; the 1st 32, 64, 128 and 256 halve height and width

    Each convolution has a bias, BatchNorm and ReLU, as in the reference. The last map has a 32nd of the height and
    width of the images, rounded up. Below 64 x 64 pixels a `stem_stride` of 1 leaves twice as much.

    Args:
        classes: number of logits, >= 2.
        channels: image channels, >= 1.
        stem_stride: stride of the first convolution, 1 or 2.

    Returns:
        The network: images `(n, channels, h, w)` of any size from 4 x 4 up to logits `(n, classes)`; 216,322
        parameters as it stands (with the 5,472 running statistics of BatchNorm 221,794, the count of the reference)
        and 7,489,664 multiply-adds at 96 x 96.

    Raises:
        UsageError: an argument out of range.

    Howard et al. 2017, MobileNets (arXiv 1704.04861), table 1; Banbury et al. 2021 (arXiv 2106.07597).
    """
    classes = check_count("mobilenet_v1_025", "classes", classes, 2, MOST_CLASSES)
    channels = check_count("mobilenet_v1_025", "channels", channels, 1, LONGEST)
    stride = check_count("mobilenet_v1_025", "stem_stride", stem_stride, 1, 2)
    stem = nn.Conv2d(channels, 8, 3, stride=stride, padding=1)
    return Separable("mobilenet_v1_025", stem, _WIDTHS_V1, _STRIDES_V1, (0.0, 0.0), classes)


def _dropout(share: float) -> nn.Module:
    return nn.Dropout(share) if share else nn.Identity()


def _block(channels: int, width: int, stride: int) -> nn.Sequential:
    layers: list[tuple[str, nn.Module]] = [
        ("depthwise", nn.Conv2d(channels, channels, 3, stride=stride, padding=1, groups=channels)),
        ("bn1", nn.BatchNorm2d(channels)),
        ("relu1", nn.ReLU()),
        ("pointwise", nn.Conv2d(channels, width, 1)),
        ("bn2", nn.BatchNorm2d(width)),
        ("relu2", nn.ReLU()),
    ]
    return nn.Sequential(OrderedDict(layers))
