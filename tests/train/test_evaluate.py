from __future__ import annotations

import pytest
import torch
from torch import nn

from glassbit._errors import UsageError
from glassbit.datasets import Split
from glassbit.train import evaluate


def test_labels_that_the_network_does_not_know_are_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    images = torch.zeros(4, 1, 4, 4, dtype=torch.uint8)
    assert evaluate(network, Split(images, torch.tensor([0, 1, 2, 0]))).n == 4
    text = r"evaluate: labels must be classes of the network, 0..2; got {}..3; evaluate it on the data set that it was"
    for labels in ([0, 1, 2, 3], [-1, 0, 1, 3]):
        with pytest.raises(UsageError, match=text.format(min(labels))):
            evaluate(network, Split(images, torch.tensor(labels)))
    with pytest.raises(UsageError, match="evaluate: split must hold at least one image; got none"):
        evaluate(network, Split(images[:0], torch.zeros(0, dtype=torch.int64)))
