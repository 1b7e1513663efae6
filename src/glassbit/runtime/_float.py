"""The same network in float32: what its speed and its file size are measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glassbit._takes import takes
from glassbit.intgraph import IntGraph

from ._extras import need
from ._kinds import GRAPH
from ._names import IMAGE, LOGITS

if TYPE_CHECKING:
    import onnx


@takes(graph=GRAPH)
def float_twin(graph: IntGraph) -> onnx.ModelProto:
    """Return the network that full precision would have run: `Conv`, `Relu`, `Add`, `MaxPool`, `AveragePool`, `Gemm`,
    and `MatMul` for means over windows of several sizes.

    Weights are float32 initializers, requantizers become bias and ReLU, and nothing is rounded or clipped from above;
    so its logits are near those of the graph where its windows do not clip much. It takes the same uint8 images.

    Args:
        graph: the network.

    Raises:
        UsageError: the package onnx is not installed.
    """
    onnx = need("onnx", "The float twin")
    from onnx import TensorProto, helper

    from ._float_body import FloatForward

    twin = FloatForward(graph)
    shape = twin.tensors[graph.nodes[0].name].shape
    inputs = [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["n", *shape])]
    outputs = [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["n", len(graph.classes)])]
    model = helper.make_model(
        helper.make_graph(twin.body.nodes, "float", inputs, outputs, twin.body.initializers),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
        producer_name="glassbit",
    )
    onnx.checker.check_model(model, full_check=True)
    return model
