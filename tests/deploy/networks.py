"""Networks for the tests of deployed arithmetic, with statistics as after training, or worse."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit import models
from glassbit.models._resnet import ResNet
from glassbit.quant import Plan, calibrate_, quantize_

SIDE = 14


class Own(nn.Module):
    """A user's network: functions and methods instead of layers, groups, odd kernels and strides, all kinds of sums."""

    def __init__(self, channels: int, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 8, (3, 5), stride=(1, 2), padding=(1, 2))
        self.stem_relu = nn.ReLU()
        self.depthwise = nn.Conv2d(8, 8, 3, padding="same", groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.grouped = nn.Conv2d(8, 12, 1, groups=4)
        self.grouped_norm = nn.BatchNorm2d(12, affine=False)
        self.project = nn.Conv2d(8, 12, 2, stride=2, padding="valid")
        self.sum_relu = nn.ReLU6()
        self.left = nn.Conv2d(12, 6, 3, padding=1)
        self.left_relu = nn.ReLU()
        self.right = nn.Conv2d(12, 6, 1)
        self.right_relu = nn.ReLU()
        self.codes_relu = nn.ReLU()
        self.last = nn.Linear(6, classes)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem_relu(F.max_pool2d(self.stem(x), (2, 1), stride=(1, 1)))
        y = self.relu(self.norm(self.depthwise(x)))
        y += x
        y = self.sum_relu(y)
        y = torch.add(self.grouped_norm(self.grouped(F.avg_pool2d(y, 2))), self.project(y))
        y = self.sum_relu(F.dropout(y, 0.3, self.training)) if y.shape[0] else y
        self.sum_relu(self.left(y) + self.right(y))  # computed, and left aside
        y = self.left_relu(self.left(y)) + self.right_relu(self.right(y))
        y = self.codes_relu(y).mean((-1, 2))
        return self.last(self.drop(y.view(y.size(0), -1)))


class Pools(nn.Module):
    """Means over windows of several sizes, of every kind."""

    def __init__(self, channels: int, classes: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(channels, 6, 3, padding=1)
        self.relu = nn.ReLU()
        self.padded = nn.AvgPool2d(3, 1, padding=1)
        self.uncounted = nn.AvgPool2d((3, 2), 2, padding=(1, 0), ceil_mode=True, count_include_pad=False)
        self.conv = nn.Conv2d(6, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.conv_relu = nn.ReLU()
        self.adaptive = nn.AdaptiveAvgPool2d((5, None))
        self.last = nn.Linear(6 * 3 * 9, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.uncounted(self.padded(self.relu(self.stem(x))))
        x = self.adaptive(self.conv_relu(self.norm(self.conv(x))))
        x = F.avg_pool2d(x, 2, 1, ceil_mode=True, divisor_override=3)
        return self.last(F.adaptive_avg_pool2d(x, (3, 9)).flatten(1))


class MLP(nn.Module):
    """Linear layers only."""

    def __init__(self, channels: int, classes: int = 4) -> None:
        super().__init__()
        self.first = nn.Linear(channels * SIDE * SIDE, 24)
        self.norm = nn.BatchNorm1d(24)
        self.relu = nn.ReLU()
        self.middle = nn.Linear(24, 16)
        self.middle_relu = nn.ReLU()
        self.last = nn.Linear(16, classes, bias=False)
        self.last_norm = nn.BatchNorm1d(classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(torch.flatten(x, 1))))
        return self.last_norm(self.last(self.middle_relu(self.middle(x))))


NETWORKS = {
    "cnn": lambda channels: models.cnn(4, channels, SIDE),
    "cnn_bn": lambda channels: models.cnn_bn(4, channels, width=4),
    "resnet20-A": lambda channels: models.resnet20(4, channels, shortcut="A"),
    "resnet20-B": lambda channels: models.resnet20(4, channels, shortcut="B"),
    "resnet8-A": lambda channels: ResNet("resnet8", 1, 4, channels, "A"),
    "resnet8-B": lambda channels: ResNet("resnet8", 1, 4, channels, "B"),
    "own": Own,
    "pools": Pools,
    "cnn_bn-uneven": lambda channels: models.cnn_bn(4, channels, width=3),
    "mlp": MLP,
}
SIZES = {"cnn_bn": 28, "cnn_bn-uneven": 41, "resnet20-A": 8, "resnet20-B": 8, "resnet8-A": 8, "resnet8-B": 8}


def pictures(channels: int, side: int = SIDE, n: int = 16, seed: int = 0) -> Tensor:
    """Noise, black, white, and smooth pictures, uint8."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, channels, 3, 3, generator=generator)
    images = F.interpolate(coarse, (side, side), mode="bilinear") * 255
    images[::2] += 40 * torch.randn(images[::2].shape, generator=generator)
    images[0], images[1] = 0, 255
    return images.clamp(0, 255).round().to(torch.uint8)


def statistics_(network: nn.Module, seed: int = 0) -> None:
    """BatchNorms with negative, tiny and zero gammas, and biases everywhere."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3, generator=generator)
                module.running_var.uniform_(0.2, 2.0, generator=generator)
                if module.affine:
                    module.weight.normal_(0.6, 0.6, generator=generator)
                    module.bias.normal_(0.2, 0.3, generator=generator)
                    module.weight[:3] = torch.tensor([0.0, -0.8, 1e-6])
            elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
                module.bias.normal_(0, 0.1, generator=generator)


def quantized(name: str, plan: Plan, *, channels: int = 1, seed: int = 0) -> models.Classifier:
    """A classifier in eval mode, its clipping levels set from pictures."""
    torch.manual_seed(seed)
    network = NETWORKS[name](channels)
    statistics_(network, seed)
    quantize_(network, plan)
    mean, std = ((0.29,), (0.35,)) if channels == 1 else ((0.49, 0.48, 0.31), (0.25, 0.2, 0.33))
    model = models.Classifier(network, mean=mean, std=std)
    calibrate_(model, pictures(channels, side(name), 8, seed + 1).float() / 255)
    return model.eval()


def side(name: str) -> int:
    return SIZES.get(name, SIDE)
