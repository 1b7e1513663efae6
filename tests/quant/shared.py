"""Networks that call an activation several times, quantized; also run by themselves: compiled they give the same bits.

Not in the tests' own process, as torch does not trace the type checker of the tests.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from glassbit.quant import Plan, assign, calibrate_, quantize_, quantizers

W2A2 = Plan.named("w2a2")


def conv(inputs: int = 4, outputs: int = 4) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Shared(nn.Module):
    """One ReLU for all layers."""

    def __init__(self) -> None:
        super().__init__()
        self.c1, self.c2, self.c3 = conv(1), conv(), conv()
        self.relu, self.pool, self.fc = nn.ReLU(), nn.MaxPool2d(2), nn.Linear(4 * 4 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.relu(self.c1(x)))
        x = self.pool(self.relu(self.c2(x)))
        return self.fc(self.relu(self.c3(x)).flatten(1))


class Block(nn.Module):
    """The basic block of torchvision."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.downsample = None if inputs == width else nn.Sequential(nn.Conv2d(inputs, width, 1), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    """The residual network of torchvision, small."""

    block: type[Block] = Block

    def __init__(self, checkpointed: bool = False) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.layer1 = nn.Sequential(self.block(4, 4), self.block(4, 4))
        self.layer2 = nn.Sequential(self.block(4, 6))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(6, 3)
        self.checkpointed = checkpointed

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        for block in (*self.layer1, *self.layer2):
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointed else block(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


RESNET = {
    "conv1": 8, "relu": 2, "layer1.0.conv1": 2, "layer1.0.relu.0": 2, "layer1.0.relu.1": 2, "layer1.0.conv2": 2,
    "layer1.1.conv1": 2, "layer1.1.relu.0": 2, "layer1.1.relu.1": 2, "layer1.1.conv2": 2, "layer2.0.conv1": 2,
    "layer2.0.relu.0": 2, "layer2.0.relu.1": 8, "layer2.0.conv2": 2, "layer2.0.downsample.0": 2, "fc": 8,
}  # fmt: skip


class Recurrent(nn.Module):
    """A block that is used three times."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(1), nn.ReLU())
        self.block = nn.Sequential(conv(), nn.ReLU())
        self.fc = nn.Linear(4, 3)
        self.steps = 3

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for _ in range(self.steps):
            x = self.block(x)
        return self.fc(x.mean((2, 3)))


class FunctionalBlock(Block):
    """The basic block with functions."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(inputs, width)
        del self.relu

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        out += x if self.downsample is None else self.downsample(x)
        return out.relu_()


class FunctionalResNet(ResNet):
    """The residual network with functions and methods."""

    block = FunctionalBlock

    def __init__(self, checkpointed: bool = False) -> None:
        super().__init__(checkpointed)
        del self.relu

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        for block in (*self.layer1, *self.layer2):
            x = checkpoint(block, x, use_reentrant=False) if self.checkpointed else block(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class FunctionalShared(Shared):
    """Functions in a loop."""

    def __init__(self) -> None:
        super().__init__()
        del self.relu

    def forward(self, x: Tensor) -> Tensor:
        for index, layer in enumerate((self.c1, self.c2, self.c3)):
            x = F.relu(layer(x))
            x = self.pool(x) if index < 2 else x
        return self.fc(x.flatten(1))


class ConvRelu(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv = conv(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(self.conv(x))


class FunctionalRecurrent(Recurrent):
    """A block that is used three times, and calls a function."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.block = ConvRelu(1), ConvRelu(4)


IMAGES = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(1))
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "shared": Shared, "resnet": ResNet, "recurrent": Recurrent,
    "functional": FunctionalShared, "functional resnet": FunctionalResNet, "functional recurrent": FunctionalRecurrent,
}  # fmt: skip


def bits(model: nn.Module) -> dict[str, int]:
    return {name: module.bits for name, module in quantizers(model)}


def made(name: str, plan: Plan = W2A2) -> nn.Module:
    """A quantized network whose call sites have different levels."""
    torch.manual_seed(0)
    model = NETWORKS[name]()
    quantize_(model, plan, example=IMAGES)
    calibrate_(model, IMAGES)
    return model


def given(model: nn.Module, plan: Plan) -> dict[str, int]:
    return {layer.name: layer.bits for layer in assign(model, plan).layers}


def compiled_is_equal(name: str, activations: str) -> None:
    """Fail where a compiled network differs."""
    model = made(name, Plan.named("w2a2", activations=activations)).eval()
    expected = model(IMAGES)
    whole = activations == "lsq" and "functional" not in name  # torch does not trace PACT, whose function has a `jvp`
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=whole)
    for _ in range(2):
        assert torch.equal(compiled(IMAGES), expected), (name, activations)


if __name__ == "__main__":
    compiled_is_equal("shared", "pact")
    compiled_is_equal("resnet", "lsq")
    compiled_is_equal("recurrent", "lsq")
    compiled_is_equal("functional", "pact")
    compiled_is_equal("functional resnet", "lsq")
    compiled_is_equal("functional recurrent", "lsq")
