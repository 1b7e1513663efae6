"""What autograd keeps for backward passes."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable

from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks


class _Held:
    """A tensor that a backward pass waits for."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def saved_bytes(step: Callable[[], object], owned: Iterable[Tensor]) -> int:
    """The most bytes that autograd holds for backward passes at any time of `step`, every storage once.

    Args:
        step: forward and backward passes.
        owned: tensors that are there anyway, parameters and buffers; their storages do not count.
    """
    excluded = {tensor.untyped_storage().data_ptr() for tensor in owned}
    holders: Counter[int] = Counter()
    now = most = 0

    def release(pointer: int, size: int) -> None:
        nonlocal now
        holders[pointer] -= 1
        now -= 0 if holders[pointer] else size

    def pack(tensor: Tensor) -> _Held:
        nonlocal now, most
        storage, held = tensor.untyped_storage(), _Held(tensor.detach())
        pointer, size = storage.data_ptr(), storage.nbytes()
        if pointer not in excluded:
            now += 0 if holders[pointer] else size
            most = max(most, now)
            holders[pointer] += 1
            weakref.finalize(held, release, pointer, size)
        return held

    with saved_tensors_hooks(pack, lambda held: held.tensor):
        step()
    return most
