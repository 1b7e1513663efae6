"""Tensors of a network that are the same for all images, by name."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from ._functions import is_number
from ._symbols import RefusedError


class Constants:
    """Finds parameters and buffers by their memory, so that views of them are known too.

    Args:
        network: whose tensors they are.
    """

    def __init__(self, network: nn.Module) -> None:
        self.tensors: dict[str, Tensor] = {
            **dict(network.named_parameters(remove_duplicate=False)),
            **dict(network.named_buffers(remove_duplicate=False)),
        }
        self._learned = {_memory(parameter) for parameter in network.parameters()}
        self._names = {_place(tensor): name for name, tensor in reversed([*self.tensors.items()])}

    def name(self, tensor: Tensor | None) -> str:
        """Return the name of a tensor, or of that which it is a view of; empty where there is none."""
        known = self._names.get(_place(tensor), "") if isinstance(tensor, Tensor) else ""
        return known if known and self.tensors[known].dtype == getattr(tensor, "dtype", None) else ""

    def is_learned(self, tensor: Any) -> bool:
        """Whether a tensor is a parameter, or a view of one."""
        return isinstance(tensor, Tensor) and not tensor.is_meta and _memory(tensor) in self._learned

    def value(self, constant: Any, like: Tensor) -> float | str:
        """Return a number, or the name of a tensor with one number or one per channel.

        Args:
            constant: what a map is added to or multiplied with.
            like: the map.

        Raises:
            RefusedError: it is neither.
        """
        if is_number(constant) and math.isfinite(constant):
            return float(constant)
        if isinstance(constant, Tensor) and (constant.numel() == 1 or over_channels(constant, like)):
            name = self.name(constant)
            if name:
                return name
        raise RefusedError(
            "a constant beside a map must be a finite number, or a parameter or buffer with one value or one per "
            "channel, as it is; compute with the map instead"
        )


def over_channels(constant: Tensor, like: Tensor) -> bool:
    """Whether a tensor has one value per channel, in its place for broadcasting."""
    shape = (1,) * (like.dim() - constant.dim()) + tuple(constant.shape)
    return len(shape) == like.dim() and shape == (1, like.shape[1], *(1,) * (like.dim() - 2))


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _place(tensor: Tensor) -> tuple[int, int]:
    return (0, id(tensor)) if tensor.is_meta else (tensor.data_ptr(), tensor.numel())
