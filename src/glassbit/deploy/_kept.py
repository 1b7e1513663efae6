"""What a network carries from one forward pass to the next."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ._state import plain_state
from ._writes import storage


class Kept:
    """The tensors and plain values of a network before a forward pass, to be compared with those after it.

    An exported network keeps nothing from one image to the next, so what a pass in eval mode changes would be lost.

    Args:
        network: the network, before the pass.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network
        self._tensors = {name: (tensor, tensor.detach().clone()) for name, tensor in _registered(network)}
        self._plain = plain_state(network)

    def changed(self, written: set[int]) -> Iterator[tuple[str, str]]:
        """(layer, reason) of everything that the pass changed.

        Args:
            written: the storages that were written into.
        """
        for name, tensor in _registered(self._network):
            before = self._tensors.get(name)
            if before is None or before[0] is not tensor or storage(tensor) in written or _differs(before[1], tensor):
                owner, _, own = name.rpartition(".")
                yield owner, _reason(f"{own}, a parameter or buffer,")
        places = [
            (owner, name)
            for owner, module in self._network.named_modules()
            for name, value in vars(module).items()
            if isinstance(value, Tensor) and storage(value) in written
        ]
        after = plain_state(self._network)
        places += [place for place in self._plain | after if self._plain.get(place) != after.get(place)]
        for owner, name in dict.fromkeys(places):
            yield owner, _reason(name)


def _registered(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from network.named_parameters(remove_duplicate=False)
    yield from network.named_buffers(remove_duplicate=False)


def _differs(before: Tensor, after: Tensor) -> bool:
    return before.shape != after.shape or not torch.equal(before.nan_to_num(), after.detach().nan_to_num())


def _reason(what: str) -> str:
    return (
        f"its forward changes {what} in eval mode too, and an exported network keeps nothing from one image to the "
        "next; change it only `if self.training`"
    )
