"""Following images through a network: its program, and whether every pass has the same one."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from glassbit._errors import ExportError, UsageError
from glassbit._modes import evaluating
from glassbit.models import Classifier, to_unit
from glassbit.quant import quantizers

from ._program import Program
from ._recorder import Recorder
from ._symbols import Symbol

_BATCH = 64
_TWICE = 2
_FEW = 3
_NUMBERS = (1, 2, 3, 17)
"""Of images: a network must call the same for each, however many it is converted with."""


def trace(model: nn.Module, images: Shaped[Tensor, "n c h w"], *, zero: int) -> Program:
    """Return the program of a quantized network, in eval mode, from runs on `images`.

    The network runs as it is, so Python of any kind may decide what it calls, as long as the pixels do not. It runs
    again on other numbers of images and with gradients on: a network that then calls other things, or that keeps
    something from one pass for the next, has no place in an exported one.

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
    """Return the program, and every tensor that the network computed on the first images, at most 64.

    Raises:
        UsageError: as `trace`.
    """
    return next(_followed(model, images, zero, keep=True))


def _followed(
    model: nn.Module, images: Tensor, zero: int, *, keep: bool
) -> Iterator[tuple[Program, tuple[tuple[Symbol, Tensor], ...]]]:
    if next(quantizers(model), None) is None:
        raise UsageError(
            "deploy: the network must be quantized; got one that is not; call quantize_(model.network, plan) and "
            "train it"
        )
    network = model.network if isinstance(model, Classifier) else model
    device = next((parameter.device for parameter in model.parameters()), images.device)
    batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    first: tuple[Tensor, _Passed] | None = None
    with evaluating(model), torch.no_grad():
        for batch in batches:
            x = to_unit(batch.to(device))
            x = x if len(x) > 1 else x.repeat(_TWICE, 1, 1, 1)  # one image cannot tell the batch from other axes
            x = (model.normalize(x) if isinstance(model, Classifier) else x).float()
            recorder = Recorder(network, x, zero, keep=keep)
            program = recorder.run()
            first = first or (x, _Passed(repr(program.steps), recorder.log))
            if repr(program.steps) != first[1].steps:
                raise _differs(network, _FICKLE)
            yield program, tuple(recorder.tracked.kept)
        if first is not None:
            _pass_again(network, *first, zero)


@dataclass(frozen=True)
class _Passed:
    """What a forward pass called.

    Args:
        steps: of its program; empty where it has none.
        log: (layer, function) of every call.
    """

    steps: str
    log: list[tuple[str, str]]

    def is_like(self, first: _Passed) -> bool:
        """Whether it called the same as the first pass, as far as it came."""
        return self.steps == first.steps if self.steps else self.log == first.log[: len(self.log)]


def _pass_again(network: nn.Module, x: Tensor, first: _Passed, zero: int) -> None:
    """Refuse a network that calls other things in other passes, or keeps something from one to the next.

    Raises:
        ExportError: with what the calls depend on.
    """

    def run(x: Tensor) -> _Passed:
        recorder = Recorder(network, x, zero)
        try:
            return _Passed(repr(recorder.run().steps), recorder.log)
        except ExportError:  # one image, say, cannot tell the batch from other axes
            return _Passed("", recorder.log)

    def steady(x: Tensor) -> bool:
        return all(run(x).is_like(first) for _ in range(_TWICE))

    def compare(x_now: Tensor, reason: str) -> _Passed:
        passed = run(x_now)
        if not passed.is_like(first):
            raise _differs(network, reason if steady(x) else _FICKLE)
        return passed

    enough = torch.cat([x] * -(-max(_NUMBERS) // len(x)))
    few = enough[: _FEW if len(x) != _FEW else _TWICE]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they were given in the first pass
        settled = few if compare(few, _BY_NUMBER).steps else x
        if settled is x:
            run(x)
        kept = Recorder(network, settled, zero, again=True).run()
        if repr(kept.steps) != first.steps:
            raise _differs(network, _FICKLE)
        for number in _NUMBERS:
            if number not in (len(x), len(few)):
                compare(enough[:number], _BY_NUMBER)
        with torch.enable_grad():
            passed = run(few)
        if not passed.is_like(first):
            raise _differs(network, _BY_GRADIENT if steady(few) else _FICKLE)


def _differs(network: nn.Module, reason: str) -> ExportError:
    return ExportError([f"{type(network).__name__}: {reason}"])


_FICKLE = (
    "two passes do not call the same layers and functions; what a network calls must not depend on the pixels, on "
    "chance, or on earlier calls"
)
_BY_NUMBER = (
    "what it calls depends on the number of images (another one calls other layers and functions), and an exported "
    "network is the same for any; take out what asks for the batch size"
)
_BY_GRADIENT = (
    "what it calls depends on whether gradients are on (torch.is_grad_enabled()), and an exported network has none; "
    "ask self.training instead"
)
