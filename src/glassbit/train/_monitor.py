"""What quantizers do while a network runs: clipping levels, steps, shares of clipped and of zero activations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from glassbit.quant import ActivationQuantizer, QuantizedConv2d, QuantizedLinear


def levels(model: nn.Module) -> dict[str, float]:
    """Return every clipping level by layer name."""
    return _numbers(
        {name: module.level for name, module in model.named_modules() if isinstance(module, ActivationQuantizer)}
    )


def steps(model: nn.Module) -> dict[str, float]:
    """Return every weight step that is learned, by layer name."""
    return _numbers(
        {
            name: module.quantizer.scale(module.layer.weight)
            for name, module in model.named_modules()
            if isinstance(module, QuantizedConv2d | QuantizedLinear)
            and next(module.quantizer.parameters(), None) is not None
        }
    )


def _numbers(values: dict[str, Tensor]) -> dict[str, float]:
    """One transfer for all of them."""
    if not values:
        return {}
    numbers = torch.stack([value.detach().float() for value in values.values()]).tolist()
    return dict(zip(values, numbers, strict=True))


class Shares:
    """Counts of clipped and zero activations by layer, gathered on the device."""

    def __init__(self) -> None:
        self.counts: dict[str, Tensor] = {}
        self.totals: dict[str, int] = {}

    def add(self, name: str, clipped: Tensor, zeros: Tensor, total: int) -> None:
        """Count one call of a layer."""
        both = torch.stack([clipped, zeros])
        self.counts[name] = self.counts[name] + both if name in self.counts else both
        self.totals[name] = self.totals.get(name, 0) + total

    def shares(self) -> tuple[dict[str, float], dict[str, float]]:
        """(clipped, zeros), each a share in [0, 1] by layer name."""
        numbers = {name: (count / self.totals[name]).tolist() for name, count in self.counts.items()}
        return {name: pair[0] for name, pair in numbers.items()}, {name: pair[1] for name, pair in numbers.items()}


class _Watch:
    """A hook on an activation, for a number of images.

    `count_nonzero` of booleans takes an eighth of the time of their sum.
    """

    def __init__(self, name: str, shares: Shares, images: int) -> None:
        self.name = name
        self.shares = shares
        self.left = images

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if self.left <= 0:
            return
        self.left -= len(output)
        zeros = torch.count_nonzero(output == 0)
        if isinstance(module, ActivationQuantizer):
            clipped = torch.count_nonzero(inputs[0] >= module.level)
        else:
            clipped = torch.zeros_like(zeros)
        self.shares.add(self.name, clipped, zeros, output.numel())


@contextmanager
def watching(model: nn.Module, *, images: int = 2000) -> Iterator[Shares]:
    """Count clipped and zero activations of every quantized activation and ReLU inside the block.

    Counting takes half as long as the network itself, so it ends with the batch that holds the last of `images`: that
    is millions of activations per layer.
    """
    shares = Shares()
    watched = [
        (name, module)
        for name, module in model.named_modules()
        if type(module) is nn.ReLU or isinstance(module, ActivationQuantizer)
    ]
    inplace = [module for _, module in watched if type(module) is nn.ReLU and module.inplace]
    for module in inplace:
        module.inplace = False
    handles = [module.register_forward_hook(_Watch(name, shares, images)) for name, module in watched]
    try:
        yield shares
    finally:
        for handle in handles:
            handle.remove()
        for module in inplace:
            module.inplace = True
