"""Whether every back end computes what the network's definition says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, UInt8

from glassbit._arrays import array
from glassbit._errors import GlassbitError, UsageError
from glassbit._takes import SWITCH, instance, optional, several, takes
from glassbit.intgraph import IntGraph

from ._backend import Backend, Outputs, Task
from ._backends import BACKENDS
from ._described import described
from ._kinds import GRAPH, PIXELS
from ._session import MODEL, Session, content

MAPS = 1e-5
"""The largest error of maps, relative to the largest value of all maps: they are computed in float32."""
TABLE = several(instance(Backend, "a back end", "leave the table out"))
MAP = array(3, "(n, h, w)", "iuf")
_Array = np.ndarray[Any, Any]


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


@takes(graph=GRAPH, images=PIXELS, model=optional(MODEL), explain=SWITCH, backends=TABLE)
def verify(
    graph: IntGraph,
    images: UInt8[np.ndarray, "n c h w"],
    *,
    model: str | Path | bytes | None = None,
    explain: bool = True,
    backends: Sequence[Backend] = BACKENDS,
) -> tuple[Row, ...]:
    """Run images through every back end of this machine, and compare with the definition in NumPy integers.

    Every way to run a back end is a row. A back end that is not installed is a row that says so.

    Args:
        graph: the network.
        images: pixels 0..255, at least one image.
        model: an ONNX file, or its content, to test instead of a fresh export.
        explain: whether saliency maps are compared as well, where the file has them.
        backends: the table to walk through; when left out, those that need no torch.

    Raises:
        UsageError: there are no images, or they are of another type or shape.
        ArtifactError: the file `model` cannot be read, or is not one of ours.
    """
    if not images.ndim or not len(images):
        raise UsageError("images: there must be at least one to compare; got none")
    data = None if model is None else content(model)
    if data is not None:
        with suppress(UsageError):  # without the package onnx, the rows say what is missing
            described(data, _source(model))
    reference = Outputs(graph.run(images), graph.saliency(images) if explain else None)
    return tuple(_rows(Task(images, graph, data, explain), reference, backends))


@takes(model=MODEL, images=PIXELS, backends=TABLE)
def verify_settings(
    model: str | Path | bytes, images: UInt8[np.ndarray, "n c h w"], *, backends: Sequence[Backend] = BACKENDS
) -> tuple[Row, ...]:
    """Compare an ONNX file alone, whose network is not at hand: every setting with ONNX Runtime without optimisations,
    on one thread, one image at a time.

    Args:
        model: the file, or its content.
        images: pixels 0..255, at least one image.
        backends: the table to walk through; those that read the graph are passed over.

    Raises:
        UsageError: the package onnxruntime is not installed, or there are no images, or they are of another type or
            shape.
        ArtifactError: the file cannot be read, or is not one of ours.
    """
    if not images.ndim or not len(images):
        raise UsageError("images: there must be at least one to compare; got none")
    data = content(model)
    described(data, _source(model))
    session = Session(data, optimize=False)
    singles = [images[i : i + 1] for i in range(len(images))]
    if session.explains:
        logits, maps = zip(*(session.explain(one) for one in singles), strict=True)
        reference = Outputs(np.concatenate(logits), np.concatenate(maps).astype(np.float64))
    else:
        reference = Outputs(np.concatenate([session.run(one) for one in singles]))
    return tuple(_rows(Task(images, file=data), reference, backends))


def _source(model: object) -> str:
    return str(model) if isinstance(model, str | Path) else "model"


def _rows(task: Task, reference: Outputs, backends: Sequence[Backend]) -> Iterator[Row]:
    for backend in backends:
        if backend.reads == "graph" and task.graph is None:
            continue
        try:
            if backend.reads == "onnx":
                task.onnx()
            backend.needs()
            ways = backend.run(task)
        except UsageError as error:
            yield Row(backend.name, "missing", str(error))
            continue
        for name, run in ways:
            yield _row(name, run, reference)


def _row(backend: str, run: Callable[[], Outputs], reference: Outputs) -> Row:
    try:
        return _compare(backend, *run(), reference)
    except GlassbitError as error:
        return Row(backend, "failed", str(error))


def _compare(backend: str, logits: _Array, maps: _Array | None, reference: Outputs) -> Row:
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


@takes(maps=MAP, reference=MAP)
def relative_error(maps: _Array, reference: Float64[np.ndarray, "n h w"]) -> float:
    """`max |difference| / max |reference|`, over all maps; infinite where one has NaN or infinity."""
    if maps.shape != reference.shape or not maps.size:
        must = "one shape (n, h, w), and not empty"
        got = f"{maps.shape} and {reference.shape}"
        raise UsageError(
            f"relative_error: maps and reference must have {must}; got {got}; pass those of the same images"
        )
    if not np.isfinite(maps).all() or not np.isfinite(reference).all():
        return float("inf")
    largest = float(np.abs(reference).max())
    difference = float(np.abs(maps - reference).max())
    return difference / largest if largest else difference
