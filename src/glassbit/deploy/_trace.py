"""Following an image through a network, layer by layer and function by function."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from glassbit._errors import ExportError, UsageError
from glassbit._modes import evaluating
from glassbit.models import Classifier, SubsampleAndPad, to_unit
from glassbit.quant import QuantizedConv2d, QuantizedLinear, is_activation_quantizer, quantizers

from ._calls import (
    ADDS,
    ASKS,
    DROPOUTS,
    NEW,
    RELUS,
    SHAPES,
    SPARSE,
    bound,
    called,
    in_place,
    is_same,
    spoken,
    tensors_in,
    why_no_map,
)
from ._kept import Kept
from ._match import LOST, UNKNOWN, Builder, Lost, RefusedError, Symbol, Unknown, pair
from ._program import Pair, Program
from ._tracked import Read, Tracked, left_behind
from ._windows import adaptive, sliding

_BATCH = 64
_TWICE = 2

_POOL = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_AVERAGE = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")


def trace(model: nn.Module, images: Shaped[Tensor, "n c h w"], *, zero: int) -> Program:
    """The program of a quantized network, in eval mode, from runs on `images`.

    The network runs as it is, so Python of any kind may decide what it calls, as long as the pixels do not. It runs
    twice at least: what it keeps from one pass for the next has no place in an exported network.

    Args:
        model: a `Classifier`, or a network that takes images in [0, 1].
        images: uint8 or in [0, 1]; they also tell how large the operands of sums become.
        zero: the pixel that counts as zero.

    Raises:
        UsageError: the network is not quantized.
        ExportError: something in the network has no deployed form; every such thing by the name of its layer.
    """
    programs = [program for program, _ in _followed(model, images, zero, keep=False)]
    peaks = [max(values) for values in zip(*(program.peaks for program in programs), strict=True)]
    return Program(programs[0].steps, tuple(peaks))


def follow(
    model: nn.Module, images: Shaped[Tensor, "n c h w"], *, zero: int
) -> tuple[Program, tuple[tuple[Symbol, Tensor], ...]]:
    """The program, and what the network computed on the first images, at most 64: every tensor with its place there.

    Raises:
        UsageError: as `trace`.
    """
    return next(_followed(model, images, zero, keep=True))


def _followed(
    model: nn.Module, images: Tensor, zero: int, *, keep: bool
) -> Iterator[tuple[Program, tuple[tuple[Symbol, Tensor], ...]]]:
    if next(quantizers(model), None) is None:
        raise UsageError("deploy: the network is not quantized; call quantize_(model.network, plan) and train it first")
    network = model.network if isinstance(model, Classifier) else model
    device = next((parameter.device for parameter in model.parameters()), images.device)
    batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    steps: list[str] = []
    with evaluating(model), torch.no_grad():
        for batch in batches if len(batches) > 1 else batches * _TWICE:
            x = to_unit(batch.to(device))
            x = x if len(x) > 1 else x.repeat(_TWICE, 1, 1, 1)  # one image cannot tell the batch from other axes
            x = model.normalize(x) if isinstance(model, Classifier) else x
            # the network gets a copy: it may change what it is given
            recorder = _Recorder(network, x.float().clone(), zero, again=bool(steps), keep=keep)
            program = recorder.run()
            steps.append(repr(program.steps))
            if steps[-1] != steps[0]:
                raise ExportError([f"{type(network).__name__}: {_FICKLE}"])
            yield program, tuple(recorder.tracked.kept)


class _Recorder(TorchFunctionMode):
    """Watches one forward pass: known layers whole, everything else function by function.

    Every tensor that comes from the image has a symbol: what it holds. Changes in place are seen operator by operator
    (`Writes`), so that a symbol ends with the values that it stands for, whichever view of them was changed.

    Args:
        network: the quantized network.
        x: what it is given.
        zero: the pixel that counts as zero.
        again: whether the network ran before, so that what it changes in this pass it changes in every one.
        keep: whether to keep a copy of every tensor.
    """

    def __init__(
        self, network: nn.Module, x: Float[Tensor, "n c h w"], zero: int, *, again: bool = False, keep: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        self.x = x
        self.again = again
        self.builder = Builder(x.shape[1], x.shape[2], x.shape[3], zero)
        self.tracked = Tracked(type(network).__name__, len(x), keep=keep)
        self.inside: list[str] = []
        self.leaves = 0
        self.quiet = 0
        self.raised: tuple[BaseException | None, str] = (None, "")

    def run(self) -> Program:
        """The program of what the network called.

        Raises:
            ExportError: see `trace`.
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
            text = f"raised {type(error).__name__} in eval mode, on images of {shape}: {error}"
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
        return self.builder.finish(read[0][1], output)

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
        read = self.tracked.read(owner, [*args, *kwargs.values()]) if name else []
        summed = name in ADDS and len(read) > 1
        made = self._attempt(owner, lambda: self._add(owner, read, args, kwargs), read) if summed else None
        result = func(*args, **kwargs)
        touched = self.tracked.touched(self.tracked.writes.take())
        if not read:
            self.tracked.refuse(owner, touched, name)
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
                made = self._attempt(owner, lambda: self._function(owner, name, read, args, kwargs, result), read)
        known = not any(isinstance(symbol, Unknown) for _, symbol in read)
        for value in touched or ([read[0][0]] if changed else []):
            self.tracked.set(value, left_behind(self.tracked.symbol(value), made, owner, name) if known else UNKNOWN)
        for value in results:
            self.tracked.set(value, made)
        return result

    def _function(
        self, owner: str, name: str, read: Read, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any
    ) -> Symbol:
        value, x = read[0]
        made = f"{owner}.{name}" if owner else name
        if not isinstance(result, Tensor):
            raise RefusedError(why_no_map(name, result))
        if name in SHAPES and value.dim() > 1 and result.shape == value.flatten(1).shape:
            return x if value.dim() == 2 else self.builder.flatten(made, x, value)
        if name in ADDS and _adds_zero(value, bound(("input", "other"), args, kwargs)):
            return x
        if name in DROPOUTS:
            raise RefusedError(f"{name} acts in eval mode; use an nn.Dropout module, or pass training=self.training")
        if name in RELUS:
            raise RefusedError(
                f"the function {name} stays in full precision; use an nn.ReLU module, which becomes a quantizer"
            )
        if len(read) == 1 and kwargs.get("out") is None:
            if name == "mean":
                return self._mean(made, x, value, result, bound(("input", "dim", "keepdim"), args, kwargs))
            if name == "max_pool2d":
                return self._max_pool(made, x, value, result, bound(_POOL, args, kwargs))
            if name == "avg_pool2d":
                return self._average_pool(made, x, value, result, bound(_AVERAGE, args, kwargs))
            if name == "adaptive_avg_pool2d":
                return self._adaptive(made, x, value, result)
        if name in SPARSE:
            raise RefusedError(f"the shape of what {name} returns depends on the pixels")
        raise RefusedError(f"{spoken(name)} has no integer form")

    def _layer(self, name: str, module: nn.Module, x: Symbol, value: Tensor, result: Any) -> Symbol:
        build = self.builder
        if "forward" in vars(module):
            raise RefusedError("its forward was replaced on the object; make it a module of its own instead")
        acts = isinstance(module, nn.modules.batchnorm._NormBase | nn.modules.dropout._DropoutNd)
        if acts and module.training:
            raise RefusedError(f"this {type(module).__name__} is in training mode in spite of eval()")
        if isinstance(module, nn.MaxPool2d) and module.return_indices:
            raise RefusedError("a max pool must have dilation=1 and return_indices=False")
        if not isinstance(result, Tensor):
            raise RefusedError(f"{type(module).__name__} has no integer form")
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            return build.weighted(name, module, x, value)
        if is_activation_quantizer(module):
            return build.activation(name, module, x)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            return build.norm(name, module, x)
        if isinstance(module, SubsampleAndPad):
            return build.subsample(name, x, (2, 2), module.channels)
        if isinstance(module, nn.Identity | nn.modules.dropout._DropoutNd):
            return x
        if isinstance(module, nn.Flatten) and result.shape == value.flatten(1).shape:
            return x if value.dim() == 2 else build.flatten(name, x, value)
        if isinstance(module, nn.MaxPool2d):
            options = {key: getattr(module, key) for key in _POOL[1:]}
            return self._max_pool(name, x, value, result, options)
        if isinstance(module, nn.AvgPool2d):
            return self._average_pool(name, x, value, result, {key: getattr(module, key) for key in _AVERAGE[1:]})
        if isinstance(module, nn.AdaptiveAvgPool2d):
            return self._adaptive(name, x, value, result)
        if type(module) in (nn.Conv2d, nn.Linear, nn.ReLU, nn.ReLU6) or _is_clip(module):
            raise RefusedError(
                f"this {type(module).__name__} stays in full precision; give it bits in the plan "
                '(edges "8" or "same" for the first and last layer)'
            )
        raise RefusedError(f"{type(module).__name__} has no integer form")

    def _add(self, owner: str, read: Read, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Symbol:
        given = bound(("input", "other"), args, kwargs)
        symbols = {id(value): symbol for value, symbol in read}
        left, right = given["input"], given["other"]
        if id(left) not in symbols or id(right) not in symbols:
            raise RefusedError("a sum must be of two maps that depend on the image, into a tensor of its own")
        if given.get("alpha", 1) != 1:
            raise RefusedError(f"a sum must have alpha=1; got {given['alpha']}")
        return self.builder.add(owner, symbols[id(left)], symbols[id(right)], left, right)

    def _mean(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        dims = given.get("dim")
        dims = dims if isinstance(dims, tuple | list) else (dims,)
        if value.dim() != 4 or None in dims or {dim % 4 for dim in dims} != {2, 3}:
            raise RefusedError(f"a mean must be over height and width, the axes (2, 3); got {given.get('dim')}")
        pooled = self.builder.average_pool(name, x, adaptive(value.shape[2], 1), adaptive(value.shape[3], 1))
        return pooled if result.dim() == 4 else self.builder.flatten(f"{name}.flat", pooled, value)

    def _max_pool(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        if pair(given.get("dilation", 1)) != (1, 1) or given.get("return_indices"):
            raise RefusedError("a max pool must have dilation=1 and return_indices=False")
        kernel, stride, padding = _windows(value, result, given)
        return self.builder.max_pool(name, x, kernel, stride, padding)

    def _average_pool(self, name: str, x: Symbol, value: Tensor, result: Tensor, given: dict[str, Any]) -> Symbol:
        kernel = pair(given["kernel_size"])
        stride, padding = pair(given.get("stride") or kernel), pair(given.get("padding", 0))
        counted, divisor = given.get("count_include_pad", True), given.get("divisor_override") or 1
        if divisor < 1:
            raise RefusedError(
                f"divisor_override must be at least 1; got {divisor}; leave it out to divide by the size of the window"
            )
        rows, columns = (
            sliding(value.shape[2 + i], result.shape[2 + i], kernel[i], stride[i], padding[i], counted=counted)
            for i in (0, 1)
        )
        if given.get("divisor_override"):
            rows, columns = rows.summed(), columns.summed()
        return self.builder.average_pool(name, x, rows, columns, divisor)

    def _adaptive(self, name: str, x: Symbol, value: Tensor, result: Tensor) -> Symbol:
        rows, columns = (adaptive(value.shape[axis], result.shape[axis]) for axis in (2, 3))
        return self.builder.average_pool(name, x, rows, columns)

    def _attempt(self, owner: str, make: Callable[[], Symbol], read: Read) -> Symbol:
        """What `make` makes; where it refuses, its reasons are noted, and the result is taken for codes of some kind.

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
        leaf = _is_leaf(module)
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
            made = self._layer(name, module, symbol, value, output)
        except RefusedError as refusal:
            self.tracked.report(name, refusal)
            made = UNKNOWN
        for tensor in touched:
            self.tracked.set(tensor, left_behind(self.tracked.symbol(tensor), made, name, ""))
        for tensor in results:
            self.tracked.set(tensor, made)

    @contextmanager
    def _unseen(self) -> Iterator[None]:
        """What is called in the block is ours, not the network's."""
        self.quiet += 1
        try:
            yield
        finally:
            self.quiet -= 1


_FICKLE = (
    "two passes do not call the same layers and functions; what a network calls must not depend on the pixels, on "
    "chance, or on earlier calls"
)
_HOOKED = "a forward hook of its own changes what it computes; put the change into the forward of a module"


def _adds_zero(value: Tensor, given: dict[str, Any]) -> bool:
    """Whether a sum is one with the number 0, with which Python's `sum` begins."""
    other = given.get("other") if given.get("input") is value else given.get("input")
    return isinstance(other, int) and other == 0


def _is_clip(module: nn.Module) -> bool:
    """Whether a plan could give bits to a Hardtanh."""
    return type(module) is nn.Hardtanh and module.min_val == 0


def _is_leaf(module: nn.Module) -> bool:
    """Whether a module counts as one operation: all of torch's own but containers, and all of ours."""
    for ours in (QuantizedConv2d, QuantizedLinear, SubsampleAndPad):
        if isinstance(module, ours):
            return type(module).forward is ours.forward  # a subclass may compute something else
    if is_activation_quantizer(module):
        return True
    return type(module).__module__.startswith("torch.nn.") and not isinstance(
        module, nn.Sequential | nn.ModuleList | nn.ModuleDict
    )


def _windows(value: Tensor, result: Tensor, given: dict[str, Any]) -> tuple[Pair, Pair, Pair]:
    """(kernel, stride, padding) of a pool."""
    kernel = pair(given["kernel_size"])
    stride = pair(given.get("stride") or kernel)
    padding = pair(given.get("padding", 0))
    expected = tuple((value.shape[2 + i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1))
    if tuple(result.shape[2:]) != expected:
        raise RefusedError("a pool with ceil_mode=True must not have windows that stand over the edge")
    return kernel, stride, padding
