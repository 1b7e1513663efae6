"""Watching a forward pass, layer by layer and function by function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from glassbit._errors import ExportError
from glassbit._foreign import told
from glassbit.quant import signed_bits

from ._functions import ADDS, ASKS, MULTIPLIES, NEW, NUMBERS, called, in_place, is_same, tensors_in
from ._kept import Kept
from ._match import Builder
from ._operations import Operations, is_leaf
from ._program import Program
from ._symbols import LOST, UNKNOWN, Accumulators, Lost, RefusedError, Symbol, Unknown
from ._tracked import Read, Tracked, left_behind


class Recorder(TorchFunctionMode):
    """Watches one forward pass: known layers whole, everything else function by function.

    Every tensor that comes from the image has a symbol: what it holds. Changes in place are seen operator by operator
    (`Writes`), so that a symbol ends with the values that it stands for, whichever view of them was changed.

    Args:
        network: the quantized network.
        x: what it is given, as a copy, which it may change.
        zero: the pixel that counts as zero.
        again: whether the network ran on the same before, so that what it changes in this pass it changes in every one.
        keep: whether to keep a copy of every tensor.
    """

    def __init__(
        self, network: nn.Module, x: Float[Tensor, "n c h w"], zero: int, *, again: bool = False, keep: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.x = x.clone()
        self.again = again
        self.builder = Builder(x.shape[1], x.shape[2], x.shape[3], zero, signed_bits(network))
        self.operations = Operations(self.builder, network)
        self.tracked = Tracked(type(network).__name__, len(x), keep=keep)
        self.inside: list[str] = []
        self.leaves = 0
        self.quiet = 0
        self.raised: tuple[BaseException | None, str] = (None, "")
        self.log: list[tuple[str, str]] = []

    def run(self) -> Program:
        """Return the program of what the network called.

        Raises:
            ExportError: something has no deployed form; every such thing by the name of its layer.
        """
        self.tracked.set(self.x, self.builder.image)
        kept = Kept(self.network) if self.again else None
        handles = list(self._watch(self.network, "", set()))
        try:
            with self.tracked.writes, self:
                output = self.network(self.x)
        except Exception as error:
            where = self.raised[1] if self.raised[0] is error else ""
            shape = " x ".join(map(str, self.x.shape[1:]))
            text = f"in eval mode, on images of {shape}, it raised {told(error)}"
            self.tracked.report(where, RefusedError(text))
            raise ExportError(self.tracked.listed()) from error
        finally:
            for handle in handles:
                handle.remove()
        self.tracked.settle("")
        for owner, reason in kept.changed(self.tracked.writes.storages) if kept else ():
            self.tracked.report(owner, RefusedError(reason))
        program = None
        try:
            program = self._finish(output)
        except RefusedError as refusal:
            self.tracked.report("", refusal)
        if self.tracked.problems or program is None:
            raise ExportError(self.tracked.listed())
        return program

    def _finish(self, output: Any) -> Program | None:
        read = self.tracked.read("", [output]) if isinstance(output, Tensor) else []
        if not read:
            if isinstance(output, Tensor) and self.tracked.problems:  # it came out of something that is reported
                return None
            raise RefusedError("its output must be the logits, one tensor (n, classes) that depends on the image")
        program = self.builder.finish(read[0][1], output)
        if self.tracked.keep:
            name = program.steps[-1].name
            self.tracked.kept.append((Accumulators(name, name), output.clone()))
        return program

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if self.quiet or self.leaves:
            return func(*args, **kwargs)
        owner = self.inside[-1] if self.inside else ""
        self.tracked.settle(owner)
        name = called(func)
        if not (name in ASKS or name in NEW or name.startswith("property ")):
            self.log.append((owner, name))
        read = self.tracked.read(owner, [*args, *kwargs.values()]) if name else []
        two = len(read) > 1 and (name in ADDS or name in MULTIPLIES)
        made: Symbol | list[Symbol] | None = None
        if two:
            made = self._attempt(owner, lambda: self.operations.combine(owner, name, read, args, kwargs), read)
        before = [(self._kept_aside(value, name, kwargs), symbol) for value, symbol in read]
        result = func(*args, **kwargs)
        touched = self.tracked.touched(self.tracked.writes.take())
        if not read:
            self.tracked.refuse(owner, touched, name)
            if name in NUMBERS and args and self.operations.constants.is_learned(args[0]):
                self.tracked.report(owner, RefusedError(_FROZEN))
            return result
        changed = touched or (in_place(name) and any(result is value for value, _ in read)) or name.endswith(" of")
        results = tensors_in([result])
        if made is None:
            if not changed and name in NEW and len(read) == 1 and args and args[0] is read[0][0]:
                return result
            if not changed and not results and (result is None or name in ASKS or name.startswith("property ")):
                return result
            if not changed and is_same(name, read[0][0], result):
                made = read[0][1]
            else:
                made = self._attempt(
                    owner, lambda: self.operations.function(owner, name, before, args, kwargs, result), read
                )
        known = not any(isinstance(symbol, Unknown) for _, symbol in read)
        each = made if isinstance(made, list) else [made] * len(results)
        for value in touched or ([read[0][0]] if changed else []):
            left = left_behind(self.tracked.symbol(value), each[0] if each else UNKNOWN, owner, name)
            self.tracked.set(value, left if known else UNKNOWN)
        for value, symbol in zip(results, each, strict=True):
            self.tracked.set(value, symbol)
        return result

    @staticmethod
    def _kept_aside(value: Tensor, name: str, kwargs: dict[str, Any]) -> Tensor:
        """Return a copy of what a call will change in place."""
        writes = in_place(name) or name.startswith("__i") or kwargs.get("inplace")
        return value.detach().clone() if writes else value

    def _attempt(self, owner: str, make: Callable[[], Symbol | list[Symbol]], read: Read) -> Symbol | list[Symbol]:
        """Return what `make` makes; where it refuses, note its reasons, and take the result for codes of some kind.

        Of numbers that are no map any more (`Lost`), what a refused function made, nothing more is said.
        """
        if all(isinstance(symbol, Lost) for _, symbol in read):
            return LOST
        try:
            return make()
        except RefusedError as refusal:
            self.tracked.report(owner, refusal)
            return UNKNOWN

    def _watch(self, module: nn.Module, name: str, known: set[int]) -> Iterable[RemovableHandle]:
        """Hooks on a module and what is in it; a module with several names goes by its first one."""
        if id(module) in known:
            return
        known.add(id(module))
        leaf = is_leaf(module)
        hooked = leaf and bool(module._forward_hooks or module._forward_pre_hooks)
        first: list[Any] = []
        begun: Read = []

        def arrive(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            first[:] = [args, kwargs]

        def enter(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            with self._unseen():
                self.tracked.settle(self.inside[-1] if self.inside else "")
                if hooked and (first[0] is not args or first[1] is not kwargs):
                    self.tracked.report(name, RefusedError(_HOOKED))
                begun[:] = self.tracked.read(name, [*args, *kwargs.values()]) if leaf else ()
            if not self.leaves:
                self.log.append((name, ""))
            self.inside.append(name)
            self.leaves += leaf

        def made(*given: Any) -> None:
            first[:] = [given[-1], len(self.tracked.writes.pending)]

        def leave(module: nn.Module, *given: Any) -> None:
            if name not in self.inside:  # a hook in front of ours raised
                return
            output = given[-1]
            error = sys.exc_info()[1] if output is None else None
            with self._unseen():
                if error is not None:
                    self.raised = self.raised if self.raised[0] is error else (error, name)
                elif leaf:
                    if hooked and not self._is_as_made(output, *first):
                        self.tracked.report(name, RefusedError(_HOOKED))
                    self._leave(name, module, [*begun], output)
                else:
                    self.tracked.settle(name)
            self.leaves -= leaf
            self.inside.pop()

        if hooked:
            yield module.register_forward_pre_hook(arrive, with_kwargs=True, prepend=True)
            yield module.register_forward_hook(made, with_kwargs=True, prepend=True)
        yield module.register_forward_pre_hook(enter, with_kwargs=True)
        yield module.register_forward_hook(leave, with_kwargs=True, always_call=True)
        for part, child in module.named_children() if not leaf else ():
            yield from self._watch(child, f"{name}.{part}" if name else part, known)

    def _is_as_made(self, output: Any, made: Any, writes: int) -> bool:
        """Whether the hooks of a layer left its output as its forward made it."""
        later = self.tracked.writes.pending[writes:]
        return output is made and not any(write.touches(value) for write in later for value in tensors_in([output]))

    def _leave(self, name: str, module: nn.Module, read: Read, output: Any) -> None:
        touched = self.tracked.touched(self.tracked.writes.take())
        if not read:
            self.tracked.refuse(name, touched, "")
            return
        value, symbol = read[0]
        results = tensors_in([output])
        try:
            made = self.operations.layer(name, module, symbol, value, output)
        except RefusedError as refusal:
            self.tracked.report(name, refusal)
            made = UNKNOWN
        for tensor in touched:
            self.tracked.set(tensor, left_behind(self.tracked.symbol(tensor), made, name, ""))
        for tensor in results:
            self.tracked.set(tensor, made)

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        """Leave out what is called in the block: it is ours, not the network's."""
        self.quiet += 1
        try:
            yield
        finally:
            self.quiet -= 1


_FROZEN = (
    "it reads a number out of a parameter, which would stay as it is while the network trains; compute with the "
    "parameter itself"
)
_HOOKED = "a forward hook of its own changes what it computes; put the change into the forward of a module"
