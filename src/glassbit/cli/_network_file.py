"""A network file, opened with what its kind needs and nothing more: neither torch nor anything that trains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8

from glassbit._errors import UsageError
from glassbit.intgraph import Preprocessing, load

ARTIFACT, ONNX = ".glassbit", ".onnx"
Maps = Callable[[UInt8[np.ndarray, "n c h w"], Int64[np.ndarray, " n"]], Float[np.ndarray, "n h w"]]


@dataclass(frozen=True)
class Network:
    """What can be done with a network file.

    Args:
        classes: the names of the logits.
        preprocessing: what an image file goes through before.
        run: logits of images.
        saliency: maps of images, for a class each; None where the file has none.
    """

    classes: tuple[str, ...]
    preprocessing: Preprocessing
    run: Callable[[UInt8[np.ndarray, "n c h w"]], Float32[np.ndarray, "n k"]]
    saliency: Maps | None


def kind_of(file: Path) -> str:
    """Which of the two kinds a file is, by the end of its name.

    Raises:
        UsageError: neither.
    """
    if file.suffix not in (ARTIFACT, ONNX):
        raise UsageError(f"FILE: must end with {ARTIFACT} or {ONNX}, as `glassbit export` writes them; got {file}")
    return file.suffix


def open_network(file: Path) -> Network:
    """Return a network file of either kind, ready to run: `.glassbit` in NumPy, `.onnx` in ONNX Runtime.

    Raises:
        UsageError: neither kind, or ONNX Runtime is not installed.
        ArtifactError: the file is damaged, or not one of ours.
    """
    if kind_of(file) == ARTIFACT:
        graph = load(file)
        return Network(graph.classes, graph.preprocessing, graph.run, graph.saliency)
    from glassbit.runtime import Session

    session = Session(file, threads=0)
    maps: Maps | None = (lambda images, targets: session.explain(images, targets)[1]) if session.explains else None
    return Network(session.classes, session.preprocessing, session.run, maps)
