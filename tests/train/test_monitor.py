"""Shares of clipped and zero activations: counted right, over so many images and no more."""

import pytest
import torch
from torch import nn

from glassbit.quant import PACT, LSQActivation
from glassbit.train._monitor import watching

VALUES = torch.tensor([[-1.0, 0.1, 1.0, 2.0], [0.9, 3.0, -2.0, 0.0]])
"""Two images. PACT with 2 bits and alpha 2: 0 0 1 2, 4/3 2 0 0."""


@pytest.mark.parametrize(
    ("activation", "clipped"),
    [
        (lambda: PACT(2, alpha=2.0), 2 / 8),
        (lambda: LSQActivation(2, step=2 / 3), 2 / 8),
        (nn.ReLU, 0.0),
        (lambda: nn.ReLU(inplace=True), 0.0),
    ],
)
def test_shares_of_every_activation(activation, clipped: float) -> None:
    model = nn.Sequential(nn.Identity(), activation())
    with watching(model) as shares:
        model(VALUES.clone())
    zeros = (model(VALUES.clone()) == 0).float().mean().item()
    assert shares.shares() == ({"1": pytest.approx(clipped)}, {"1": pytest.approx(zeros)})


def test_counting_ends_with_the_batch_that_holds_the_last_image() -> None:
    model = nn.Sequential(PACT(2, alpha=2.0))
    with watching(model, images=3) as shares:
        for _ in range(2):
            model(VALUES)
        model(VALUES + 100)
    assert shares.shares()[0] == {"0": pytest.approx(2 / 8)}
    with watching(model) as shares:
        model(VALUES + 100)
    assert shares.shares()[0] == {"0": 1.0}
