"""Reading the file of an integer network, which may have been damaged or made up."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import safetensors

from glassbit._errors import ArtifactError, GraphError
from glassbit._files import json_fault, whole_number
from glassbit._plain_files import read_network
from glassbit._takes import FOUND, takes
from glassbit._text import brief, excerpt, printable

from ._decode import decode
from ._encode import Encoded
from ._file import DIGEST_KEY, FORMAT, NO_DIGEST, VERSIONS, plain, version_of
from ._graph import IntGraph
from ._limits import FILE, TEXT

_LONGEST_MESSAGE = 500
_DTYPES = {"U8": np.uint8, "I8": np.int8, "I16": np.int16, "I32": np.int32, "F32": np.float32}


@takes(path=FOUND)
def load(path: str | Path) -> IntGraph:
    """Read a network that `IntGraph.save` wrote.

    Every byte is checked against the digest, every rule of the graph and the certificate are checked again, and nothing
    in the file is executed.

    Args:
        path: of the file.

    Raises:
        UsageError: `path` is none.
        ArtifactError: the file is missing, foreign, damaged, written by a newer version, or contradicts itself.
    """
    path = Path(path)
    data = read_network(path, kind="networks", most=FILE)
    metadata = _metadata(path, data)
    _check_digest(path, data, metadata)
    try:
        arrays = _arrays(data)
        graph = decode(Encoded(_expand("graph", metadata), arrays, int(metadata["version"])))
        certificate = _expand("certificate", metadata)
    except GraphError as error:
        told = GraphError([printable(problem) for problem in error.problems])
        raise ArtifactError(
            f"{path}: must hold a valid network; got one that breaks rules; export it again\n{told}"
        ) from error
    except (ValueError, RecursionError, safetensors.SafetensorError) as error:
        text = excerpt(error, _LONGEST_MESSAGE)
        raise ArtifactError(f"{path}: must hold a readable network; got: {text}; export it again") from error
    if metadata["version"] != str(version_of(graph.nodes)):
        raise ArtifactError(
            f"{path}: format version must be {version_of(graph.nodes)}, which its nodes need; got "
            f"{metadata['version']}; export it again"
        )
    if certificate != plain(graph.certificate):
        raise ArtifactError(
            f"{path}: certificate must be that of the network in the file; got another one; export it again"
        )
    return graph


def _metadata(path: Path, data: bytes) -> dict[str, str]:
    must, repair = f"{path}: must be a Glassbit network", "it is foreign, or its beginning is damaged; export it again"
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        raise ArtifactError(f"{must}; got a file shorter than its header says; {repair}")
    if size > TEXT:
        raise ArtifactError(f"{must}, whose header has at most {TEXT} bytes; got {size}; {repair}")
    try:
        metadata = _json(data[8 : 8 + size])["__metadata__"]
        kind, version = str(metadata["format"]), int(str(metadata["version"]))
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise ArtifactError(f"{must}; got another header; {repair}") from error
    if kind != FORMAT:
        raise ArtifactError(f"{must} with the format {FORMAT!r}; got {kind[:80]!r}; {repair}")
    if not all(isinstance(text, str) for text in metadata.values()):
        raise ArtifactError(f"{must}; got another header; {repair}")
    if version not in VERSIONS:
        raise ArtifactError(
            f"{path}: format version must be at most {VERSIONS[-1]}; got {version}; update Glassbit, or export the "
            "network again"
        )
    return dict(metadata)


def _check_digest(path: Path, data: bytes, metadata: dict[str, str]) -> None:
    begin = data.find(DIGEST_KEY) + len(DIGEST_KEY)
    end = begin + len(NO_DIGEST)
    computed = hashlib.sha256(data[:begin] + NO_DIGEST + data[end:]).hexdigest()
    if metadata.get("digest") != computed or data[begin:end] != computed.encode():
        raise ArtifactError(
            f"{path}: must match its SHA-256 digest; got other bytes, so it is damaged; copy or export it again"
        )


def _arrays(data: bytes) -> dict[str, np.ndarray[Any, Any]]:
    arrays = {}
    for name, entry in safetensors.deserialize(data):  # type: ignore[no-untyped-call]
        if entry["dtype"] not in _DTYPES:
            raise ValueError(f"{name} holds {entry['dtype']}")
        dtype = np.dtype(_DTYPES[entry["dtype"]]).newbyteorder("<")
        arrays[name] = np.frombuffer(entry["data"], dtype).reshape(entry["shape"]).astype(dtype.newbyteorder("="))
    return arrays


def _expand(name: str, metadata: dict[str, str]) -> Any:
    """Return a JSON value that is stored compressed.

    Raises:
        ValueError: it is not there, or not as `save` writes it.
    """
    inflate = zlib.decompressobj()
    if not metadata.get(name):
        raise ValueError(f"its {name} must be compressed JSON; got {'nothing' if name in metadata else 'none'}")
    try:
        data = inflate.decompress(base64.b64decode(metadata[name], validate=True), TEXT)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"its {name} must be compressed JSON in base64; got {brief(metadata[name], 40)}") from error
    if not inflate.eof and len(data) >= TEXT:
        raise ValueError(f"its {name} must have at most {TEXT} bytes; got more")
    if not inflate.eof or inflate.unused_data:
        raise ValueError(f"its {name} must be compressed JSON; {'more follows' if inflate.eof else 'it is cut short'}")
    try:
        return _json(data)
    except RecursionError:
        raise ValueError(f"its {name} must be flat; it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"its {name} must be JSON; {json_fault(error)}") from error


def _json(data: bytes) -> Any:
    """Return a JSON value in which no key occurs twice: readers differ in which of the two they take.

    Raises:
        ValueError: it is none, or a key does.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            raise ValueError("a key occurs twice")
        return made

    return json.loads(data, object_pairs_hook=unique, parse_int=whole_number)
