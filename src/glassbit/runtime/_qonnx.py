"""An integer network in QONNX: float32 operators on integers, with `Quant` nodes where integers are made.

For tools that read quantization from the graph (FINN, hls4ml); ONNX Runtime alone does not run it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from glassbit._arguments import require
from glassbit._errors import UsageError
from glassbit._files import replacing
from glassbit._takes import PATH, takes
from glassbit.intgraph import EXACT, IntGraph, Logits, Requantize, TensorInfo, power

from ._extras import need
from ._names import IMAGE, LOGITS, QONNX

if TYPE_CHECKING:
    import onnx


@takes(path=PATH)
def export_qonnx(graph: IntGraph, path: str | Path) -> None:
    """Write a network as a QONNX file; see `qonnx_model`.

    Args:
        graph: the network.
        path: of the file, which is afterwards whole or as it was before.

    Raises:
        UsageError: as `qonnx_model`.
    """
    model = qonnx_model(graph)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def qonnx_model(graph: IntGraph) -> onnx.ModelProto:
    """Return the network for one image, whose codes and logits in QONNX's own executor are those of `graph.run`.

    The input `image` holds pixels 0..255 as float32. Weights are `Quant` nodes over their integers W; a requantizer is
    `Mul m 2^-e -> Quant`, with `rounding_mode="ROUND"`, which rounds halves to even.

    Args:
        graph: the network.

    Raises:
        UsageError: the package onnx is not installed, or the accumulators of a layer do not fit into float32.
    """
    must, repair = "a glassbit.IntGraph", "lower the network first, glassbit.lower(model, ...)"
    require("qonnx_model", "graph", isinstance(graph, IntGraph), must, graph, repair)
    onnx = need("onnx", "A QONNX file")
    from onnx import TensorProto, helper

    from ._qonnx_body import QuantForward

    _check(graph)
    forward = QuantForward(graph)
    shape = forward.tensors[graph.nodes[0].name].shape
    model = helper.make_model(
        helper.make_graph(
            forward.body.nodes,
            "glassbit",
            [helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, [1, *shape])],
            [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, [1, len(graph.classes)])],
            forward.body.initializers,
        ),
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(QONNX, 1)],
        ir_version=10,
        producer_name="glassbit",
    )
    onnx.checker.check_model(model)
    return model


def _check(graph: IntGraph) -> None:
    """Every accumulator, with its bias, is an integer that float32 holds."""
    tensors = graph.tensors()
    wide = [
        f"{reach} in {node.input}, with its bias"
        for node in graph.nodes
        if isinstance(node, Requantize | Logits) and (reach := _reach(node, tensors[node.input])) >= EXACT
    ]
    if wide:
        raise UsageError(
            f"QONNX: accumulators must be below {power(EXACT)}, as QONNX computes in float32; got {', '.join(wide)}"
        )


def _reach(node: Requantize | Logits, read: TensorInfo) -> int:
    """Return the largest |accumulator|, of all pixels where they are added, and |bias| together."""
    return read.bound * (read.pixels if isinstance(node, Logits) else 1) + int(np.abs(node.bias.astype(np.int64)).max())
