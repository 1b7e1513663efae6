"""Muon: momentum made orthogonal for matrices, SGD for everything else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.SGD):
    """SGD with Nesterov momentum m, but for the groups with `matrices=True`, which are weights of layers:

        B <- m B + (1 - m) g
        O  = sqrt(max(1, rows / columns)) orthogonal(m B + (1 - m) g)
        w <- w - lr (1 - m) O - lr weight_decay / (1 - m) w

    for the gradient g of a weight w, seen as a matrix with a row an output; `orthogonal` brings all singular values
    near 1. The factors of m are ours: weights forget as fast as under SGD, whose momentum adds 1 / (1 - m) gradients
    up, and the learning rate and weight decay that suit SGD suit here too.

    Args:
        groups: as of any optimizer; `matrices` says which are updated this way.
        lr: learning rate.
        momentum: m, in [0, 1).

    Jordan et al. 2024 (kellerjordan.github.io/posts/muon), which leaves the other parameters to AdamW.
    `torch.optim.Muon` is the same for one matrix at a time and takes no convolution.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float = 0.1, momentum: float = 0.9) -> None:
        super().__init__(groups, lr=lr, momentum=momentum, nesterov=momentum > 0)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter; gradients of matrices are gone afterwards."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group.get("matrices", False):
                self._orthogonal_step(group)
        super().step()
        return loss

    def _orthogonal_step(self, group: dict[str, Any]) -> None:
        momentum = group["momentum"]
        lr, decay = group["lr"] * (1 - momentum), group["lr"] * group["weight_decay"] / (1 - momentum)
        alike = defaultdict(list)
        for weight in group["params"]:
            if weight.grad is None:
                continue
            state = self.state[weight]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(weight.grad)
            state["momentum_buffer"].lerp_(weight.grad, 1 - momentum)
            alike[weight.shape].append((weight, weight.grad.lerp(state["momentum_buffer"], momentum)))
            weight.grad = None  # SGD leaves it alone
        for some in alike.values():
            updates = orthogonal(torch.stack([update.flatten(1) for _, update in some]))
            rows, columns = updates.shape[1:]
            size = max(1.0, rows / columns) ** 0.5
            for (weight, _), update in zip(some, updates, strict=True):
                weight.mul_(1 - decay).add_(update.view_as(weight), alpha=-lr * size)


def orthogonal(matrices: Float[Tensor, "n rows columns"]) -> Float[Tensor, "n rows columns"]:
    """Matrices with the same singular vectors, and singular values of about 1 (0.7 to 1.2) unless they are next to 0.

        X <- a X + (b A + c A A) X,    A = X X^T,    five times, from X = G / |G|

    Jordan et al. 2024: a, b, c maximise the slope at 0.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
