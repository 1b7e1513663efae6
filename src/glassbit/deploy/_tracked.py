"""The tensors of a forward pass that come from the image: what each holds, and whether it still does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from ._functions import spoken, tensors_in
from ._symbols import LOST, UNKNOWN, RefusedError, Stale, Symbol, Unknown
from ._writes import Write, Writes, fingerprint

Read = list[tuple[Tensor, Symbol]]

_AROUND = (
    "it reads a tensor that was changed around torch (through NumPy, its memory, or another library); compute with "
    "torch functions that return new tensors"
)


class Tracked:
    """Symbols of tensors, ended when their values are changed, and the problems that were found on the way.

    Args:
        name: of the network, for problems that belong to none of its layers.
        batch: the number of images.
        keep: whether to keep a copy of each tensor as it is when its symbol is set.
    """

    def __init__(self, name: str, batch: int, *, keep: bool = False) -> None:
        self.name = name
        self.batch = batch
        self.keep = keep
        self.kept: list[tuple[Symbol, Tensor]] = []
        self.writes = Writes()
        self.problems: dict[str, int] = {}
        # by id; the tensor is kept, so that its id and its memory stay its own
        self.symbols: dict[int, tuple[Tensor, Symbol, int]] = {}

    def report(self, owner: str, refusal: RefusedError) -> None:
        """Note why something in a layer, or in the network itself, is refused."""
        name = owner if owner.isprintable() else repr(owner)
        for reason in refusal.reasons:
            text = f"{name or self.name}: {reason}"
            self.problems[text] = self.problems.get(text, 0) + 1

    def listed(self) -> list[str]:
        """Return the problems so far, each once."""
        return [text if count == 1 else f"{text} ({count} times)" for text, count in self.problems.items()]

    def settle(self, owner: str) -> None:
        """Refuse writes that belong to no function that was seen."""
        writes = self.writes.take()
        if writes:
            self.refuse(owner, self.touched(writes), writes[-1].operator)

    def refuse(self, owner: str, touched: list[Tensor], name: str) -> None:
        """Note that tensors were changed by something that has no form."""
        if any(not isinstance(self.symbol(value), Unknown) for value in touched):
            what = spoken(name) if name else "this layer"
            self.report(owner, RefusedError(f"{what} changes a tensor in place, which has no integer form"))
        for value in touched:
            self.set(value, UNKNOWN)

    def touched(self, writes: Sequence[Write]) -> list[Tensor]:
        """Return the tensors that come from the image and were written into, under whatever view."""
        if not writes:
            return []
        return [value for value, *_ in self.symbols.values() if any(write.touches(value) for write in writes)]

    def read(self, owner: str, values: Iterable[Any]) -> Read:
        """Return the tensors among values that come from the image, with what they hold."""
        read: Read = []
        for value in tensors_in(values):
            if id(value) not in self.symbols:
                continue
            _, symbol, mark = self.symbols[id(value)]
            if isinstance(symbol, Stale):
                self.report(symbol.owner, RefusedError(symbol.reason))
                self.set(value, UNKNOWN)
            elif not isinstance(symbol, Unknown) and fingerprint(value) != mark:
                self.report(owner, RefusedError(_AROUND))
                self.set(value, UNKNOWN)
            read.append((value, self.symbol(value)))
        return read

    def symbol(self, value: Tensor) -> Symbol:
        """Return what a tensor holds."""
        return self.symbols[id(value)][1]

    def set(self, value: Tensor, symbol: Symbol) -> None:
        """Note what a tensor holds; what a refused operation made is told by its shape."""
        if isinstance(symbol, Unknown):
            is_map = value.dim() in (2, 4) and len(value) == self.batch
            symbol, mark = (UNKNOWN if is_map else LOST), 0
        else:
            mark = 0 if isinstance(symbol, Stale) else fingerprint(value)
            if self.keep:
                self.kept.append((symbol, value.clone()))
        self.symbols[id(value)] = (value, symbol, mark)


def left_behind(symbol: Symbol, made: Symbol, owner: str, name: str) -> Symbol:
    """Return what another view of a changed tensor holds afterwards."""
    if isinstance(symbol, Unknown) or isinstance(made, Unknown):
        return UNKNOWN
    what = spoken(name) if name else "this layer"
    return Stale(
        owner,
        f"{what} changes a tensor in place that is read again under another name; use its result, or a new tensor",
    )
