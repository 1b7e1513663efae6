"""A small network, and images for it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from glassbit.models import Classifier
from glassbit.quant import Plan, quantize_

Make = Callable[..., Classifier]


@pytest.fixture(scope="session")
def make() -> Make:
    """make(channels=2, plan=None): 12 x 10 pixels to 3 logits, in training mode."""

    def network(*, channels: int = 2, plan: str | None = None) -> Classifier:
        with torch.random.fork_rng([]):
            torch.manual_seed(7)
            net = nn.Sequential(
                nn.Conv2d(channels, 6, 3, padding=1),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                nn.Conv2d(6, 8, 3, stride=2, padding=1),
                nn.ReLU(),
                nn.AvgPool2d(2),
                nn.Flatten(),
                nn.Linear(8 * 3 * 2, 3),
            )
            net[1].running_mean.uniform_(-0.2, 0.2)  # type: ignore[union-attr,operator]
            net[1].running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr,operator]
            if plan is not None:
                quantize_(net, Plan.named(plan, alpha=2.0))
        return Classifier(net, mean=(0.4,) * channels, std=(0.3,) * channels)

    return network


@pytest.fixture
def images() -> Tensor:
    return torch.randint(256, (6, 2, 12, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
