"""An integer graph in PyTorch."""

from __future__ import annotations

from typing import assert_never

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from glassbit._inputs import PixelNetwork
from glassbit._takes import check_kind, instance
from glassbit.intgraph import (
    EXACT,
    AveragePool,
    Concat,
    Conv,
    Flatten,
    Input,
    IntGraph,
    Linear,
    Logits,
    Lookup,
    MaxPool,
    Multiply,
    Node,
    Requantize,
    Select,
    Subsample,
    Sum,
    SumPool,
    inputs,
)

from . import _ops
from ._incoming import check_pass

GRAPH = instance(IntGraph, "a glassbit.IntGraph", "lower the network first, glassbit.lower(model, ...)")


class TorchGraph(PixelNetwork):
    """Runs an `IntGraph` on a CPU or GPU: the logits of `IntGraph.run`, to the bit, and the gradient of
    `IntGraph.saliency`.

    It has no parameters; its buffers are the integers of the graph, and not part of a `state_dict`.

    Args:
        graph: the graph.

    Example:
        >>> import torch
        >>> from glassbit import models
        >>> from glassbit.deploy import lower
        >>> from glassbit.intgraph import Preprocessing
        >>> from glassbit.quant import Plan, quantize_
        >>> model = models.Classifier(models.cnn_bn(), mean=(0.3,), std=(0.3,))
        >>> _ = quantize_(model.network, Plan.named("w4a4"))
        >>> graph = lower(model, preprocessing=Preprocessing(channels=1, height=28, width=28))
        >>> TorchGraph(graph)(torch.zeros(2, 1, 28, 28, dtype=torch.uint8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, graph: IntGraph) -> None:
        check_kind("TorchGraph", "graph", GRAPH, graph)
        super().__init__()
        self._looked = False
        self.graph = graph
        self._infos = graph.tensors()
        self._index = {node.name: index for index, node in enumerate(graph.nodes)}
        self._bounds: dict[str, int] = {}
        for node in graph.nodes:
            self._prepare(node)

    def _prepare(self, node: Node) -> None:
        """Keep the integers of a node, and how large what it computes can become."""
        match node:
            case Conv() | Linear():
                read, values = self._infos[node.input], node.weights.values
                self._bounds[node.name] = read.bound * int(abs(values).reshape(len(values), -1).sum(1).max())
                self._keep(node, weights=torch.from_numpy(values).float())
            case Requantize():
                self._bounds[node.name] = max(self._infos[node.input].bound, int(abs(node.bias.astype(int)).max()))
                factor = node.multiplier / 2.0**node.exponent
                self._keep(node, bias=torch.from_numpy(node.bias), factor=torch.from_numpy(factor))
            case Logits():
                self._keep(node, bias=torch.from_numpy(node.bias), scale=torch.from_numpy(node.scale))
            case Lookup():
                table = torch.from_numpy(node.table).float()
                self._keep(node, table=table, slopes=torch.from_numpy(node.slopes))
            case (
                Input()
                | Sum()
                | Multiply()
                | Concat()
                | Select()
                | MaxPool()
                | AveragePool()
                | SumPool()
                | Subsample()
                | Flatten()
            ):
                pass  # no integers of their own
            case _:
                assert_never(node)

    def forward(self, images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """Images, uint8 or in [0, 1], to logits.

        Raises:
            UsageError: images of another shape than the graph reads, or floats outside [0, 1], which would be clipped;
                not looked at where a gradient is asked for, and on a GPU in the first batch only.
        """
        channels, height, width = self._infos[self.graph.nodes[0].name].shape
        self._looked = check_pass("TorchGraph", images, (channels, height, width), looked=self._looked)
        x = _ops.pixels(images)
        with torch.autocast(images.device.type, enabled=False):
            return _ops.walk(self.graph.nodes, inputs, lambda node, read: self._execute(node, read or (x,)))

    def _execute(self, node: Node, read: tuple[Tensor, ...]) -> Tensor:
        x = read[0]
        match node:
            case Input():
                return x - node.zero if node.zero else x
            case Conv():
                weights, bound = self._kept(node, "weights"), self._bounds[node.name]
                return _ops.conv(
                    x,
                    weights,
                    stride=node.stride,
                    padding=node.padding,
                    dilation=node.dilation,
                    groups=node.groups,
                    bound=bound,
                )
            case Linear():
                weights, bound = self._kept(node, "weights"), self._bounds[node.name]
                return _ops.linear(x, weights, bound=bound)
            case Requantize():
                numbers = _ops.Requantizer(self._kept(node, "bias"), self._kept(node, "factor"), node.low, node.high)
                return _ops.requantize(x.double() if self._bounds[node.name] > EXACT else x, numbers)
            case Sum():
                wide = torch.float64 if self._infos[node.name].bound > EXACT else x.dtype
                total = x.to(wide) * (1 << node.shifts[0])
                for each, shift in zip(read[1:], node.shifts[1:], strict=True):
                    total = total + each.to(wide) * (1 << shift)
                return total
            case Concat():
                return torch.cat(read, 1)
            case Lookup():
                low = self._infos[node.input].low
                return _ops.look_up(x, self._kept(node, "table"), self._kept(node, "slopes"), low=low)
            case AveragePool():
                return _ops.pool(node, [x.double() if self._infos[node.name].bound > EXACT else x])
            case MaxPool() | SumPool() | Subsample() | Flatten() | Select() | Multiply():
                return _ops.pool(node, read)
            case Logits():
                return _ops.logits(x, self._kept(node, "bias"), self._kept(node, "scale"))
            case _:
                assert_never(node)

    def _keep(self, node: Node, **tensors: Tensor) -> None:
        for name, tensor in tensors.items():
            self.register_buffer(self._key(node, name), tensor, persistent=False)

    def _kept(self, node: Node, name: str) -> Tensor:
        return self.get_buffer(self._key(node, name))

    def _key(self, node: Node, name: str) -> str:
        """Return the name of a buffer, which must not hold dots."""
        return f"{name}_{self._index[node.name]}"
