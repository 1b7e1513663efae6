"""Learned scales that an optimizer does not know: it was made before the network was quantized."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn

from glassbit._errors import GlassbitWarning
from glassbit.quant import Quantizer


class Unstepped:
    """Watches, from one forward to the next, whether the optimizer moves clipping levels and steps too.

    Every change in place raises a tensor's version, which is a number on the host. Where versions of weights went up
    and that of a clipping level, which has a gradient, did not, some optimizer stepped without it. Looking ends with
    the first step. Fused optimizers raise no version and are not seen.
    """

    def __init__(self) -> None:
        self._versions: dict[str, int] | None = {}
        self._values: dict[str, Tensor] = {}

    def look(self, objective: nn.Module) -> None:
        """Compare with the last forward; warn once.

        Args:
            objective: that is about to run.
        """
        if self._versions is None or torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return
        learned = {
            f"{name}.{key}": parameter
            for name, module in objective.named_modules()
            if isinstance(module, Quantizer)
            for key, parameter in module.named_parameters()
        }
        if not learned:
            return
        versions = {name: parameter._version for name, parameter in objective.named_parameters()}
        before, self._versions = self._versions, versions
        values, self._values = self._values, {name: parameter.detach().clone() for name, parameter in learned.items()}
        moved = {name for name, version in versions.items() if name in before and version > before[name]}
        if not moved - learned.keys():
            return  # no step in between
        self._versions, self._values = None, {}
        left = [
            name.removeprefix("model.")
            for name, parameter in learned.items()
            if name not in moved and parameter.requires_grad and parameter.grad is not None
            if torch.equal(parameter, values[name])  # waits for a GPU, once
        ]
        if left:
            warnings.warn(
                f"the optimizer changed weights, but not {', '.join(left)}, which had a gradient; it was probably made "
                "before quantize_: make it from objective.parameters() afterwards, or call requires_grad_(False) on "
                "what is meant to stay",
                GlassbitWarning,
                stacklevel=2,
            )
