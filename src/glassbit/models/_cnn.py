"""Two small convolutional networks."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, cast

from jaxtyping import Float
from torch import Tensor, nn

from glassbit._arguments import is_whole, shown
from glassbit._errors import UsageError
from glassbit.intgraph import LONGEST, MOST_CLASSES

from ._checks import check_count, check_size, check_weights
from ._initialise import kaiming_

_SMALLEST_CNN = 6
_GRID = 4
_STRIDES = (1, 2, 2, 2)


class CNN(nn.Module):
    """See `cnn`."""

    def __init__(self, classes: int, channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.channels = channels
        self.size = size
        height, width = ((side - 4) // 2 for side in size)
        self.conv1 = nn.Conv2d(channels, 32, 3)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.relu2 = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.dropout1 = nn.Dropout(0.25)
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(64 * height * width, 128)
        self.relu3 = nn.ReLU()
        self.dropout2 = nn.Dropout(0.5)
        self.fc2 = nn.Linear(128, classes)
        kaiming_(self, logits=self.fc2)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Images to logits.

        Raises:
            UsageError: images of another shape than the network was built for.
        """
        check_size("cnn", x, self.channels, _SMALLEST_CNN)
        if tuple(x.shape[2:]) != self.size:
            raise UsageError(
                f"cnn: images must have {_by(self.size)} pixels; got {_by(x.shape[2:])}; "
                f"build the network with size={tuple(x.shape[2:])}"
            )
        x = self.relu1(self.conv1(x))
        x = self.relu2(self.conv2(x))
        x = self.flatten(self.dropout1(self.pool(x)))
        x = self.dropout2(self.relu3(self.fc1(x)))
        return cast(Tensor, self.fc2(x))


class CNNBN(nn.Module):
    """See `cnn_bn`."""

    def __init__(self, classes: int, channels: int, width: int) -> None:
        super().__init__()
        self.channels = channels
        widths = (width, 2 * width, 4 * width, 6 * width)
        self.stage1 = _stage(channels, widths[0], _STRIDES[0])
        self.stage2 = _stage(widths[0], widths[1], _STRIDES[1])
        self.stage3 = _stage(widths[1], widths[2], _STRIDES[2])
        self.stage4 = _stage(widths[2], widths[3], _STRIDES[3])
        self.pool = nn.AdaptiveAvgPool2d(_GRID)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[3] * _GRID**2, classes)
        kaiming_(self, logits=self.fc)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Images to logits.

        Raises:
            UsageError: images of another number of channels, or smaller than 8 x 8.
        """
        check_size("cnn_bn", x, self.channels, 8)
        x = self.stage4(self.stage3(self.stage2(self.stage1(x))))
        return cast(Tensor, self.fc(self.flatten(self.pool(x))))


def cnn(classes: int = 10, channels: int = 1, size: int | tuple[int, int] = 28) -> nn.Module:
    """Return the MNIST network of saliency-guided training: two convolutions, two linear layers, dropout, no BatchNorm.

        conv 3x3, 32 - ReLU - conv 3x3, 64 - ReLU - max-pool 2 - dropout 0.25 - linear 128 - ReLU - dropout 0.5 - linear

    Args:
        classes: number of logits, >= 2.
        channels: image channels, >= 1.
        size: image side, or `(height, width)`, in pixels, >= 6; the network takes this size only.

    Returns:
        The network: images `(n, channels, height, width)` to logits `(n, classes)`; 1,199,882 parameters as it stands.

    Raises:
        UsageError: an argument out of range.

    Ismail et al. 2021 (arXiv 2111.14338), released code.
    """
    sides: Any = (size, size) if is_whole(size) else size
    if not isinstance(sides, tuple | list) or len(sides) != 2 or not all(map(_is_side, sides)):
        must = f"a side or (height, width) of {_SMALLEST_CNN}..{LONGEST} pixels"
        raise UsageError(f"cnn: size must be {must}; got {shown(size)}; pass one, such as 28")
    classes = check_count("cnn", "classes", classes, 2, MOST_CLASSES)
    height, width = (int(side) for side in sides)
    check_weights("cnn", 64 * ((height - 4) // 2) * ((width - 4) // 2) * 128 + 128 * classes, "choose a smaller size")
    return CNN(classes, check_count("cnn", "channels", channels, 1, LONGEST), (height, width))


def cnn_bn(classes: int = 10, channels: int = 1, width: int = 16) -> nn.Module:
    """Return a small network for quick studies: four conv-BatchNorm-ReLU stages, then means over a 4 x 4 grid.

        widths w, 2w, 4w, 6w (16, 32, 64, 96 by default), strides 1, 2, 2, 2, all 3x3

    At 28 x 28 pixels the last feature map is the grid itself. Keeping the grid instead of one mean per channel is worth
    a point of accuracy on centred images for 14,000 more weights. Where 4 does not divide the map, the means are over
    overlapping windows. As integers the network is exact at every size up to 472 x 472.

    Args:
        classes: number of logits, >= 2.
        channels: image channels, >= 1.
        width: channels w of the first stage, >= 1.

    Returns:
        The network: images `(n, channels, h, w)` of any size from 8 x 8 up to logits `(n, classes)`; 94,266
        parameters as it stands.

    Raises:
        UsageError: an argument out of range.
    """
    classes = check_count("cnn_bn", "classes", classes, 2, MOST_CLASSES)
    channels = check_count("cnn_bn", "channels", channels, 1, LONGEST)
    width = check_count("cnn_bn", "width", width, 1, LONGEST)
    weights = 9 * width * (channels + 34 * width) + 6 * width * _GRID**2 * classes
    check_weights("cnn_bn", weights, "choose a smaller width")
    return CNNBN(classes, channels, width)


def _stage(channels: int, width: int, stride: int) -> nn.Sequential:
    layers: list[tuple[str, nn.Module]] = [
        ("conv", nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)),
        ("bn", nn.BatchNorm2d(width)),
        ("relu", nn.ReLU()),
    ]
    return nn.Sequential(OrderedDict(layers))


def _is_side(side: object) -> bool:
    return is_whole(side, _SMALLEST_CNN, LONGEST)


def _by(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))
