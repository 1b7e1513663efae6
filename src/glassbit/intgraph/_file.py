"""The file of an integer network: packed codes in a safetensors container, in which nothing can be executed."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, assert_never

from safetensors.numpy import save as to_container

from glassbit._files import replacing

from ._certificate import Certificate
from ._combined import Concat, Lookup, Multiply, Select, Sum
from ._encode import ADDENDS, Encoded
from ._infer import infer_all
from ._limits import SIGNED
from ._nodes import (
    AveragePool,
    Conv,
    Flatten,
    Input,
    Linear,
    Logits,
    MaxPool,
    Node,
    Requantize,
    Subsample,
    SumPool,
    inputs,
    sides,
)

FORMAT = "glassbit-intgraph"
VERSIONS = (1, 2, 3)
"""Those that are read. A file has the lowest one that can hold its network, so that older Glassbits read it as well."""
DIGEST_KEY = b'"digest":"'
NO_DIGEST = b"0" * 64
"""What stands in the place of the digest while it is computed."""
_FIRST_WINDOWS = (*((0, 2**bits - 1) for bits in range(2, 9)), SIGNED)
"""The windows of requantizers in version 1."""


def save(encoded: Encoded, certificate: Certificate, path: Path) -> None:
    """Write a network; the same network always gives the same bytes.

    Args:
        encoded: the network.
        certificate: of the network.
        path: of the file, which is afterwards whole or as it was before.
    """
    metadata = {
        "format": FORMAT,
        "version": str(encoded.version),
        "digest": NO_DIGEST.decode(),
        "graph": _squeeze(encoded.description),
        "certificate": _squeeze(plain(certificate)),
    }
    data = _in_order(to_container(dict(encoded.arrays), metadata), metadata)
    begin = data.index(DIGEST_KEY) + len(DIGEST_KEY)
    digest = hashlib.sha256(data).hexdigest().encode()
    with replacing(path) as temporary:
        temporary.write_bytes(data[:begin] + digest + data[begin + len(digest) :])


def version_of(nodes: Sequence[Node]) -> int:
    """Return the version of the format that has all nodes of a valid network, and all their windows."""
    tensors = infer_all(nodes)
    makers = {node.name: node for node in nodes}
    below = {name for name, tensor in tensors.items() if tensor.kind == "codes" and tensor.low < 0}
    last = nodes[-1]
    behind_a_layer = isinstance(last, Logits) and isinstance(makers[last.input], Linear)
    return max(
        1 if behind_a_layer else 3,
        *(
            version
            for node in nodes
            for version in (
                _first_version(node),
                *(_first_reader(node, makers[name]) for name in inputs(node) if name in below),
            )
        ),
    )


def _first_reader(node: Node, maker: Node) -> int:
    """Return the lowest version in which a node reads codes below 0. Before, those of a requantizer were operands of
    sums alone, and those of the image were not read with padding, and by layers alone.
    """
    if isinstance(maker, Requantize):
        return 1 if isinstance(node, Sum) else 3
    image = isinstance(node, Conv | Linear | Flatten) or (isinstance(node, MaxPool) and not any(node.padding))
    return 1 if image else 3


def _first_version(node: Node) -> int:
    """Return the lowest version that has this kind of node; what is written of a node are the fields of its class."""
    match node:
        case Conv() if node.dilation != (1, 1) or node.padding == sides(node.padding):
            return 3
        case MaxPool() if node.padding == sides(node.padding):
            return 3
        case Requantize():
            first = (node.low, node.high) in _FIRST_WINDOWS and (node.multiplier > 0).all()
            return 1 if first else 3
        case Logits():
            return 1 if (node.scale > 0).all() else 3
        case Input() | Conv() | Linear() | MaxPool() | AveragePool() | Subsample() | Flatten():
            return 1
        case Sum() if len(node.inputs) == ADDENDS:
            return 1
        case SumPool():
            return 2
        case Sum() | Multiply() | Concat() | Select() | Lookup():
            return 3
        case _:
            assert_never(node)


def _in_order(container: bytes, metadata: dict[str, str]) -> bytes:
    """Return the container with the metadata in our order; safetensors' own changes from process to process."""
    size = int.from_bytes(container[:8], "little")
    header = json.loads(container[8 : 8 + size])
    header = {"__metadata__": metadata} | {name: entry for name, entry in header.items() if name != "__metadata__"}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + container[8 + size :]


def plain(certificate: Certificate) -> Any:
    """As JSON gives it back."""
    return json.loads(json.dumps(asdict(certificate)))


def _squeeze(value: Any) -> str:
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()
