"""A back end: one program that runs an integer network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from glassbit.intgraph import IntGraph

from ._onnx import onnx_model

Logits = Callable[[IntGraph, UInt8[np.ndarray, "n c h w"]], Float32[np.ndarray, "n k"]]


class Outputs(NamedTuple):
    """What a back end answers.

    Args:
        logits: float32 `(n, k)`.
        maps: saliency maps of the predicted classes `(n, h, w)`; None where it makes none.
    """

    logits: np.ndarray[Any, Any]
    maps: np.ndarray[Any, Any] | None = None


Way = tuple[str, Callable[[], Outputs]]


@dataclass(frozen=True, eq=False)
class Task:
    """A network and images to run it on.

    Args:
        images: pixels 0..255, at least one image.
        graph: the network; None where only its ONNX file is at hand.
        file: the content of its ONNX file; None to export the graph.
        explain: whether maps are wanted.
    """

    images: UInt8[np.ndarray, "n c h w"]
    graph: IntGraph | None = None
    file: bytes | None = None
    explain: bool = True

    def onnx(self) -> bytes:
        """Return the content of the ONNX file; where there is none, the graph is exported once.

        Raises:
            UsageError: the package onnx is not installed.
        """
        return self._exported if self.file is None else self.file

    @cached_property
    def _exported(self) -> bytes:
        assert self.graph is not None
        return bytes(onnx_model(self.graph, explain=self.explain).SerializeToString())

    @property
    def batches(self) -> tuple[int, int]:
        """Images at a time: one, and all."""
        return 1, len(self.images)


@dataclass(frozen=True)
class Backend:
    """A row of the table of back ends.

    Args:
        name: of the program.
        needs: raises a `UsageError` where something is not installed; the text says what, and how to get it.
        run: every way to run the task, with a name that begins with that of the program.
        reads: the graph, or its ONNX file.
    """

    name: str
    needs: Callable[[], object]
    run: Callable[[Task], Sequence[Way]]
    reads: Literal["graph", "onnx"] = "onnx"


def from_logits(name: str, logits: Logits, *, needs: Callable[[], object] = lambda: None) -> Backend:
    """Return a back end that reads the graph and has one way to run it.

    Args:
        name: of the program.
        logits: a graph and images in, logits out.
        needs: see `Backend`.
    """

    def run(task: Task) -> tuple[Way]:
        graph = task.graph
        assert graph is not None
        return ((name, lambda: Outputs(logits(graph, task.images))),)

    return Backend(name, needs, run, reads="graph")
