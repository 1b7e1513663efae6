"""How far the integers are from fake quantization, tensor by tensor: the last line of defence against a wrong graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from glassbit._count import counted
from glassbit._errors import ExportError
from glassbit._foreign import told
from glassbit._modes import evaluating
from glassbit.models import Classifier, to_unit
from glassbit.quant import QuantizedConv2d, QuantizedLinear

from ._beside import Distance, Walk
from ._causes import cause
from ._fold import Folding, Normalization
from ._folded import FoldedReadout
from ._symbols import Accumulators
from ._trace import follow

_IMAGES = 16
_UNSEEN = 0.01


@torch.no_grad()
def compare(model: nn.Module, folding: Folding, images: Shaped[Tensor, "n c h w"]) -> tuple[Distance, ...]:
    """Return the distance of each tensor; see `distances`.

    Args:
        model: the fake-quantized twin, after `check_intact`.
        folding: of its steps; it is run here.
        images: uint8 or in [0, 1]; the first 16 are used.

    Raises:
        ExportError: the network has no integer form, or computes something else than what was watched.
    """
    if Normalization.of(model, images.shape[1]) != folding.normalization:
        raise ExportError([_MOVED])
    images = images[:_IMAGES]
    walk = Walk(folding, images)
    weights = [*walk.compare_weights()]
    with _fixed({layer: integers for layer, (integers, _) in walk.weights.items()}):
        _, twins = follow(model, images, zero=folding.normalization.zero)
        readout = walk.steps[-1]
        assert isinstance(readout, FoldedReadout)
        last = [value for symbol, value in twins if isinstance(symbol, Accumulators) and symbol.name == readout.name]
        _check_unwatched(model, images, last[-1])
    return *weights, *walk.compare(twins)


def check(model: nn.Module, folding: Folding, images: Shaped[Tensor, "n c h w"], *, fresh: bool = False) -> None:
    """Refuse an integer network that does not compute what the fake-quantized one does; see `compare`.

    Args:
        model, folding, images: as in `compare`.
        fresh: whether clipping levels may still be those of a new network, in whose coarse steps biases vanish.

    Raises:
        ExportError: a tensor is further away than rounding explains; the text names the first.
    """
    for tensor in compare(model, folding, images):
        off = tensor.without_biases if fresh else tensor.off
        if off <= tensor.limit:
            continue
        got = f"{off:.1%} on {counted(min(len(images), _IMAGES), 'image')}"
        must = f"its integer {tensor.what} must be within {tensor.limit:.0%} of fake quantization"
        raise ExportError([f"{tensor.name}: {must}; got {got}. {cause(tensor, folding)}"])


def _check_unwatched(model: nn.Module, images: Tensor, watched: Tensor) -> None:
    """Refuse a model whose logits, when it is simply called, are not those of its network as it was watched.

    Args:
        model: the fake-quantized twin.
        images: as it takes them.
        watched: the logits that the network had on them.

    Raises:
        ExportError: they differ.
    """
    with evaluating(model):
        try:
            images = images.to(watched.device)
            images = images if len(images) == len(watched) else images.repeat(len(watched), 1, 1, 1)  # as `follow` does
            plain = model(images if isinstance(model, Classifier) else to_unit(images).float())
        except Exception as error:
            raise ExportError(
                [f"{type(model).__name__}: must run on the images when it is called; got: {told(error)}; repair it"]
            ) from error
    twin = watched.double()
    same_form = isinstance(plain, Tensor) and plain.shape == twin.shape
    off = float((plain.double() - twin).norm() / twin.norm().clamp(min=1e-12)) if same_form else float("inf")
    if not off <= _UNSEEN:
        raise ExportError([f"{type(model).__name__}: {_OUTSIDE.format(off=off, images=counted(len(images), 'image'))}"])


_MOVED = (
    "Deployed: mean and std must be those that it was made with; those of its Classifier were changed since; make a "
    "new Deployed"
)
_OUTSIDE = (
    "its logits must be those of its network; got {off:.1%} between them on {images}. Something outside the network's "
    "own layers and functions, or that runs only while nothing watches, changes them; take it out, or make it a layer "
    "of the network"
)


@contextmanager
def _fixed(weights: Mapping[QuantizedConv2d | QuantizedLinear, Tensor]) -> Iterator[None]:
    """Inside the block, layers compute with these weights instead of their quantizers'."""
    fixed: list[tuple[nn.Module, Tensor]] = [(layer.quantizer, values) for layer, values in weights.items()]
    try:
        for quantizer, values in fixed:
            quantizer.forward = lambda _, values=values: values
        yield
    finally:
        for quantizer, _ in fixed:
            del quantizer.forward  # the class's own is behind it
