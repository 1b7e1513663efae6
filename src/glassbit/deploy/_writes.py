"""Changes of tensors in place: who makes them, under whatever name, and through whichever view."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True)
class Write:
    """An operator wrote into a tensor.

    Args:
        operator: its name, `mul_`.
        tensor: the id of the tensor object.
        storage: the memory that the tensor had before.
    """

    operator: str
    tensor: int
    storage: int | None

    def touches(self, tensor: Tensor) -> bool:
        """Whether a tensor, which existed at the time, may hold other values since."""
        return self.tensor == id(tensor) or (self.storage is not None and self.storage == storage(tensor))


class Writes(TorchDispatchMode):
    """Notes every operator that writes into one of its arguments; the operators' own schemas say which do.

    Functions of Python (`F.relu(inplace=True)`, `nn.init`, `y[0] = 1`, `out=`) all end in such operators, inside
    torch's own modules too. What goes around torch (NumPy on the same memory) is left to `fingerprint`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.pending: list[Write] = []
        self.storages: set[int] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Private to torch: True, its default, imports the compiler, which takes seconds, at the first call."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Note what `func` writes, and call it."""
        kwargs = kwargs or {}
        for place, name in _written(func):
            value = args[place] if place < len(args) else kwargs.get(name)
            for tensor in value if isinstance(value, list | tuple) else (value,):
                if isinstance(tensor, Tensor):
                    self._note(func, tensor)
        return func(*args, **kwargs)

    def take(self) -> list[Write]:
        """Return the writes since the last call."""
        taken, self.pending = self.pending, []
        return taken

    def _note(self, func: Any, tensor: Tensor) -> None:
        memory = storage(tensor)
        self.pending.append(Write(func._schema.name.partition("::")[2], id(tensor), memory))
        if memory is not None:
            self.storages.add(memory)


@cache
def _written(func: Callable[..., Any]) -> tuple[tuple[int, str], ...]:
    """Place and name of the arguments that an operator writes into."""
    arguments = enumerate(func._schema.arguments)  # type: ignore[attr-defined]
    return tuple((place, a.name) for place, a in arguments if a.alias_info is not None and a.alias_info.is_write)


def storage(tensor: Tensor) -> int | None:
    """Return an identity of a tensor's memory, valid while it lives; None if it has no memory of its own."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse, batched by vmap
        return None


def fingerprint(tensor: Tensor) -> int:
    """Return a checksum of shape and values: memory on a CPU can be changed around torch, by NumPy or a library."""
    if tensor.device.type != "cpu" or storage(tensor) is None:
        return 0
    values = tensor.detach().contiguous().view(-1).view(torch.uint8).numpy()
    return zlib.crc32(values.data, hash(tuple(tensor.shape)) & 0xFFFFFFFF)
