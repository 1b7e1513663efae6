"""Loss and accuracy of a network on a set of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64, Shaped
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._inputs import check_network
from glassbit._modes import evaluating
from glassbit._takes import instance, takes, whole
from glassbit.datasets import Split
from glassbit.models import to_unit


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy and share of right answers over `n` images.

    Args:
        loss, accuracy, n: see above.
        confusion: images by true class (rows) and predicted class (columns); empty unless it was asked for.
    """

    loss: float
    accuracy: float
    n: int
    confusion: tuple[tuple[int, ...], ...] = ()


def channels_last(images: Shaped[Tensor, "n c h w"]) -> Shaped[Tensor, "n c h w"]:
    """Return the same images in channels-last memory, which is the fastest for convolutions on a CPU.

    The strides of one-channel images fit both layouts and torch reads them as the other one; a permutation settles it,
    and a training step of `cnn-bn` takes a fifth less time.
    """
    if images.shape[1] == 1:
        n, _, h, w = images.shape
        return images.reshape(n, h, w, 1).permute(0, 3, 1, 2)
    return images.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def tally(model: nn.Module, split: Split, *, batch_size: int = 500, rank: int = 0, world: int = 1) -> Tensor:
    """Return sums over this rank's share of `split`, in eval mode: (loss, right answers, images).

    They are float64 on the model's device.
    """
    sums = torch.zeros(3, dtype=torch.float64, device=_device(model))
    for logits, labels in _answers(model, split, batch_size, rank, world):
        sums += _sums(logits, labels)
    return sums


SPLIT = instance(Split, "a glassbit.datasets.Split", "pass data.test, or Split(images, labels)")
CLASSES = 2**12
"""The confusion matrix has as many rows and columns."""


@takes(split=SPLIT, batch_size=whole(1, usual=500), classes=whole(0, CLASSES, usual=10))
@torch.no_grad()
def evaluate(model: nn.Module, split: Split, *, batch_size: int = 500, classes: int = 0) -> Evaluation:
    """Loss and accuracy of `model` on all of `split`, in eval mode; the model is left in the mode that it was in.

    Args:
        model: takes float images in [0, 1] and returns logits.
        split: images and labels.
        batch_size: images per step.
        classes: how many there are, at most 4096; 0 for no confusion matrix.

    Raises:
        UsageError: there are no images, or a label is no logit of the network.
    """
    check_network("evaluate", model)
    if not len(split):
        raise UsageError("evaluate: split must hold at least one image; got none")
    device = _device(model)
    sums = torch.zeros(3, dtype=torch.float64, device=device)
    pairs = torch.zeros(classes * classes, dtype=torch.int64, device=device)
    for logits, labels in _answers(model, split, batch_size):
        sums += _sums(logits, labels)
        if classes and classes != logits.shape[1]:
            must = f"{logits.shape[1]}, the logits of the network, or 0"
            raise UsageError(f"evaluate: classes must be {must}; got {classes}; pass one of them")
        if classes:
            pairs += (labels * classes + logits.argmax(1)).bincount(minlength=classes * classes)
    loss, right, count = sums.tolist()
    confusion = tuple(map(tuple, pairs.view(classes, classes).tolist())) if classes else ()
    return Evaluation(loss / count, right / count, int(count), confusion)


def _answers(
    model: nn.Module, split: Split, batch_size: int, rank: int = 0, world: int = 1
) -> Iterator[tuple[Float[Tensor, "n k"], Int64[Tensor, " n"]]]:
    """Logits and labels, some images at a time, in eval mode."""
    device = _device(model)
    with evaluating(model):
        for start in range(rank * batch_size, len(split), world * batch_size):
            rows = torch.arange(start, min(start + batch_size, len(split)))
            images, labels = to_unit(split.take(rows).to(device)), split.labels[rows].to(device)
            logits = model(channels_last(images)).float()
            if start == rank * batch_size:
                _check(split, logits.shape[1])
            yield logits, labels


def _check(split: Split, classes: int) -> None:
    low, high = int(split.labels.min()), int(split.labels.max())
    if low < 0 or high >= classes:
        raise UsageError(
            f"evaluate: labels must be classes of the network, 0..{classes - 1}; got {low}..{high}; evaluate it on the "
            "data set that it was trained for"
        )


def _sums(logits: Float[Tensor, "n k"], labels: Int64[Tensor, " n"]) -> Float64[Tensor, "3"]:
    """Loss, right answers and images."""
    loss = F.cross_entropy(logits, labels, reduction="sum").double()
    return torch.stack([loss, (logits.argmax(1) == labels).sum().double(), loss.new_tensor(len(labels))])


def _device(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
