"""The block of MobileNetV2 and MobileNetV3."""

from __future__ import annotations

from collections import OrderedDict
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn

from glassbit._takes import check_kind, number

_MULTIPLE = 8


def check_width(network: str, width: float) -> float:
    """`width` itself, as a float, when it is a factor that a network can be built for.

    Raises:
        UsageError: it is not.
    """
    check_kind(network, "width", number(0.1, 4, usual=1.0), width)
    return float(width)


def rounded(channels: float) -> int:
    """Return the nearest multiple of 8; the next one up where that would lose more than a tenth.

    >>> [rounded(0.35 * channels) for channels in (16, 24, 32, 64)]
    [8, 8, 16, 24]
    """
    nearest = max(_MULTIPLE, int(channels + _MULTIPLE / 2) // _MULTIPLE * _MULTIPLE)
    return nearest + _MULTIPLE if nearest < 0.9 * channels else nearest


class SqueezeExcite(nn.Module):
    """Every channel times a gate in [0, 1] that is computed from the means of all channels.

        y = x hardsigmoid(conv1x1(relu(conv1x1(mean(x)))))

    Args:
        channels: channels of the input and of the output.

    Hu et al. 2018, Squeeze-and-excitation networks (arXiv 1709.01507), with the hard sigmoid of MobileNetV3.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeeze = rounded(channels / 4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.relu = nn.ReLU()
        self.excite = nn.Conv2d(squeeze, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Feature maps to feature maps."""
        gate = self.gate(self.excite(self.relu(self.squeeze(self.pool(x)))))
        return cast(Tensor, x * gate)


class InvertedResidual(nn.Module):
    """A 1x1 convolution to more channels, a depthwise one, a 1x1 convolution to few channels without activation.

        y = x + bn(conv1x1(act(bn(depthwise(act(bn(conv1x1(x))))))))

    The first convolution is left out where it would add no channels. The input is added only where the shape stays.

    Args:
        channels: channels of the input.
        expand: channels of the depthwise convolution.
        width: channels of the output.
        kernel: height and width of the depthwise convolution, odd.
        stride: of the depthwise convolution.
        activation: the class of the activations.
        excite: whether squeeze-and-excitation follows the depthwise convolution and its activation.
    """

    def __init__(
        self,
        channels: int,
        expand: int,
        width: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        activation: type[nn.Module],
        excite: bool = False,
    ) -> None:
        super().__init__()
        self.residual = stride == 1 and channels == width
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if expand != channels:
            layers["expand"] = nn.Conv2d(channels, expand, 1, bias=False)
            layers["bn1"] = nn.BatchNorm2d(expand)
            layers["act1"] = activation()
        layers["depthwise"] = nn.Conv2d(
            expand, expand, kernel, stride=stride, padding=kernel // 2, groups=expand, bias=False
        )
        layers["bn2"] = nn.BatchNorm2d(expand)
        layers["act2"] = activation()
        if excite:
            layers["excite"] = SqueezeExcite(expand)
        layers["project"] = nn.Conv2d(expand, width, 1, bias=False)
        layers["bn3"] = nn.BatchNorm2d(width)
        self.layers = nn.Sequential(layers)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k i j"]:
        """Feature maps to feature maps."""
        y = self.layers(x)
        return cast(Tensor, x + y if self.residual else y)
