"""The masked images' way through the network, and what BatchNorm makes of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from glassbit._modes import frozen
from glassbit.deploy import Deployed

MaskedBatchNorm = Literal["clean", "both", "eval", "split"]


class MaskedPass(nn.Module):
    """Runs masked images through a network that learns from clean ones.

    A BatchNorm layer in training mode, with affine parameters gamma, beta and running mean and variance m, v, computes

        clean   gamma (x - mean x) / sd x + beta,      and leaves m, v alone
        both    gamma (x - mean x) / sd x + beta,      and moves m, v, as in any other pass
        eval    gamma (x - m) / sqrt v + beta,         and leaves m, v alone
        split   gamma' (x - mean x) / sd x + beta',    and moves m', v'

    with a second set gamma', beta', m', v' that this module owns: it starts as a copy of the network's, learns with it,
    and is of use in training only, so that the network's own state is what it would be without.

    A BatchNorm layer in eval mode is `eval` whatever was chosen, so what is frozen stays so.

    In deployed arithmetic BatchNorm is folded into the layers and all four are `eval`.

    Args:
        model: the network, with the BatchNorm layers that it will have in training.
        batchnorm: one of the four.

    The second set is the auxiliary BatchNorm of Xie et al. 2020 (arXiv 1911.09665), with masked images in the place of
    adversarial ones; `both` is what the released code of Ismail et al. 2021 (arXiv 2111.14338) does.
    """

    def __init__(self, model: nn.Module, batchnorm: MaskedBatchNorm) -> None:
        super().__init__()
        self.batchnorm = batchnorm
        own = _norms(model).values() if batchnorm == "split" else ()
        self.norms = nn.ModuleList(copy.deepcopy(layer) for layer in own)

    def forward(self, model: nn.Module, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Return the logits of masked images."""
        if isinstance(model, Deployed):
            return cast(Tensor, model(images))
        if self.batchnorm == "split":
            return cast(Tensor, functional_call(model, self._own(model), (images,)))
        with _treated(model, self.batchnorm):
            return cast(Tensor, model(images))

    def hold_(self, model: nn.Module) -> None:
        """Train no second set of a layer that is not trained itself: one in eval mode, which is passed through as it
        is, or parameters that require no gradient.
        """
        if self.batchnorm == "split":
            held = set(frozen(model))
            for norm, layer in zip(self.norms, _norms(model).values(), strict=True):
                for own, first in zip(norm.parameters(), layer.parameters(), strict=True):
                    own.requires_grad_(own.requires_grad and first.requires_grad and layer not in held)

    def _own(self, model: nn.Module) -> dict[str, Tensor]:
        """Return the second set, by the names that the first has in the network."""
        return {
            f"{name}.{key}": tensor
            for (name, layer), norm in zip(_norms(model).items(), self.norms, strict=True)
            if layer.training
            for key, tensor in (*norm.named_parameters(), *norm.named_buffers())
        }


def _norms(model: nn.Module) -> dict[str, _BatchNorm]:
    return {name: module for name, module in model.named_modules() if isinstance(module, _BatchNorm)}


@contextmanager
def _treated(model: nn.Module, batchnorm: MaskedBatchNorm) -> Iterator[None]:
    """BatchNorm layers in training mode as `clean`, `both` or `eval` wants them, inside the block."""
    layers = [layer for layer in _norms(model).values() if layer.training]
    tracked = [layer.track_running_stats for layer in layers]
    try:
        for layer in layers:
            if batchnorm == "eval":
                layer.training = False
            elif batchnorm == "clean":
                layer.track_running_stats = False
        yield
    finally:
        for layer, track in zip(layers, tracked, strict=True):
            layer.training = True
            layer.track_running_stats = track
