"""Files that were made to break their reader: artifacts with a right digest, and ONNX files of Glassbit's form."""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import json
import random
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
import safetensors.numpy
from onnx import TensorProto, helper, numpy_helper

from glassbit._errors import GlassbitError
from glassbit.intgraph._decode import decode
from glassbit.intgraph._encode import Encoded
from glassbit.intgraph._file import plain

Change = Callable[["Contents", random.Random], None]
_VALUES: tuple[Any, ...] = (
    -1, 0, 1, 2, 3, 7, 127, 255, 256, 65535, 65536, 2**24, 2**31, 2**32, 2**63, 2**64, 10**4000, 0.5, 1e308, True, None,
    "", "a" * 257, "a" * 10**6, "\x1b[2J", "a\nb", "\ud800", "\u202e", "../../etc/passwd", "=cmd", "{}", "signed",
    [], {}, [[]], [0], [1, 1], [65535, 65535], [2**62, 2**62], [-1, -1], ["a"] * 3, {"a": {}}, [[[[[[[[]]]]]]]],
)  # fmt: skip


class Contents:
    """An artifact taken apart, and put together again with a right digest and, where it can be, a right certificate."""

    def __init__(self, data: bytes) -> None:
        size = int.from_bytes(data[:8], "little")
        self.metadata = json.loads(data[8 : 8 + size])["__metadata__"]
        self.arrays = {name: array.copy() for name, array in safetensors.numpy.load(data).items()}
        self.graph, self.certificate = (
            json.loads(zlib.decompress(base64.b64decode(self.metadata[name]))) for name in ("graph", "certificate")
        )
        self.text: str | None = None
        self.header: Callable[[str], str] = str

    def data(self) -> bytes:
        """The file."""
        ours = (GlassbitError, KeyError, ValueError, TypeError, RecursionError, AttributeError)
        with contextlib.suppress(*ours):  # then what is wrong is found before the certificate is looked at
            encoded = Encoded(copy.deepcopy(self.graph), dict(self.arrays), int(self.metadata["version"]))
            self.certificate = plain(decode(encoded).certificate)
        for name, value in (("graph", self.graph), ("certificate", self.certificate)):
            text = self.text if name == "graph" and self.text is not None else json.dumps(value)
            self.metadata[name] = base64.b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"), 1)).decode()
        made = safetensors.numpy.save(self.arrays, self.metadata | {"digest": "0" * 64})
        size = int.from_bytes(made[:8], "little")
        header = self.header(made[8 : 8 + size].decode()).encode("utf-8", "surrogatepass")
        made = len(header).to_bytes(8, "little") + header + made[8 + size :]
        digest = hashlib.sha256(made).hexdigest().encode()
        return made.replace(b'"digest":"' + b"0" * 64, b'"digest":"' + digest, 1)


def artifacts(whole: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """Hostile artifacts without an end, each with what was done to it."""
    chance = random.Random(seed)
    while True:
        for name, change in CHANGES.items():
            contents = Contents(whole)
            for _ in range(chance.choice((1, 1, 1, 2, 3))):
                change(contents, chance)
            yield name, contents.data()


def _leaf(contents: Contents, chance: random.Random) -> None:
    """Another value anywhere in the description."""
    owner: Any = contents.graph
    key: Any = chance.choice(list(owner) or ["nodes"])
    while isinstance(owner.get(key) if isinstance(owner, dict) else owner[key], dict | list):
        inner = owner[key]
        keys = list(inner) if isinstance(inner, dict) else list(range(len(inner)))
        if not keys or chance.random() < 0.1:
            break
        owner, key = inner, chance.choice(keys)
    owner[key] = chance.choice(_VALUES)


def _node(contents: Contents, chance: random.Random) -> Any:
    nodes = contents.graph.get("nodes") if isinstance(contents.graph, dict) else None
    found = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    return chance.choice(found) if found else {}


def _field(contents: Contents, chance: random.Random) -> None:
    node = _node(contents, chance)
    if node:
        node[chance.choice(list(node))] = chance.choice(_VALUES)


def _geometry(contents: Contents, chance: random.Random) -> None:
    """Windows, strides, paddings and image sizes that may even fit together."""
    node = _node(contents, chance)
    for key in ("stride", "padding", "kernel"):
        if key in node and chance.random() < 0.7:
            node[key] = [chance.choice((0, 1, 2, 3, 100, 65535)) for _ in range(2)]
    if "height" in node or chance.random() < 0.3:
        sizes = {key: chance.choice((1, 8, 255, 2048, 30000, 65535)) for key in ("height", "width")}
        for owner in (contents.graph["nodes"][0], contents.graph["preprocessing"]):
            if isinstance(owner, dict):
                owner.update(sizes)


def _large_chain(contents: Contents, chance: random.Random) -> None:
    """Many nodes that keep a large image."""
    side = chance.choice((64, 512, 2048, 8192))
    nodes = contents.graph["nodes"]
    many = chance.choice((10, 100, 1000, 5000))
    pools = [
        {"op": "MaxPool", "name": f"p{i}", "input": f"p{i - 1}" if i else nodes[0]["name"],
         "kernel": [1, 1], "stride": [1, 1], "padding": [0, 0]}
        for i in range(many)
    ]  # fmt: skip
    last = {"op": "MaxPool", "name": "last", "input": pools[-1]["name"], "kernel": [1, 1], "padding": [0, 0]}
    last["stride"] = [max(1, side // 8), max(1, side // 8)]
    for owner in (nodes[0], contents.graph["preprocessing"]):
        owner.update(height=side, width=side)
    nodes[0]["zero"] = 0
    for node in nodes[1:]:
        if node.get("input") == nodes[0]["name"]:
            node["input"] = "last"
    nodes[1:1] = [*pools, last]


def _drop(contents: Contents, chance: random.Random) -> None:
    owner: Any = chance.choice([contents.graph, _node(contents, chance), contents.metadata, contents.arrays])
    if owner and isinstance(owner, dict):
        del owner[chance.choice(list(owner))]
    for name in ("format", "version"):
        contents.metadata.setdefault(name, "1")


def _nodes(contents: Contents, chance: random.Random) -> None:
    nodes = contents.graph.get("nodes")
    if not isinstance(nodes, list) or not nodes:
        return
    one = chance.randrange(len(nodes))
    match chance.randrange(4):
        case 0:
            nodes.insert(chance.randrange(len(nodes)), copy.deepcopy(nodes[one]))
        case 1:
            del nodes[one]
        case 2:
            chance.shuffle(nodes)
        case 3:
            contents.graph["nodes"] = nodes * min(chance.choice((2, 100, 10000)), 200_000 // max(len(nodes), 1))


def _array(contents: Contents, chance: random.Random) -> None:
    if not contents.arrays:
        return
    name = chance.choice(list(contents.arrays))
    values = contents.arrays[name]
    made: dict[int, Callable[[], np.ndarray]] = {
        0: lambda: np.frombuffer(chance.randbytes(values.nbytes), values.dtype).copy(),
        1: lambda: values[: chance.randrange(len(values) + 1)],
        2: lambda: np.concatenate([values, values]),
        3: lambda: values.astype(np.float64),
        4: lambda: values[None],
        5: lambda: np.full_like(values, np.iinfo(values.dtype).max if values.dtype.kind in "iu" else np.nan),
        6: lambda: np.full_like(values, np.iinfo(values.dtype).min if values.dtype.kind in "iu" else -np.inf),
        7: lambda: values.astype(np.float32).astype(np.float16),
    }
    with np.errstate(all="ignore"):
        contents.arrays[name] = np.ascontiguousarray(made[chance.randrange(len(made))]())
    if chance.random() < 0.2:
        contents.arrays[chance.choice(("extra", "weights.", "weights.nobody", "\x1b[2J"))] = np.zeros(3, np.uint8)


def _texts(contents: Contents, chance: random.Random) -> None:
    about = contents.graph.get("about")
    if isinstance(about, dict):
        about[chance.choice(("plan", "network", "run"))] = chance.choice([v for v in _VALUES if isinstance(v, str)])
        about["notes"] = chance.choice((["a\nb"], ["\x1b[2J"], ["a"] * 10**5, ["a" * 10**6], [""], "a", [3]))
    if chance.random() < 0.5:
        contents.graph["classes"] = chance.choice((["a"] * 10**5, ["a\nb"] * 3, ["\x1b"] * 3, [""], [], "abc", [1, 2]))


def _raw_text(contents: Contents, chance: random.Random) -> None:
    text = json.dumps(contents.graph)
    contents.text = chance.choice(
        (
            "[" * 10**5,
            '{"a":' * 10**5,
            "{}",
            "",
            "null",
            " " * 2**23,
            '{"nodes":' + "9" * 5000 + "}",
            text.replace('"op":', '"op": "Input", "op":', 1),
            text.replace('"nodes":', '"nodes": [], "nodes":', 1),
            text[: chance.randrange(len(text))],
            text.replace("1", "1e999"),
            text.replace("0", "NaN"),
            "\ud800" + text,
            "[" + "0," * 10**6 + "0]",
        )
    )


def _container(contents: Contents, chance: random.Random) -> None:
    """A header of the container that lies, with a digest that is right."""
    old, new = chance.choice(
        (
            ('"dtype":"I32"', '"dtype":"F64"'),
            ('"dtype":"U8"', '"dtype":"BF16"'),
            ('"dtype":"U8"', '"dtype":"\\u001b"'),
            ('"shape":[', '"shape":[18446744073709551615,'),
            ('"shape":[', '"shape":[0,'),
            ('"shape":[', '"shape":[-1,'),
            ('"data_offsets":[0,', '"data_offsets":[18446744073709551615,'),
            ('"data_offsets":[0,', '"data_offsets":[1,'),
            ('"scale":{', '"scale":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"scale":{'),
            ('"__metadata__":{', '"__metadata__":{},"__metadata__":{'),
            ('"version":"1"', '"version":1'),
            ('"version":"1"', '"version":"' + "9" * 5000 + '"'),
            ('"version":"1"', '"version":"\\u001b[2J"'),
            ('"certificate":"', '"certificate":["'),
            ('"graph":"', '"graph":null,"x":"'),
            ('"format":"', '"format":"\\n\\u001b[2J'),
        )
    )
    contents.header = lambda text: text.replace(old, new, 1)


CHANGES: dict[str, Change] = {
    change.__name__.strip("_"): change
    for change in (_leaf, _field, _geometry, _large_chain, _drop, _nodes, _array, _texts, _raw_text, _container)
}


def onnx_files(plain_file: bytes, explained: bytes, seed: int) -> Iterator[tuple[str, bytes]]:
    """Hostile ONNX files without an end: first each of the known ones, then those and random damage, mixed."""
    chance = random.Random(seed)
    for whole in (explained, plain_file):
        for name, change in ONNX_CHANGES.items():
            yield name, _changed(whole, [change], chance)
    while True:
        whole = chance.choice((plain_file, explained))
        if chance.random() < 0.4:
            yield "bytes", _damaged(whole, chance)
        else:
            names = chance.sample(list(ONNX_CHANGES), chance.choice((1, 2, 3)))
            yield "+".join(names), _changed(whole, [ONNX_CHANGES[name] for name in names], chance)


def _changed(whole: bytes, changes: list[Callable[[Any, random.Random], None]], chance: random.Random) -> bytes:
    model = onnx.load_from_string(whole)
    for change in changes:
        with contextlib.suppress(IndexError, StopIteration, ValueError):  # nothing is left that it could change
            change(model, chance)
    return bytes(model.SerializeToString())


def _damaged(whole: bytes, chance: random.Random) -> bytes:
    data = bytearray(whole)
    for _ in range(chance.randrange(1, 20)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.randrange(len(data))] if chance.random() < 0.2 else data)


def _tensor(model: Any, chance: random.Random) -> Any:
    return chance.choice(list(model.graph.initializer) or [model.graph.initializer.add()])


def _external(location: str) -> Callable[[Any, random.Random], None]:
    def change(model: Any, chance: random.Random) -> None:
        _make_external(_tensor(model, chance), location)

    return change


def _make_external(tensor: Any, location: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    del tensor.external_data[:]
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value


def _external_inside(where: str) -> Callable[[Any, random.Random], None]:
    def change(model: Any, _: random.Random) -> None:
        tensor = numpy_helper.from_array(np.zeros(1, np.float32), "hidden")
        _make_external(tensor, "../secret")
        match where:
            case "attribute":
                model.graph.node.append(helper.make_node("Constant", [], ["hidden"], value=tensor))
            case "sparse":
                sparse = model.graph.sparse_initializer.add()
                sparse.values.CopyFrom(tensor)
                sparse.dims.append(4)
            case "graph":
                inner = helper.make_graph([], "g", [], [], [tensor])
                model.graph.node.append(helper.make_node("If", ["image"], ["o"], then_branch=inner, else_branch=inner))
            case "function":
                node = helper.make_node("Constant", [], ["h"], value=tensor)
                function = helper.make_function("d", "f", [], ["h"], [node], [helper.make_opsetid("", 21)])
                model.functions.append(function)
            case "training":
                model.training_info.add().algorithm.initializer.append(tensor)

    return change


def _metadata(key: str, value: str | None) -> Callable[[Any, random.Random], None]:
    def change(model: Any, _: random.Random) -> None:
        for entry in [entry for entry in model.metadata_props if entry.key == key]:
            if value is None:
                model.metadata_props.remove(entry)
            else:
                entry.value = value

    return change


def _twice(model: Any, _: random.Random) -> None:
    model.metadata_props.add().CopyFrom(model.metadata_props[0])


def _operator(kind: str, domain: str = "", **attributes: Any) -> Callable[[Any, random.Random], None]:
    def change(model: Any, chance: random.Random) -> None:
        node = chance.choice(list(model.graph.node))
        node.op_type, node.domain = kind, domain
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())

    return change


def _loop(model: Any, _: random.Random) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, [])],
    )
    model.graph.initializer.append(numpy_helper.from_array(np.array(2**62), "trips"))
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "go"))
    model.graph.node.insert(0, helper.make_node("Loop", ["trips", "go"], [], body=body))


def _attribute(name: str, value: Any) -> Callable[[Any, random.Random], None]:
    def change(model: Any, _: random.Random) -> None:
        for node in model.graph.node:
            if name in [attribute.name for attribute in node.attribute]:
                kept = [attribute for attribute in node.attribute if attribute.name != name]
                del node.attribute[:]
                kind = onnx.AttributeProto.INTS if isinstance(value, list) else None
                node.attribute.extend([*kept, helper.make_attribute(name, value, attr_type=kind)])

    return change


def _filled(shape: list[int]) -> Callable[[Any, random.Random], None]:
    """Something huge out of nothing, on the way to the logits."""

    def change(model: Any, _: random.Random) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), "huge.shape"))
        last = next(node for node in model.graph.node if "logits" in node.output)
        last.output[list(last.output).index("logits")] = "logits.before"
        one = numpy_helper.from_array(np.ones(1, np.float32))
        model.graph.node.append(helper.make_node("ConstantOfShape", ["huge.shape"], ["huge"], value=one))
        model.graph.node.append(helper.make_node("Mul", ["logits.before", "huge"], ["logits"]))

    return change


def _float_values(value: float) -> Callable[[Any, random.Random], None]:
    def change(model: Any, _: random.Random) -> None:
        for tensor in model.graph.initializer:
            if tensor.data_type == TensorProto.FLOAT and tensor.raw_data:
                size = len(tensor.raw_data) // 4
                tensor.raw_data = np.full(size, value, np.float32).tobytes()

    return change


def _dims(value: list[int]) -> Callable[[Any, random.Random], None]:
    def change(model: Any, chance: random.Random) -> None:
        tensor = _tensor(model, chance)
        del tensor.dims[:]
        tensor.dims.extend(value)

    return change


def _end(side: str, name: str, kind: int, shape: list[Any] | None) -> Callable[[Any, random.Random], None]:
    """Another type or shape of an input or output; None takes it away."""

    def change(model: Any, _: random.Random) -> None:
        ends = getattr(model.graph, side)
        for entry in [entry for entry in ends if entry.name == name]:
            ends.remove(entry)
        if shape is not None:
            ends.append(helper.make_tensor_value_info(name, kind, shape))

    return change


def _constants(value: int) -> Callable[[Any, random.Random], None]:
    """All shapes and places that are constants."""

    def change(model: Any, _: random.Random) -> None:
        for tensor in model.graph.initializer:
            if tensor.data_type == TensorProto.INT64 and tensor.raw_data:
                tensor.raw_data = np.full(len(tensor.raw_data) // 8, value, np.int64).tobytes()

    return change


def _names(value: str) -> Callable[[Any, random.Random], None]:
    def change(model: Any, chance: random.Random) -> None:
        node = chance.choice(list(model.graph.node))
        node.name = value
        node.output[0] = value

    return change


def _many(model: Any, _: random.Random) -> None:
    for number in range(50_000):
        model.graph.node.add().CopyFrom(helper.make_node("Add", ["image", "image"], [f"n{number}"]))


def _ballast(model: Any, _: random.Random) -> None:
    model.doc_string = "x" * 2**23


def _versions(opset: int, ir: int) -> Callable[[Any, random.Random], None]:
    def change(model: Any, _: random.Random) -> None:
        model.ir_version = ir
        model.opset_import[0].version = opset

    return change


def _cleared(model: Any, _: random.Random) -> None:
    del model.graph.node[:]


ONNX_CHANGES: dict[str, Callable[[Any, random.Random], None]] = {
    **{
        f"external {place[:20]}": _external(place)
        for place in ("../secret", "/etc/passwd", "weights.bin", "", "\x1b[2J\n")
    },
    **{
        f"external in {where}": _external_inside(where)
        for where in ("attribute", "sparse", "graph", "function", "training")
    },
    **{
        f"classes {value[:30]}": _metadata("classes", value)
        for value in (
            "3",
            "null",
            "{}",
            "[]",
            '["a"]',
            '["a","a"]',
            '"abc"',
            "[1,2,3]",
            "[[]]",
            "",
            "[" * 10**5,
            '["a\\nb","c","d"]',
            '["\\u001b[2J","b","c"]',
            '["\\ud800","b","c"]',
            json.dumps(["a" * 10**6, "b", "c"]),
            json.dumps(list(map(str, range(10**5)))),
            '{"a":1,"b":2,"c":3}',
            "[NaN,1e999,null]",
        )
    },
    **{
        f"preprocessing {value[:40]}": _metadata("preprocessing", value)
        for value in (
            "3",
            "null",
            "[]",
            "{}",
            '"crop"',
            '{"channels":1}',
            '{"channels":true,"height":12,"width":12,"resize":"crop"}',
            '{"channels":1,"height":"12","width":12,"resize":"crop"}',
            '{"channels":1,"height":12.0,"width":12,"resize":"crop"}',
            '{"channels":1,"height":-12,"width":12,"resize":"crop"}',
            '{"channels":1,"height":1e400,"width":12,"resize":"crop"}',
            '{"channels":1,"height":12,"width":12,"resize":"zoom"}',
            '{"channels":1,"height":12,"width":12,"resize":["crop"]}',
            '{"channels":1,"height":' + "9" * 5000 + ',"width":12,"resize":"crop"}',
            "[" * 10**5,
            '{"channels":1,"height":12,"width":12,"resize":"crop","\\u001b":1}',
        )
    },
    **{
        f"no {key}": _metadata(key, None)
        for key in ("format", "format_version", "classes", "preprocessing", "certificate")
    },
    **{
        f"format_version {value[:8]!r}": _metadata("format_version", value)
        for value in ("", "99", "\x1b[2J\n", "9" * 5000)
    },
    "metadata twice": _twice,
    "loop": _loop,
    **{
        f"operator {kind}": _operator(kind)
        for kind in ("Scan", "If", "Loop", "NonZero", "Tile", "Resize", "Einsum", "RandomNormal", "Nothing", "\x1b[2J")
    },
    "custom domain": _operator("Add", "com.evil"),
    "contrib domain": _operator("QAttention", "com.microsoft"),
    **{
        f"{name} {value}": _attribute(name, value)
        for name in ("strides", "pads", "kernel_shape")
        for value in ([0, 0], [-1, -1], [2**62, 2**62], [1], [])
    },
    **{f"group {value}": _attribute("group", value) for value in (0, -1, 2**62)},
    "perm": _attribute("perm", [0, 0]),
    "axis": _attribute("axis", 2**40),
    "to": _attribute("to", 8),
    **{
        f"filled {shape}": _filled(shape)
        for shape in ([2**40], [2**31, 2**31], [2**62], [-1], [65536, 65536, 3], [10**6, 1000, 3])
    },
    **{f"floats {value}": _float_values(value) for value in (float("nan"), float("inf"), -float("inf"), 0.0, 1e38)},
    **{f"dims {value}": _dims(value) for value in ([2**62, 2**62], [-1], [0], [2**40], [1] * 100)},
    **{f"constants {value}": _constants(value) for value in (-1, 0, 2**40, 2**62, -(2**62))},
    "no image": _end("input", "image", 0, None),
    "no target": _end("input", "target", 0, None),
    "no logits": _end("output", "logits", 0, None),
    "no saliency": _end("output", "saliency", 0, None),
    "float image": _end("input", "image", TensorProto.FLOAT, ["n", 1, 12, 12]),
    "flat image": _end("input", "image", TensorProto.UINT8, ["n", 144]),
    "huge image": _end("input", "image", TensorProto.UINT8, ["n", 1, 65535, 65535]),
    "scalar image": _end("input", "image", TensorProto.UINT8, []),
    "text logits": _end("output", "logits", TensorProto.STRING, ["n", 3]),
    "wide logits": _end("output", "logits", TensorProto.FLOAT, ["n", 4]),
    "scalar logits": _end("output", "logits", TensorProto.FLOAT, []),
    "small saliency": _end("output", "saliency", TensorProto.FLOAT, ["n", 3, 3]),
    "saliency out of nothing": _end("output", "saliency", TensorProto.FLOAT, ["n", 12, 12]),
    "float target": _end("input", "target", TensorProto.FLOAT, ["targets"]),
    "another input": _end("input", "more", TensorProto.FLOAT, ["n"]),
    **{f"name {value[:10]!r}": _names(value) for value in ("", "\x1b[2J\n", "image", "logits", "a" * 10**6)},
    "many nodes": _many,
    "ballast": _ballast,
    **{
        f"versions {opset} {ir}": _versions(opset, ir)
        for opset, ir in ((1, 3), (28, 14), (-1, 10), (2**40, 10), (21, 2**40))
    },
    "no nodes": _cleared,
}
