"""ONNX files that may come from anywhere, before anything else reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glassbit._errors import ArtifactError
from glassbit._plain_files import read_network
from glassbit._text import excerpt

from ._extras import need

if TYPE_CHECKING:
    import onnx

_LARGEST_FILE = 2**31 - 1
_LARGEST_REST = 2**22
"""Bytes of a file beside the data of its tensors; each takes many times as much memory once it is read."""
_GRAPH, _INITIALIZER, _RAW_DATA = 7, 5, 9
_LENGTH = 2
_SKIPPED = {1: 8, 5: 4}


def read_file(path: Path) -> bytes:
    """Return the content of an ONNX file.

    Raises:
        ArtifactError: it cannot be read, or is too large for ONNX.
    """
    return read_network(path, kind="ONNX files", most=_LARGEST_FILE)


def parsed(data: bytes, source: str) -> onnx.ModelProto:
    """Return the model in an ONNX file that holds all of itself.

    Args:
        data: the content of the file.
        source: what errors call it.

    Raises:
        UsageError: the package onnx is not installed.
        ArtifactError: it is none, or parts of it are in other files. ONNX Runtime and the package onnx would read those
            from anywhere, also from the current folder.
    """
    need("onnx", "Reading an ONNX file")
    from onnx import ModelProto, TensorProto

    model = ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:
        # protobuf's own kinds of errors differ from version to version
        raise ArtifactError(f"{source}: must be a readable ONNX file; got: {short(error)}; export it again") from error
    for message in _messages(model):
        if isinstance(message, TensorProto) and (
            message.external_data or message.data_location == TensorProto.EXTERNAL
        ):
            place = next((entry.value for entry in message.external_data if entry.key == "location"), "another file")
            raise ArtifactError(
                f"{source}: must hold all of its data; got the tensor {short(message.name)} in {short(place)}, which "
                "is not read; export it again"
            )
    return model


def check_rest(data: bytes, source: str) -> None:
    """Refuse a file that is large beside the data of its tensors, without taking it apart.

    Raises:
        ArtifactError: it is.
    """
    tensors = sum(
        size
        for graph in _fields(data, 0, len(data), _GRAPH)
        for tensor in _fields(data, *graph, _INITIALIZER)
        for start, end in _fields(data, *tensor, _RAW_DATA)
        for size in [end - start]
    )
    if len(data) - tensors > _LARGEST_REST:
        raise ArtifactError(
            f"{source}: must have at most {_LARGEST_REST} bytes beside its weights; got {len(data) - tensors}; "
            "export it again"
        )


def short(value: object) -> str:
    """Text from a file, on one line."""
    return excerpt(" ".join(str(value)[:2000].split()), 300)


def _messages(model: Any) -> Iterator[Any]:
    """Every message inside a message, wherever it is: tensors of attributes, of graphs in them, of functions, ..."""
    left = [model]
    while left:
        message = left.pop()
        yield message
        for field, value in message.ListFields():
            if field.type == field.TYPE_MESSAGE:
                left.extend(value if hasattr(value, "__len__") else [value])


def _fields(data: bytes, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
    """Where the fields of one number are in the wire format of a protobuf message; damage ends it."""
    while start < end:
        key, start = _varint(data, start)
        kind = key & 7
        if kind == _LENGTH:
            size, start = _varint(data, start)
            if key >> 3 == wanted:
                yield start, min(start + size, end)
            start += size
        elif kind == 0:
            start = _varint(data, start)[1]
        elif kind in _SKIPPED:
            start += _SKIPPED[kind]
        else:
            return


def _varint(data: bytes, start: int) -> tuple[int, int]:
    value = shift = 0
    for place in range(start, min(start + 10, len(data))):
        value |= (data[place] & 127) << shift
        if data[place] < 128:
            return value, place + 1
        shift += 7
    return value, len(data)
