"""An integer network as an ONNX file."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbit._arguments import require
from glassbit._files import replacing
from glassbit._takes import PATH, SWITCH, takes
from glassbit.intgraph import IntGraph

from ._extras import need
from ._loads import oldest_onnxruntime, packed_bits
from ._names import FORMAT, FORMAT_VERSION, IMAGE, LOGITS, SALIENCY, TARGET

if TYPE_CHECKING:
    import onnx


@takes(path=PATH, explain=SWITCH)
def export_onnx(graph: IntGraph, path: str | Path, *, explain: bool = False) -> None:
    """Write a network as an ONNX file; see `onnx_model`.

    Args:
        graph: the network.
        path: of the file, which is afterwards whole or as it was before.
        explain: with the saliency map as a second output.

    Raises:
        UsageError: the package onnx is not installed.
    """
    model = onnx_model(graph, explain=explain)
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


@takes(explain=SWITCH)
def onnx_model(graph: IntGraph, *, explain: bool = False) -> onnx.ModelProto:
    """Return a network in standard ONNX operators, whose logits are those of `graph.run`, bit for bit.

    Inputs: `image`, uint8 `(n, c, h, w)`; with `explain` also `target`, int64 `(n)` or `(1)`: the class whose logit is
    explained, -1 for the predicted one. Outputs: `logits`, float32 `(n, k)`; with `explain` also `saliency`, float32
    `(n, h, w)`, the map of `graph.saliency`. No input has a default: ONNX Runtime would warn of it at each load, and
    onnxruntime-web could not feed it.

    Args:
        graph: the network.
        explain: with the saliency map.

    Raises:
        UsageError: the package onnx is not installed.
    """
    must, repair = "a glassbit.IntGraph", "lower the network first, glassbit.lower(model, ...)"
    require("onnx_model", "graph", isinstance(graph, IntGraph), must, graph, repair)
    onnx = need("onnx", "An ONNX file")
    from onnx import TensorProto, helper

    from ._onnx_forward import Forward
    from ._onnx_saliency import append_saliency

    forward = Forward(graph)
    channels, height, width = forward.tensors[graph.nodes[0].name].shape
    inputs = [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["n", channels, height, width])]
    outputs = [helper.make_tensor_value_info(LOGITS, TensorProto.FLOAT, ["n", len(graph.classes)])]
    if explain:
        append_saliency(graph, forward)
        inputs.append(helper.make_tensor_value_info(TARGET, TensorProto.INT64, ["targets"]))
        outputs.append(helper.make_tensor_value_info(SALIENCY, TensorProto.FLOAT, ["n", height, width]))
    body = forward.body
    two_bits = packed_bits(graph) == 2
    model = helper.make_model(
        helper.make_graph(body.nodes, "glassbit", inputs, outputs, body.initializers),
        opset_imports=[helper.make_opsetid("", 25 if two_bits else 21)],
        ir_version=13 if two_bits else 10,
        producer_name="glassbit",
    )
    helper.set_model_props(model, _metadata(graph, explain=explain))
    onnx.checker.check_model(model, full_check=True)
    return model


def _metadata(graph: IntGraph, *, explain: bool) -> dict[str, str]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "classes": _json(graph.classes),
        "preprocessing": _json(asdict(graph.preprocessing)),
        "plan": graph.about.plan,
        "network": graph.about.network,
        "onnxruntime": f">={oldest_onnxruntime(graph, explain=explain)}",
        **({"notes": _json(graph.about.notes)} if graph.about.notes else {}),
        "certificate": _json(asdict(graph.certificate)),
    }


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
