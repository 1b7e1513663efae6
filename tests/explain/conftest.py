"""Small networks of every kind that has to be explained."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from glassbit.models import Classifier
from glassbit.quant import Plan, quantize_

Make = Callable[..., nn.Module]


@pytest.fixture(scope="session")
def make() -> Make:
    """make(channels=2, quantized=None, smooth=False): 12 x 10 pixels to 3 logits, in training mode."""

    def network(*, channels: int = 2, quantized: str | None = None, smooth: bool = False) -> nn.Module:
        with torch.random.fork_rng([]):
            torch.manual_seed(7)
            layers: list[nn.Module] = [
                nn.Conv2d(channels, 6, 3, padding=1),
                nn.BatchNorm2d(6),
                nn.Softplus() if smooth else nn.ReLU(),
                nn.Conv2d(6, 8, 3, stride=2, padding=1),
                nn.Tanh() if smooth else nn.ReLU(),
                nn.AvgPool2d(2),
                nn.Dropout(0.5),
                nn.Flatten(),
                nn.Linear(8 * 3 * 2, 3),
            ]
            net = nn.Sequential(*layers)
            net[1].running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr,operator]
            net[1].running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr,operator]
            if quantized is not None:
                quantize_(net, Plan.named(quantized, alpha=2.0))
        return Classifier(net, mean=(0.4,) * channels, std=(0.3,) * channels)

    return network


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randint(256, (5, 2, 12, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
