"""Whether every back end computes what the network's definition says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from glassbit._errors import GlassbitError, UsageError
from glassbit.intgraph import IntGraph

from ._extras import need
from ._names import LOGITS, SALIENCY
from ._onnx import onnx_model
from ._session import Session
from ._untrusted import read_file
from ._web import Web, WebJob, find_web

_NATIVE, _WEB = "ONNX Runtime", "onnxruntime-web"
MAPS = 1e-5
"""The largest error of maps, relative to the largest value of all maps: they are computed in float32."""
_Array = np.ndarray[Any, Any]
_Outputs = tuple[_Array, _Array | None]
Logits = Callable[[UInt8[np.ndarray, "n c h w"]], Float32[np.ndarray, "n k"]]


@dataclass(frozen=True)
class Row:
    """One way to run the network, compared with the oracle.

    Args:
        backend: what ran, with its settings.
        outcome: "equal" when every logit is, to the bit, and the maps are within `MAPS`; "differs"; "missing" when
            something that it needs is not installed; "failed" when it ran into an error.
        note: what is missing, or the error.
        images: how many were compared.
        differing: images with a logit that differs.
        first: the image and the class of the first such logit.
        largest: the largest difference of a logit.
        saliency: the largest error of the maps, relative to the largest value of all maps; None without maps.
    """

    backend: str
    outcome: Literal["equal", "differs", "missing", "failed"]
    note: str = ""
    images: int = 0
    differing: int = 0
    first: tuple[int, int] | None = None
    largest: float = 0.0
    saliency: float | None = None


def verify(
    graph: IntGraph,
    images: UInt8[np.ndarray, "n c h w"],
    *,
    model: str | Path | bytes | None = None,
    explain: bool = True,
    web: Web | None = None,
    others: Mapping[str, Logits] | None = None,
) -> tuple[Row, ...]:
    """Run images through every back end of this machine, and compare with the definition in NumPy integers.

    ONNX Runtime runs with and without its optimisations, on 1 and on 2 threads, one image at a time and all at once;
    onnxruntime-web one image at a time and all at once. A back end that is not installed is a row that says so.

    Args:
        graph: the network.
        images: pixels 0..255, at least one image.
        model: an ONNX file, or its content, to test instead of a fresh export.
        explain: whether saliency maps are compared as well, where the file has them.
        web: Node.js and the package; looked for when left out.
        others: further back ends by name, images in, logits out.

    Raises:
        UsageError: there are no images, or they are of another type or shape.
        ArtifactError: the file `model` cannot be read.
    """
    if not len(images):
        raise UsageError("images: there must be at least one to compare; got none")
    reference = _Reference(graph.run(images), graph.saliency(images) if explain else None)
    rows = [_row(name, partial(_run_other, run, images), reference) for name, run in (others or {}).items()]
    try:
        data = _content(graph, model, explain=explain)
    except UsageError as error:
        return (*rows, *(Row(name, "missing", str(error)) for name in (_NATIVE, _WEB)))
    return (*rows, *_native(data, images, reference), *_in_web(data, images, reference, web))


def verify_settings(
    model: str | Path | bytes, images: UInt8[np.ndarray, "n c h w"], *, web: Web | None = None
) -> tuple[Row, ...]:
    """Compare an ONNX file alone, whose network is not at hand: every setting with ONNX Runtime without optimisations,
    on one thread, one image at a time.

    Args:
        model: the file, or its content.
        images: pixels 0..255, at least one image.
        web: Node.js and the package; looked for when left out.

    Raises:
        UsageError: the package onnxruntime is not installed, or there are no images, or they are of another type or
            shape.
        ArtifactError: the file cannot be read, or is not one of ours.
    """
    if not len(images):
        raise UsageError("images: there must be at least one to compare; got none")
    data = model if isinstance(model, bytes) else read_file(Path(model))
    session = Session(data, optimize=False)
    singles = [images[i : i + 1] for i in range(len(images))]
    if session.explains:
        pairs = [session.explain(one) for one in singles]
        maps = np.concatenate([pair[1] for pair in pairs]).astype(np.float64)
        reference = _Reference(np.concatenate([pair[0] for pair in pairs]), maps)
    else:
        reference = _Reference(np.concatenate([session.run(one) for one in singles]), None)
    return (*_native(data, images, reference), *_in_web(data, images, reference, web))


@dataclass(frozen=True, eq=False)
class _Reference:
    logits: Float32[np.ndarray, "n k"]
    maps: Float64[np.ndarray, "n h w"] | None


def _content(graph: IntGraph, model: str | Path | bytes | None, *, explain: bool) -> bytes:
    if model is None:
        return bytes(onnx_model(graph, explain=explain).SerializeToString())
    return model if isinstance(model, bytes) else read_file(Path(model))


def _run_other(run: Logits, images: _Array) -> _Outputs:
    return run(images), None


def _native(data: bytes, images: _Array, reference: _Reference) -> Iterator[Row]:
    try:
        need("onnxruntime", _NATIVE)
    except UsageError as error:
        yield Row(_NATIVE, "missing", str(error))
        return
    for optimize, threads, batch in product((True, False), (1, 2), _batch_sizes(images)):
        name = f"{_NATIVE}, optimisations {'on' if optimize else 'off'}, threads {threads}, batch {batch}"
        yield _row(name, partial(_run_session, data, images, reference, optimize, threads, batch), reference)


def _run_session(
    data: bytes, images: _Array, reference: _Reference, optimize: bool, threads: int, batch: int
) -> _Outputs:
    session = Session(data, threads=threads, optimize=optimize)
    parts = [images[start : start + batch] for start in range(0, len(images), batch)]
    if not session.explains or reference.maps is None:
        return np.concatenate([session.run(part) for part in parts]), None
    pairs = [session.explain(part) for part in parts]
    return np.concatenate([logits for logits, _ in pairs]), np.concatenate([maps for _, maps in pairs])


def _in_web(data: bytes, images: _Array, reference: _Reference, web: Web | None) -> Iterator[Row]:
    try:
        web = web or find_web()
    except UsageError as error:
        yield Row(_WEB, "missing", str(error))
        return
    sizes = _batch_sizes(images)
    names = [f"{_WEB} {web.version}, batch {batch}" for batch in sizes]
    try:
        every = web.run([WebJob(data, images, batch) for batch in sizes])
    except GlassbitError as error:
        yield from (Row(name, "failed", str(error)) for name in names)
        return
    for name, outputs in zip(names, every, strict=True):
        yield _compare(name, outputs[LOGITS], outputs.get(SALIENCY), reference)


def _batch_sizes(images: _Array) -> list[int]:
    return [1, len(images)]


def _row(backend: str, run: Callable[[], _Outputs], reference: _Reference) -> Row:
    try:
        logits, maps = run()
    except GlassbitError as error:
        return Row(backend, "failed", str(error))
    return _compare(backend, logits, maps, reference)


def _compare(backend: str, logits: _Array, maps: _Array | None, reference: _Reference) -> Row:
    if logits.shape != reference.logits.shape or logits.dtype != np.float32:
        got, wanted = f"{logits.dtype} {logits.shape}", f"float32 {reference.logits.shape}"
        return Row(backend, "failed", f"logits must be {wanted}; got {got}")
    if maps is not None and reference.maps is not None and maps.shape != reference.maps.shape:
        return Row(backend, "failed", f"saliency maps must be {reference.maps.shape}; got {maps.shape}")
    error = None if maps is None or reference.maps is None else relative_error(maps, reference.maps)
    differs = logits.view(np.uint32) != reference.logits.view(np.uint32)
    places = np.argwhere(differs)
    return Row(
        backend,
        "differs" if len(places) or (error is not None and error > MAPS) else "equal",
        images=len(logits),
        differing=int(differs.any(1).sum()),
        first=(int(places[0, 0]), int(places[0, 1])) if len(places) else None,
        largest=float(np.abs(logits.astype(np.float64) - reference.logits).max()),
        saliency=error,
    )


def relative_error(maps: _Array, reference: Float64[np.ndarray, "n h w"]) -> float:
    """`max |difference| / max |reference|`, over all maps; infinite where one has NaN or infinity."""
    if not np.isfinite(maps).all() or not np.isfinite(reference).all():
        return float("inf")
    largest = float(np.abs(reference).max())
    difference = float(np.abs(maps - reference).max())
    return difference / largest if largest else difference
