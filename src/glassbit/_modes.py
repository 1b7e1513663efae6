"""Eval mode for the length of a block, and training mode for what is not frozen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put every module of `model` in eval mode; each gets its own mode back, whatever happens inside."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def frozen(model: nn.Module) -> list[nn.Module]:
    """Return the modules that were put in eval mode on purpose: those in eval mode while another layer is not.

    So `for norm in norms: norm.eval()` and `backbone.eval()` freeze; a network that is in eval mode as a whole, as it
    is after an evaluation, does not count as frozen.
    """
    layers = [module for module in model.modules() if next(module.parameters(recurse=False), None) is not None]
    if not any(layer.training for layer in layers):
        return []
    return [module for module in model.modules() if not module.training]


def train_(model: nn.Module, *, network: nn.Module | None = None) -> None:
    """Put `model` in training mode, all but what is `frozen` in it, or in the part of it that is `network`."""
    held = frozen(model if network is None else network)
    model.train()
    for module in held:
        module.training = False
