"""What an ONNX file says of itself: classes, images, inputs and outputs; all of it may be made up."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, get_args

from glassbit._errors import ArtifactError
from glassbit._files import whole_number
from glassbit._resize import Resize
from glassbit._text import brief
from glassbit.intgraph import LEAST_CLASSES, LONGEST, LONGEST_NAME, MOST_CLASSES, Preprocessing

from . import _structure
from ._names import FORMAT, IMAGE, LOGITS, READ_VERSIONS, SALIENCY, TARGET
from ._untrusted import check_rest, parsed, short

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True)
class Described:
    """A file of `export_onnx` that keeps to its own format.

    Args:
        metadata: as it is.
        classes, preprocessing: of the network.
        explains: whether it returns saliency maps.
    """

    metadata: dict[str, str]
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    explains: bool


@lru_cache(maxsize=4)
def described(data: bytes, source: str) -> Described:
    """Look a file over, without running it.

    Args:
        data: its content.
        source: what errors call it.

    Raises:
        UsageError: the package onnx is not installed.
        ArtifactError: it is not one of ours, or not as `export_onnx` writes them; the text says in what.
    """
    check_rest(data, source)
    model = parsed(data, source)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if metadata.get("format") != FORMAT:
        raise ArtifactError(
            f"{source}: must be an ONNX file that Glassbit wrote; got another one; write one with `glassbit export`"
        )
    version = metadata.get("format_version", "")
    if version not in READ_VERSIONS:
        newer = re.fullmatch("[1-9][0-9]{0,5}", version) and int(version) > max(map(int, READ_VERSIONS))
        raise ArtifactError(
            f"{source}: must have the format version {' or '.join(READ_VERSIONS)}; "
            f"got {brief(version) if version else 'none'}; "
            f"{'install a newer Glassbit' if newer else 'export it again'}"
        )
    if len(metadata) != len(model.metadata_props):
        raise ArtifactError(f"{source}: metadata must have each key once; got one twice; export it again")
    try:
        classes = _classes(_read(metadata, "classes"))
        preprocessing = _preprocessing(_read(metadata, "preprocessing"))
    except (TypeError, ValueError) as error:
        raise ArtifactError(
            f"{source}: classes and preprocessing must be as exported; got: {short(error)}; export it again"
        ) from error
    must = _wrong_ends(model, len(classes), preprocessing)
    if must:
        raise ArtifactError(f"{source}: {must}; export it again")
    wrong = _structure.problem(model)
    if wrong:
        raise ArtifactError(
            f"{source}: must be as `glassbit export` writes it; got a file that {wrong}; export it again"
        )
    explains = SALIENCY in {output.name for output in model.graph.output}
    return Described(metadata, classes, preprocessing, explains)


def _read(metadata: Mapping[str, str], key: str) -> Any:
    if key not in metadata:
        raise ValueError(f"there is no {key}")
    try:
        return json.loads(metadata[key], parse_int=whole_number)
    except RecursionError:
        raise ValueError(f"{key} is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{key} must be JSON; got {brief(metadata[key])}") from error


def _classes(given: Any) -> tuple[str, ...]:
    if not isinstance(given, list) or not LEAST_CLASSES <= len(given) <= MOST_CLASSES:
        raise ValueError(f"classes must be a list of {LEAST_CLASSES} to {MOST_CLASSES} names")
    for name in given:
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= LONGEST_NAME:
            raise ValueError(
                f"classes must be printable text of at most {LONGEST_NAME} characters; got {short(repr(name))}"
            )
    if len(set(given)) < len(given):
        raise ValueError("classes must each have a name of its own")
    return tuple(given)


def _preprocessing(given: Any) -> Preprocessing:
    wanted = [field.name for field in fields(Preprocessing)]
    if not isinstance(given, dict) or set(given) != set(wanted):
        raise ValueError(f"preprocessing must have {', '.join(wanted)}")
    for name in ("channels", "height", "width"):
        if type(given[name]) is not int or not 1 <= given[name] <= LONGEST:
            raise ValueError(f"{name} must be 1 to {LONGEST}; got {short(repr(given[name]))}")
    *others, last = get_args(Resize)
    if given["resize"] not in (*others, last):
        raise ValueError(f"resize must be {', '.join(others)} or {last}; got {short(repr(given['resize']))}")
    return Preprocessing(**given)


def _wrong_ends(model: onnx.ModelProto, classes: int, images: Preprocessing) -> str | None:
    """Return what is wrong with the inputs and outputs."""
    from onnx import TensorProto

    size = (images.height, images.width)
    outputs = {entry.name: entry for entry in model.graph.output}
    inputs = {entry.name: entry for entry in model.graph.input}
    explains = SALIENCY in outputs
    wanted, made = ({IMAGE, TARGET}, {LOGITS, SALIENCY}) if explains else ({IMAGE}, {LOGITS})
    if set(inputs) != wanted or len(inputs) < len(model.graph.input):
        got = ", ".join(entry.name for entry in model.graph.input)
        return f"must have the inputs {' and '.join(sorted(wanted))}; got {short(got) or 'none'}"
    if set(outputs) != made or len(outputs) < len(model.graph.output):
        got = ", ".join(entry.name for entry in model.graph.output)
        return f"must have the outputs {' and '.join(sorted(made))} and no others; got {short(got) or 'none'}"
    ends = {
        IMAGE: (inputs[IMAGE], TensorProto.UINT8, (None, images.channels, *size)),
        LOGITS: (outputs[LOGITS], TensorProto.FLOAT, (None, classes)),
    }
    if explains:
        ends[SALIENCY] = (outputs[SALIENCY], TensorProto.FLOAT, (None, *size))
        ends[TARGET] = (inputs[TARGET], TensorProto.INT64, (None,))
    for name, (entry, kind, shape) in ends.items():
        tensor = entry.type.tensor_type
        sizes = [axis.dim_value if axis.HasField("dim_value") else None for axis in tensor.shape.dim]
        if tensor.elem_type != kind or sizes != list(shape):
            told = f"{TensorProto.DataType.Name(kind)} of shape {_shape(shape)}"
            kinds = TensorProto.DataType
            got = kinds.Name(tensor.elem_type) if tensor.elem_type in kinds.values() else tensor.elem_type
            return f"{name} must be {told}; got {got} of shape {short(_shape(sizes))}"
    return None


def _shape(sizes: Any) -> str:
    return f"({', '.join('n' if size is None else str(size) for size in sizes)})"
