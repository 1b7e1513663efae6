"""Which versions of ONNX Runtime load a file of ours."""

from __future__ import annotations

from glassbit.intgraph import IntGraph

_LOADS = {2: "1.24.1", 4: "1.23.0", 8: "1.19.2"}
"""By packed bits, the oldest version that was measured to load such weights and to give equal logits."""
_EXPLAINS = {**_LOADS, 8: "1.21.0"}
"""The same with a saliency map, whose masks need `Equal` for uint8."""


def packed_bits(graph: IntGraph) -> int:
    """Return the fewest bits that weights of the network are packed at in an ONNX file: 2, 4 or 8."""
    return min((layer.onnx_bits for layer in graph.certificate.layers), default=8)


def oldest_onnxruntime(graph: IntGraph, *, explain: bool) -> str:
    """Return the oldest version of ONNX Runtime that loads the network's ONNX file, e.g. "1.23.0".

    Args:
        graph: the network.
        explain: whether the file returns a saliency map.
    """
    return (_EXPLAINS if explain else _LOADS)[packed_bits(graph)]
