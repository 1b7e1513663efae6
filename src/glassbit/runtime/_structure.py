"""What may stand in an ONNX file of Glassbit: the operators that it writes, of shapes that a machine can hold.

There are no loops and no branches among them, no functions, nothing of another domain, and every size follows from the
size of the image: so how long a file runs, and what memory it takes, is known before it runs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ._names import TARGET
from ._untrusted import short

if TYPE_CHECKING:
    import onnx

_POOL = ("kernel_shape", "pads", "strides")
_CONV = ("dilations", "group", "pads", "strides")
OPERATORS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("Add", "Clip", "DequantizeLinear", "Equal", "Expand", "Flatten", "Less", "MatMul"), ()),
    **dict.fromkeys(("MatMulInteger", "Mul", "OneHot", "Pad", "QuantizeLinear", "Reshape", "Size", "Slice"), ()),
    **dict.fromkeys(("Sub", "Sum", "Where"), ()),
    "ArgMax": ("axis", "keepdims"),
    "Cast": ("to",),
    "Concat": ("axis",),
    "ConstantOfShape": ("value",),
    "Conv": _CONV,
    "ConvInteger": _CONV,
    "ConvTranspose": (*_CONV, "output_padding"),
    "Gather": ("axis",),
    "GatherElements": ("axis",),
    "MaxPool": _POOL,
    "QLinearConv": _CONV,
    "ReduceL1": ("keepdims",),
    "ReduceSum": ("keepdims",),
    "ScatterElements": ("reduction",),
    "Transpose": ("perm",),
}
"""The operators that `export_onnx` writes, and their attributes."""

_OPSETS, _IR = range(21, 26), range(8, 14)
_NODES, _ELEMENTS, _ALL_ELEMENTS, _PRODUCTS = 20_000, 2**27, 2**31, 2**39
_SIDE = 2**16
_FIXED = {
    "Reshape": (1,),
    "Expand": (1,),
    "ConstantOfShape": (0,),
    "Pad": (1,),
    "Slice": (1, 2, 3, 4),
    "OneHot": (1,),
    "ReduceSum": (1,),
}
"""The inputs that decide on shapes, which must be constants of the file."""
_LOWEST = {"dilations": 1, "strides": 1, "kernel_shape": 1, "group": 1, "pads": 0, "output_padding": 0}


def problem(model: onnx.ModelProto) -> str | None:
    """Return what is wrong with a model of Glassbit's, the first thing that is found; None if nothing is."""
    return next(_problems(model), None)


def _problems(model: onnx.ModelProto) -> Iterator[str]:
    yield from _of_the_file(model)
    yield from _of_the_names(model)
    yield from _of_the_nodes(model)
    yield from _of_the_tensors(model)
    yield from _of_the_shapes(model)


def _of_the_file(model: onnx.ModelProto) -> Iterator[str]:
    domains = {entry.domain: entry.version for entry in model.opset_import}
    if len(domains) < len(model.opset_import):
        yield "has an operator set twice"
    if set(domains) != {""} or domains[""] not in _OPSETS or model.ir_version not in _IR:
        shown = short(", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in domains.items()))
        yield f"has the operator sets {shown or 'none'} and IR {model.ir_version}, which Glassbit does not write"
    if len(model.functions) or len(model.training_info) or len(model.graph.sparse_initializer):
        yield "has functions, training or sparse tensors, which Glassbit does not write"
    if len(model.graph.node) > _NODES:
        yield f"has {len(model.graph.node)} operators; at most {_NODES} are run"


def _of_the_names(model: onnx.ModelProto) -> Iterator[str]:
    """Every name stands for one thing: readers differ in which of two they take."""
    graph = model.graph
    tensors = [tensor.name for tensor in graph.initializer]
    inputs = [entry.name for entry in graph.input if entry.name != TARGET]  # which may have a default
    made = [name for node in graph.node for name in node.output if name]
    lists = [("tensor", [*tensors, *inputs, *made]), ("shape of", [entry.name for entry in graph.value_info])]
    lists += [(f"attribute of {node.op_type},", [entry.name for entry in node.attribute]) for node in graph.node]
    for kind, names in lists:
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            yield f"has the {kind} {short(twice[0])} twice"


def _of_the_tensors(model: onnx.ModelProto) -> Iterator[str]:
    from onnx import TensorProto

    bits = {
        TensorProto.FLOAT: 32, TensorProto.INT64: 64, TensorProto.INT32: 32, TensorProto.INT8: 8,
        TensorProto.UINT8: 8, TensorProto.UINT4: 4, TensorProto.UINT2: 2,
    }  # fmt: skip
    values = [attribute.t for node in model.graph.node for attribute in node.attribute if attribute.name == "value"]
    for tensor in [*model.graph.initializer, *values]:
        if tensor.data_type not in bits:
            yield f"has the tensor {short(tensor.name)} of the type {tensor.data_type}, which Glassbit does not write"
        elif len(tensor.dims) > 8 or any(not 0 < size <= 2**31 for size in tensor.dims):
            yield f"has the tensor {short(tensor.name)} of the shape {short(list(tensor.dims))}"
        elif sum(field.name.endswith("_data") for field, _ in tensor.ListFields()) > 1:
            yield f"has the tensor {short(tensor.name)} with its numbers twice"
        elif tensor.HasField("raw_data"):
            size = -(-math.prod(tensor.dims) * bits[tensor.data_type] // 8)
            if len(tensor.raw_data) != size:
                yield f"has the tensor {short(tensor.name)} of {len(tensor.raw_data)} bytes; its shape needs {size}"
        elif math.prod(tensor.dims) > _SIDE:
            yield f"has the tensor {short(tensor.name)} without its bytes"


def _of_the_nodes(model: onnx.ModelProto) -> Iterator[str]:
    constants = {tensor.name for tensor in model.graph.initializer}
    makers = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type not in OPERATORS or node.domain not in ("", "ai.onnx"):
            name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            yield f"has the operator {short(name)}, which Glassbit does not write"
            continue
        if not all(node.output) or not node.output:
            yield f"has an operator {node.op_type} whose result has no name"
        for attribute in node.attribute:
            if attribute.name not in OPERATORS[node.op_type]:
                yield f"has an operator {node.op_type} with the attribute {short(attribute.name)}, which is not read"
            numbers = [*attribute.ints, attribute.i]
            lowest = _LOWEST.get(attribute.name)
            if any(abs(number) > _SIDE for number in numbers) or len(numbers) > 9:
                yield f"has an operator {node.op_type} with a value of {attribute.name} that is too large"
            if lowest is not None and any(number < lowest for number in attribute.ints or [attribute.i]):
                yield f"has an operator {node.op_type} with a value of {attribute.name} below {lowest}"
        for place in _FIXED.get(node.op_type, ()):
            name = node.input[place] if place < len(node.input) else ""
            if name and name not in constants and _sized(node, makers, constants) is None:
                yield f"has an operator {node.op_type} whose shape is computed, which Glassbit does not write"


def _sized(node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], constants: set[str]) -> str | None:
    """Return the tensor whose size decides on a `ConstantOfShape`: `ConstantOfShape(Reshape(Size(x), constant))`."""
    reshape = makers.get(node.input[0]) if node.op_type == "ConstantOfShape" and len(node.input) else None
    if reshape is None or reshape.op_type != "Reshape" or len(reshape.input) < 2 or reshape.input[1] not in constants:
        return None
    size = makers.get(reshape.input[0])
    return str(size.input[0]) if size is not None and size.op_type == "Size" and len(size.input) else None


def _of_the_shapes(model: onnx.ModelProto) -> Iterator[str]:
    """Of one image, every tensor has a shape that is known and can be held, and not too much is computed."""
    try:
        shapes = _shapes(model)
    except Exception as error:  # noqa: BLE001 - its errors derive from Exception alone
        yield f"has operators that do not fit together ({short(error)})"
        return
    elements = 0
    products = 0
    for node in model.graph.node:
        for name in filter(None, node.output):
            if name not in shapes:
                yield f"has an operator {node.op_type} whose result has no shape that is known"
                return
            elements += (size := math.prod(shapes[name]))
            if size > _ELEMENTS:
                yield f"has an operator {node.op_type} that makes {size} numbers for one image; at most {_ELEMENTS}"
        products += _products(node, [shapes.get(name, ()) for name in node.input], shapes[node.output[0]])
    if elements > _ALL_ELEMENTS or products > _PRODUCTS:
        yield f"computes {elements} numbers and {products} products for one image; at most {_ALL_ELEMENTS}, {_PRODUCTS}"


def _products(node: onnx.NodeProto, reads: list[tuple[int, ...]], made: tuple[int, ...]) -> int:
    weights: Mapping[str, int] = {"Conv": 1, "ConvInteger": 1, "QLinearConv": 3, "ConvTranspose": 1}
    size = math.prod(made)
    if node.op_type in weights:
        place = weights[node.op_type]
        other = reads[place] if place < len(reads) else ()
        return math.prod(reads[0] if node.op_type == "ConvTranspose" else made) * math.prod(other[1:])
    if node.op_type in ("MatMul", "MatMulInteger"):
        return size * (reads[0][-1] if reads and reads[0] else 1)
    if node.op_type == "MaxPool":
        return size * math.prod(next((a.ints for a in node.attribute if a.name == "kernel_shape"), ()))
    return size


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor for one image, where it is known.

    Raises:
        Exception: operators do not fit together.
    """
    from onnx import ModelProto, TensorProto, helper, shape_inference

    copied = ModelProto()
    copied.CopyFrom(model)
    del copied.graph.value_info[:]  # what a file says of its own shapes is not believed
    for entry in [*copied.graph.input, *copied.graph.output]:
        for axis, size in enumerate(entry.type.tensor_type.shape.dim):
            if axis == 0:
                size.dim_value = 1
    constants = {tensor.name for tensor in copied.graph.initializer}
    makers = {name: node for node in copied.graph.node for name in node.output}
    sized = [(node, name) for node in copied.graph.node if (name := _sized(node, makers, constants)) is not None]
    infer: Callable[..., Any] = shape_inference.infer_shapes
    if sized:
        known = _known(infer(copied, data_prop=True))
        for number, (node, name) in enumerate(sized):
            if name in known:
                node.input[0] = f"glassbit.size.{number}"
                value = [math.prod(known[name])]
                copied.graph.initializer.append(helper.make_tensor(node.input[0], TensorProto.INT64, [1], value))
    return _known(infer(copied, strict_mode=True, data_prop=True))


def _known(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    graph = model.graph
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for entry in [*graph.value_info, *graph.input, *graph.output]:
        shape = entry.type.tensor_type.shape
        if entry.type.tensor_type.HasField("shape") and all(size.HasField("dim_value") for size in shape.dim):
            shapes[entry.name] = tuple(size.dim_value for size in shape.dim)
    return shapes
