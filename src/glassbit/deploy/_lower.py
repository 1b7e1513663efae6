"""Writing a network down as integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, assert_never

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor, nn

from glassbit import intgraph
from glassbit._arguments import is_whole, require
from glassbit._count import counted
from glassbit._errors import ExportError, GraphError, UsageError
from glassbit._inputs import check_images, check_network
from glassbit._random import derive
from glassbit._sound import copied
from glassbit._text import listed
from glassbit.intgraph import (
    About,
    AveragePool,
    Flatten,
    Input,
    IntGraph,
    MaxPool,
    Multiply,
    Node,
    Preprocessing,
    Select,
    Subsample,
    SumPool,
)

from ._deployed import Deployed
from ._fidelity import check
from ._folded import Folded, FoldedCurve, FoldedLayer, FoldedReadout, FoldedRequantizer, FoldedSum
from ._geometry import shortest
from ._intact import changes, check_intact
from ._program import Affine, Join, Operand
from ._torch_graph import TorchGraph

_NOISE = 4


def lower(
    model: nn.Module,
    *,
    images: Shaped[Tensor, "n c h w"] | None = None,
    classes: Sequence[str] | None = None,
    preprocessing: Preprocessing | None = None,
    about: About | None = None,
) -> IntGraph:
    """Return the integer graph of a network: exactly that of a `Deployed`; another quantized network is converted.

    The network is read on the CPU and left as it is. Converting rounds multipliers and what is summed; training for a
    while as `Deployed` takes that into account.

    Args:
        model: a `Deployed`, a `Classifier` with a quantized network, or a quantized network on images in [0, 1].
        images: uint8 or in [0, 1], to convert with: needed where branches are summed; a `Deployed` has seen them.
        classes: the names of the logits; "0", "1", ... when left out.
        preprocessing: what an image file goes through before; when left out, the shape of the images, cropped.
        about: where the network comes from.

    Raises:
        UsageError: something in the network has no integer form, an argument is missing or does not fit, or a layer's
            integers are further from fake quantization than rounding explains.
        GraphError: the integers break a rule of the graph, or do not give the logits of the `Deployed`, bit for bit.

    Example:
        >>> from glassbit import models
        >>> from glassbit.intgraph import Preprocessing
        >>> from glassbit.quant import Plan, quantize_
        >>> model = models.Classifier(models.cnn_bn(), mean=(0.3,), std=(0.3,))
        >>> _ = quantize_(model.network, Plan.named("w4a4"))
        >>> graph = lower(model, preprocessing=Preprocessing(channels=1, height=28, width=28))
        >>> [type(node).__name__ for node in graph.nodes[:3]]
        ['Input', 'Conv', 'Requantize']
    """
    check_network("lower", model)
    _check_words(classes, preprocessing, about)
    if images is not None:
        shape = model.image_shape if isinstance(model, Deployed) else None
        images = check_images("lower", images, shape=shape, arrays=True, meta=False)
    if isinstance(model, Deployed):
        problems = [*changes(model, "Deployed", Deployed, "forward")]
        if problems:
            raise ExportError(problems)
        check_intact(model.classifier)
    deployed = model if isinstance(model, Deployed) else _converted(model, images, preprocessing)
    deployed = copied("lower", deployed).cpu().eval()
    for name, tensor in deployed.state_dict().items():
        if not tensor.isfinite().all():
            raise UsageError(f"lower: {name} must hold finite values; got NaN or infinity, as its training diverged")
    nodes = integer_nodes(deployed)
    readout = nodes[-1]
    assert isinstance(readout, intgraph.Logits)
    names = tuple(map(str, range(len(readout.bias)))) if classes is None else tuple(classes)
    if len(names) != len(readout.bias):
        raise UsageError(
            f"lower: classes must be {counted(len(readout.bias), 'name')}, one per logit; got {len(names)}"
        )
    preprocessing = preprocessing or Preprocessing(*deployed.image_shape)
    told = (preprocessing.channels, preprocessing.height, preprocessing.width)
    if told != deployed.image_shape:
        raise UsageError(
            f"lower: preprocessing must make images of {deployed.image_shape}, which the network reads; got {told}"
        )
    graph = IntGraph(nodes, names, preprocessing, about or About())
    noise = _noise(deployed.image_shape)
    if isinstance(model, Deployed):  # its weights may have changed since it was made
        check(deployed.classifier, deployed.folding(), noise if images is None else images)
    _check_bits(deployed, graph, noise)
    return graph


def _check_words(classes: Any, preprocessing: Any, about: Any) -> None:
    named = isinstance(classes, Sequence) and not isinstance(classes, str) and all(isinstance(c, str) for c in classes)
    must, repair = "a sequence of names, or None", 'pass one, such as ("cat", "dog")'
    require("lower", "classes", classes is None or named, must, classes, repair)
    must, repair = "a glassbit.intgraph.Preprocessing, or None", "leave it out for the shape of the images, cropped"
    holds = preprocessing is None or isinstance(preprocessing, Preprocessing)
    require("lower", "preprocessing", holds, must, preprocessing, repair)
    if preprocessing is not None:
        for name in ("channels", "height", "width"):
            value, repair = getattr(preprocessing, name), "use the shape of the images"
            require("lower", f"preprocessing.{name}", is_whole(value, 1), "a whole number of at least 1", value, repair)
    must, repair = "a glassbit.intgraph.About, or None", "leave it out"
    require("lower", "about", about is None or isinstance(about, About), must, about, repair)


def _noise(shape: tuple[int, int, int]) -> Tensor:
    """Return a few images of nothing but noise."""
    generator = torch.Generator().manual_seed(derive("lower"))
    return torch.randint(0, 256, (_NOISE, *shape), dtype=torch.uint8, generator=generator)


def _check_bits(deployed: Deployed, graph: IntGraph, noise: Tensor) -> None:
    """Refuse a graph whose logits are not those of the network that it was written from.

    Raises:
        GraphError: they differ.
    """
    with torch.no_grad():
        wanted, got = deployed(noise), TorchGraph(graph)(noise)
    if not torch.equal(wanted, got):
        apart = float((wanted - got).abs().max())
        raise GraphError(
            [f"logits: must be those of the deployed network, bit for bit; got {apart:.3g} between them; report this"]
        )


@torch.no_grad()
def integer_nodes(deployed: Deployed) -> tuple[Node, ...]:
    """Return the nodes of a network on the CPU; that they obey the rules of a graph is not checked."""
    sources: dict[str, str] = {}
    nodes = []
    for step in deployed.folding().run():
        if isinstance(step, Affine):  # the same integers under another name
            sources[step.name] = sources.get(step.input, step.input)
        else:
            nodes.append(_renamed(_node(step), sources))
    return tuple(nodes)


def _renamed(node: Node, sources: Mapping[str, str]) -> Node:
    """Return a node that reads integers by the names of the tensors that hold them."""
    names: dict[str, Any] = {
        field.name: _source(getattr(node, field.name), sources)
        for field in fields(node)
        if field.name in ("input", "left", "right", "inputs")
    }
    return replace(node, **names)


def _source(names: str | tuple[str, ...], sources: Mapping[str, str]) -> str | tuple[str, ...]:
    return sources.get(names, names) if isinstance(names, str) else tuple(sources.get(name, name) for name in names)


def _converted(model: nn.Module, images: Tensor | None, preprocessing: Preprocessing | None) -> Deployed:
    if images is not None:
        return Deployed(copied("lower", model), images)
    if preprocessing is None:
        raise UsageError("lower: images or preprocessing must be given, to know the size of images; got neither")
    shape = (preprocessing.channels, preprocessing.height, preprocessing.width)
    deployed = Deployed(copied("lower", model), _noise(shape))
    signed = [step.input for step in deployed.program.steps if isinstance(step, Operand)]
    if signed:
        raise UsageError(
            "lower: images must be given, to find the range of signed values "
            f"({listed(signed, longest=60)}); got none; pass a few hundred, or make a Deployed from them and train it"
        )
    return deployed


def _node(step: Folded) -> Node:
    match step:
        case FoldedLayer():
            at, weights = step.step, _weights(step)
            if step.weights.dim() == 2:
                return intgraph.Linear(at.name, at.input, weights)
            padding = shortest(at.padding)
            return intgraph.Conv(at.name, at.input, weights, at.stride, padding, step.groups, at.dilation)
        case FoldedRequantizer():
            bias, multiplier, exponent = map(_int32, (step.bias, step.multiplier, step.exponent))
            low, high = step.numbers.low, step.numbers.high
            return intgraph.Requantize(step.name, step.step.input, bias, multiplier, exponent, low, high)
        case FoldedSum():
            return intgraph.Sum(step.name, step.step.inputs, tuple(map(int, step.shifts)))
        case FoldedCurve():
            low, high = step.window
            return intgraph.Lookup(step.name, step.step.input, _int32(step.table), step.slopes.numpy(), low, high)
        case Join():
            return intgraph.Concat(step.name, step.inputs)
        case FoldedReadout():
            scale = step.scale.numpy().astype(np.float32)
            return intgraph.Logits(step.name, step.step.input, _int32(step.bias), scale)
        case Input() | MaxPool() | AveragePool() | SumPool() | Subsample() | Flatten() | Select() | Multiply():
            return step
        case Affine():
            raise AssertionError("it is the same integers under another name")
        case _:
            assert_never(step)


def _weights(step: FoldedLayer) -> intgraph.Weights:
    values = step.weights.long().numpy()
    offset = 2**step.bits - 1 if step.grid == "odd" else 2 ** (step.bits - 1)
    codes = (values + offset) // (2 if step.grid == "odd" else 1)
    return intgraph.Weights(codes.astype(np.uint8), step.bits, step.grid)


def _int32(values: Tensor) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return values.numpy().astype(np.int32)
