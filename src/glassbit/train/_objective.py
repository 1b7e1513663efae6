"""What a training objective is: a module that owns the network and turns images and labels into losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from glassbit.models import to_unit


class Losses(NamedTuple):
    """What an objective returns.

    Args:
        total: what to call `backward` on.
        classification: the cross-entropy of the clean images.
        consistency: the KL divergence between clean and masked predictions, before its weight; 0 where there is none.
        logits: of the clean images, (n, classes), detached.
        tied: the share of masked pixels that chance chose among equal scores.
    """

    total: Float[Tensor, ""]
    classification: Float[Tensor, ""]
    consistency: Float[Tensor, ""]
    logits: Float[Tensor, "n k"]
    tied: Float[Tensor, ""]


class Objective(nn.Module, ABC):
    """A training objective over a network; DDP, autocast and compile wrap its one forward a step.

    Args:
        model: takes float images in [0, 1], (n, c, h, w), and returns logits, (n, classes).

    Attributes:
        progress: the share of the training that is done, 0..1, for options that follow a schedule. `fit` sets it before
            every step, and a loop of your own may; at 1, as it starts, every schedule has ended.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.progress = 1.0

    @abstractmethod
    def forward(self, images: Tensor, labels: Int64[Tensor, " n"]) -> Losses:
        """The losses of a batch.

        Args:
            images: uint8 (n, c, h, w), or float in [0, 1].
            labels: 0..classes - 1.
        """


class CrossEntropy(Objective):
    """Plain classification.

        loss = CE(f(x), y)

    Args:
        model: takes float images in [0, 1] and returns logits.

    Example:
        >>> import torch
        >>> from glassbit import models
        >>> objective = CrossEntropy(models.cnn_bn(classes=3))
        >>> objective(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.tensor([0, 2])).total.shape
        torch.Size([])
    """

    def forward(self, images: Tensor, labels: Int64[Tensor, " n"]) -> Losses:
        """The losses of a batch; see `Objective.forward`."""
        logits = self.model(to_unit(images))
        loss = F.cross_entropy(logits, labels)
        nothing = loss.detach().new_zeros(())
        return Losses(loss, loss, nothing, logits.detach(), nothing)
