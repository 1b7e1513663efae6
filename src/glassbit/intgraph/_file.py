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
from ._encode import Encoded
from ._nodes import (
    Add,
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
)

FORMAT = "glassbit-intgraph"
VERSIONS = (1, 2)
"""Those that are read. A file has the lowest one that can hold its network, so that older Glassbits read it as well."""
DIGEST_KEY = b'"digest":"'
NO_DIGEST = b"0" * 64
"""What stands in the place of the digest while it is computed."""


def save(encoded: Encoded, version: int, certificate: Certificate, path: Path) -> None:
    """Write a network; the same network always gives the same bytes.

    Args:
        encoded: the network.
        version: of the format, see `version_of`.
        certificate: of the network.
        path: of the file, which is afterwards whole or as it was before.
    """
    metadata = {
        "format": FORMAT,
        "version": str(version),
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
    """Return the version of the format that has all these nodes."""
    return max(map(_first_version, nodes))


def _first_version(node: Node) -> int:
    """Return the lowest version that has this kind of node; what is written of a node are the fields of its class."""
    match node:
        case (
            Input()
            | Conv()
            | Linear()
            | Requantize()
            | Add()
            | MaxPool()
            | AveragePool()
            | Subsample()
            | Flatten()
            | Logits()
        ):
            return 1
        case SumPool():
            return 2
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
