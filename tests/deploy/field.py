"""Networks of the field in small: the blocks of each family, as people write them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 4


def bn(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels)


class InvertedResidual(nn.Module):
    """MobileNetV2 (Sandler et al. 2018): expand, depthwise, linear bottleneck, plain sum."""

    def __init__(
        self, channels: int, act: Callable[[], nn.Module] = nn.ReLU6, squeeze: nn.Module | None = None
    ) -> None:
        super().__init__()
        wide = 2 * channels
        self.expand = nn.Sequential(nn.Conv2d(channels, wide, 1, bias=False), bn(wide), act())
        self.depthwise = nn.Sequential(nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False), bn(wide), act())
        self.squeeze = squeeze or nn.Identity()
        self.project = nn.Sequential(nn.Conv2d(wide, channels, 1, bias=False), bn(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(self.squeeze(self.depthwise(self.expand(x))))


class SqueezeExcite(nn.Module):
    """Hu et al. 2018, with MobileNetV3's gate."""

    def __init__(self, channels: int, gate: Callable[[], nn.Module] = nn.Hardsigmoid) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.down, self.up = nn.Conv2d(channels, channels // 2, 1), nn.Conv2d(channels // 2, channels, 1)
        self.act, self.gate = nn.ReLU(), gate()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.up(self.act(self.down(self.pool(x)))))


class Dense(nn.Module):
    """DenseNet (Huang et al. 2017): BatchNorm, ReLU, convolution, concatenation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(bn(channels + 4 * i) for i in range(3))
        self.acts = nn.ModuleList(nn.ReLU() for _ in range(3))
        self.convs = nn.ModuleList(nn.Conv2d(channels + 4 * i, 4, 3, padding=1, bias=False) for i in range(2))

    def forward(self, x: Tensor) -> Tensor:
        for i, conv in enumerate(self.convs):
            x = torch.cat([x, conv(self.acts[i](self.norms[i](x)))], 1)
        return self.acts[2](self.norms[2](x))


class Fire(nn.Module):
    """SqueezeNet (Iandola et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, 4, 1)
        self.left, self.right = nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=1)
        self.acts = nn.ModuleList(nn.ReLU() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        x = self.acts[0](self.squeeze(x))
        return torch.cat([self.acts[1](self.left(x)), self.acts[2](self.right(x))], 1)


class PreActivation(nn.Module):
    """He et al. 2016: BatchNorm and ReLU in front of each convolution, sums with nothing behind them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = bn(channels), bn(channels)
        self.a, self.b = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))
        self.act, self.act2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.b(self.act2(self.second(self.a(self.act(self.first(x))))))


class Shuffle(nn.Module):
    """ShuffleNetV2 (Ma et al. 2018): split, one half through, shuffle."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv = nn.Sequential(nn.Conv2d(half, half, 1, bias=False), bn(half), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        x = torch.cat([left, self.conv(right)], 1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Blueprint(nn.Module):
    """A stem, some block, the head."""

    def __init__(
        self, block: nn.Module, out: int = 8, head: nn.Module | None = None, act: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1, bias=False), bn(8))
        self.act = act or nn.ReLU()
        self.block = block
        self.head = head or nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(out, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.act(self.stem(x))))


class Apply(nn.Module):
    """A function between two convolutions."""

    def __init__(self, function: Callable[[Tensor], Tensor], out: int = 8, **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.before, self.after = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(out, 8, 3, padding=1)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.after(self.function(self.before(x))))


class Gated(nn.Module):
    """Hard swish and layer scale, written by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.gamma = nn.Parameter(0.5 + torch.rand(8))
        self.relu6 = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return x + self.gamma.view(1, -1, 1, 1) * (y * self.relu6(y + 3) / 6)


class Halves(nn.Module):
    """Features that are split, changed and joined again."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.left, self.last = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 4), nn.Linear(8, CLASSES)
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.pool(x).flatten(1).split(4, dim=1)
        return self.last(torch.cat([self.act(self.left(left)), right], 1))


class Nested(nn.Module):
    """Inception (Szegedy et al. 2016): concatenations in a concatenation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, 4, 1) for _ in range(4))
        self.acts = nn.ModuleList(nn.ReLU() for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        one, two, three = (act(conv(x)) for act, conv in zip(self.acts, self.convs, strict=False))
        return torch.cat([torch.cat([one, torch.cat([two, three], 1)], 1), self.convs[3](x)], 1)


class SameConv(nn.Conv2d):
    """Padding as TensorFlow's "SAME", which depends on the size of the map."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = (
            max((math.ceil(n / s) - 1) * s + k - n, 0)
            for n, s, k in zip(x.shape[2:], self.stride, self.kernel_size, strict=True)
        )
        x = F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


def conv_head(act: bool) -> nn.Module:
    layers = [nn.Conv2d(8, CLASSES, 1), *([nn.ReLU()] if act else []), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(nn.Dropout(), *layers)


FIELD: dict[str, Callable[[], nn.Module]] = {
    "mobilenet-v2": lambda: Blueprint(nn.Sequential(InvertedResidual(8), InvertedResidual(8)), act=nn.ReLU6()),
    "mobilenet-v3": lambda: Blueprint(
        nn.Sequential(InvertedResidual(8, nn.Hardswish, SqueezeExcite(16)), InvertedResidual(8, nn.Hardswish)),
        act=nn.Hardswish(),
    ),
    "efficientnet": lambda: Blueprint(InvertedResidual(8, nn.SiLU, SqueezeExcite(16, nn.Sigmoid)), act=nn.SiLU()),
    "densenet": lambda: Blueprint(Dense(8), 16),
    "squeezenet": lambda: Blueprint(Fire(8), head=conv_head(act=True)),
    "inception": lambda: Blueprint(Nested(8), 16),
    "conv-head": lambda: Blueprint(Fire(8), head=conv_head(act=False)),
    "preactivation": lambda: Blueprint(nn.Sequential(PreActivation(8), PreActivation(8)), act=nn.Identity()),
    "shufflenet": lambda: Blueprint(nn.Sequential(Shuffle(8), Shuffle(8))),
    "lenet": lambda: Blueprint(
        nn.Identity(),
        head=nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(72, 8), nn.Tanh(), nn.Linear(8, CLASSES)),
        act=nn.Tanh(),
    ),
    "tensorflow": lambda: Blueprint(
        nn.Sequential(
            SameConv(8, 8, 3, 2, bias=False), bn(8), nn.ReLU6(), SameConv(8, 8, 5, 2, groups=8), bn(8), nn.ReLU6()
        )
    ),
    "gated": lambda: Blueprint(Gated()),
    "halves": lambda: Blueprint(nn.Identity(), head=Halves()),
    "global-max": lambda: Blueprint(
        nn.Identity(), head=nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES))
    ),
    **{
        name: (lambda function=function: Blueprint(Apply(function)))
        for name, function in {
            "linear": lambda x: x,
            "gelu": F.gelu,
            "leaky": lambda x: F.leaky_relu(x, 0.1),
            "elu": F.elu,
            "mish": lambda x: F.mish(x, inplace=True),
            "softplus": F.softplus,
            "hardtanh": lambda x: F.hardtanh(x, -1, 2),
            "chosen": lambda x: x[:, [7, 0, 3, 4, 1, 2, 6, 5]],
            "affine": lambda x: 2 - x.mul(3) / 4,
            "ceil": lambda x: F.max_pool2d(F.max_pool2d(x, 2, ceil_mode=True), 2, padding=1, ceil_mode=True),
            "three": lambda x: x + F.max_pool2d(x, 3, 1, 1) + F.avg_pool2d(x, 3, 1, 1),
            "product": lambda x: x * x,
            "square": lambda x: x**2,
        }.items()
    },
}
