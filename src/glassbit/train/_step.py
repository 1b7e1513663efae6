"""One training step: a batch, whole or in parts, to a step of the optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from ._evaluate import channels_last
from ._objective import Losses

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def step(
    fabric: Fabric,
    objective: Any,
    optimizer: Any,
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    *,
    parts: int = 1,
) -> Float[Tensor, "5"]:
    """Forward, backward and a step of the optimizer, all of it on the device: no number is read from there.

        gradient = sum over parts of (n_part / n) gradient of the part's loss

    which is the gradient of the batch where no image of it changes what becomes of another one.

    Args:
        fabric: of the run.
        objective: as `fabric.setup` returned it; several processes exchange gradients after the last part only.
        optimizer: likewise.
        images: this process's share of the batch.
        labels: of these images.
        parts: how many micro-batches the images are cut into, as equal as can be; at most one per image.

    Returns:
        The batch's means, detached: loss, classification, consistency, share of right answers, tied.
    """
    count = min(parts, len(labels))
    means = torch.zeros(5, device=images.device)
    for number, (some, their) in enumerate(zip(images.tensor_split(count), labels.tensor_split(count), strict=True), 1):
        share = len(their) / len(labels)
        with fabric.no_backward_sync(objective, enabled=number < count):
            losses = Losses(*objective(channels_last(some), their))
            fabric.backward(losses.total * share)
        means += share * _measure(losses, their)
    optimizer.step()
    optimizer.zero_grad()
    return means


def _measure(losses: Losses, labels: Tensor) -> Tensor:
    right = (losses.logits.argmax(1) == labels).float().mean()
    return torch.stack([losses.total, losses.classification, losses.consistency, right, losses.tied]).detach().float()
