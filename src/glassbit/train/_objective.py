"""What a training objective is: a module that owns the network and turns images and labels into losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._inputs import check_images, check_labels, check_network, in_precision_of, running
from glassbit.models import to_unit

from ._unstepped import Unstepped


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
    """A training objective over a network; DDP, autocast and compile wrap its one forward pass per step.

    Images and labels are looked at before each forward on a CPU, and in the first batch only on a GPU, where looking
    waits for the device; not at all while torch traces. Floats of another precision than the network's are converted.

    Args:
        model: takes float images in [0, 1], (n, c, h, w), and returns logits, (n, classes); a network for normalised
            images belongs in a `Classifier`.

    Attributes:
        progress: the share of the training that is done, 0..1, for options that follow a schedule. `fit` sets it before
            every step, and a loop of your own may; at 1, as it starts, every schedule has ended.
    """

    def __init__(self, model: nn.Module) -> None:
        check_network(type(self).__name__, model)
        super().__init__()
        self.model = model
        self.progress = 1.0
        self._looks = True
        self._looked = False
        self._unstepped = Unstepped()
        self.register_forward_pre_hook(_prepared, with_kwargs=True)

    @abstractmethod
    def forward(self, images: Tensor, labels: Integer[Tensor, " n"]) -> Losses:
        """Return the losses of a batch.

        Args:
            images: uint8 (n, c, h, w), or float in [0, 1].
            labels: 0..classes - 1, any integer type; int64 when they arrive here.

        Raises:
            UsageError: images or labels are not what they must be, with what was found and the repair.
        """

    def logits(self, x: Float[Tensor, "n c h w"], labels: Integer[Tensor, " n"]) -> Float[Tensor, "n k"]:
        """Return the network's logits in its own precision, once the labels are known to be among its classes.

        Raises:
            UsageError: the network cannot run on such images, or a label is no class of it.
        """
        with running(type(self).__name__, x):
            logits: Tensor = self.model(x)
        if logits.shape[:-1] != x.shape[:1]:
            raise UsageError(
                f"{type(self).__name__}: the model must return logits (n, classes); got {tuple(logits.shape)} for "
                f"images {tuple(x.shape)}; pool and flatten its maps before the last layer"
            )
        check_labels(type(self).__name__, labels, len(x), logits.shape[1], values=self._looks)
        return logits


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

    def forward(self, images: Tensor, labels: Integer[Tensor, " n"]) -> Losses:
        """Return the losses of a batch; see `Objective.forward`."""
        logits = self.logits(in_precision_of(self.model, to_unit(images)), labels)
        loss = F.cross_entropy(logits, labels)
        nothing = loss.detach().new_zeros(())
        return Losses(loss, loss, nothing, logits.detach(), nothing)


def _prepared(
    objective: Objective, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Check images and labels, whatever the subclass does with them, so that torch can differentiate through both."""
    given = dict(zip(("images", "labels"), args, strict=False)) | kwargs
    name = type(objective).__name__
    images, labels = given.get("images"), given.get("labels")
    on_host = isinstance(images, Tensor) and images.is_cpu
    objective._looks = on_host or not objective._looked
    objective._looked = True
    empty = isinstance(images, Tensor) and images.is_meta and all(each.is_meta for each in objective.parameters())
    images = check_images(name, images, values=objective._looks, meta=empty)
    labels = check_labels(name, labels, len(images), values=objective._looks, meta=images.is_meta)
    objective._unstepped.look(objective)
    if not torch.is_inference_mode_enabled():
        images, labels = (each.clone() if each.is_inference() else each for each in (images, labels))
    return (images, labels), {}
