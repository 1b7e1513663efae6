"""SqueezeNet."""

from __future__ import annotations

from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from glassbit.intgraph import LONGEST, MOST_CLASSES

from ._checks import check_count, check_size
from ._initialise import kaiming_

_HEAD_BIAS = 2.0
"""The ReLU behind the head keeps classes at 0 that start below it, so all start above: logits differ by about 1."""


class Fire(nn.Module):
    """A 1x1 convolution to few channels, then 1x1 and 3x3 convolutions side by side.

    y = concat(relu(conv1x1(s)), relu(conv3x3(s))),   s = relu(conv1x1(x))
    """

    def __init__(self, channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.relu1 = nn.ReLU()
        self.expand1 = nn.Conv2d(squeeze, expand, 1)
        self.relu2 = nn.ReLU()
        self.expand3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.relu3 = nn.ReLU()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k h w"]:
        """Feature maps to feature maps."""
        s = self.relu1(self.squeeze(x))
        return torch.cat([self.relu2(self.expand1(s)), self.relu3(self.expand3(s))], 1)


class SqueezeNet(nn.Module):
    """See `squeezenet`."""

    def __init__(self, classes: int, channels: int, stem_stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.least = 17 if stem_stride == 2 else 10
        self.conv = nn.Conv2d(channels, 64, 3, stride=stem_stride)
        self.relu = nn.ReLU()
        self.fires = nn.Sequential(
            _halve(), Fire(64, 16, 64), Fire(128, 16, 64),
            _halve(), Fire(128, 32, 128), Fire(256, 32, 128),
            _halve(), Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
        )  # fmt: skip
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Conv2d(512, classes, 1)
        self.relu_head = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        kaiming_(self, logits=None)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, _HEAD_BIAS)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Images to logits.

        Raises:
            UsageError: images of another number of channels, or too small.
        """
        check_size("squeezenet", x, self.channels, self.least)
        x = self.dropout(self.fires(self.relu(self.conv(x))))
        return cast(Tensor, self.flatten(self.pool(self.relu_head(self.head(x)))))


def squeezenet(classes: int = 10, channels: int = 3, *, stem_stride: int = 2) -> nn.Module:
    """Return SqueezeNet 1.1: 8 fire modules between max-pools, a convolution as head.

    Args:
        classes: number of logits, >= 2.
        channels: image channels, >= 1.
        stem_stride: stride of the first convolution, 1 or 2; 1 keeps more of images below 64 x 64 pixels.

    Returns:
        The network: images `(n, channels, h, w)`, from 17 x 17 up (10 x 10 with a `stem_stride` of 1), to logits
        `(n, classes)`; at 1,000 classes 1,235,496 parameters and 349,151,936 multiply-adds at 224 x 224.

    Raises:
        UsageError: an argument out of range.

    Iandola et al. 2016, SqueezeNet (arXiv 1602.07360), and version 1.1 of the released network.
    """
    classes = check_count("squeezenet", "classes", classes, 2, MOST_CLASSES)
    channels = check_count("squeezenet", "channels", channels, 1, LONGEST)
    return SqueezeNet(classes, channels, check_count("squeezenet", "stem_stride", stem_stride, 1, 2))


def _halve() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)
