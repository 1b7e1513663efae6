"""How fast one ONNX model is beside another, on this machine."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

from glassbit._takes import number, takes, whole

from ._names import IMAGE
from ._session import MODEL, open_session

if TYPE_CHECKING:
    import onnx


MOST_IMAGES = 10_000


@takes(
    model=MODEL,
    peer=MODEL,
    batch=whole(1, MOST_IMAGES, usual=1),
    seconds=number(0, 3600, usual=1.0),
)
def speed(model: onnx.ModelProto, peer: onnx.ModelProto, *, batch: int, seconds: float = 1.0) -> float:
    """How many times `model` answers while `peer` answers once, on one thread.

        median over turns of (time of peer / time of model)

    Both are run in turn in this process, so that whatever else slows the machine slows both.

    Args:
        model, peer: take uint8 images of one shape as `image`.
        batch: images at a time.
        seconds: for how long to take turns, after one that does not count; at least 5 turns are taken.

    Raises:
        UsageError: the package onnxruntime is not installed.
    """
    sessions = [open_session(one, "the model", threads=1, optimize=True) for one in (model, peer)]
    shape = [size for size in sessions[0].get_inputs()[0].shape if isinstance(size, int)]
    images = np.random.default_rng(0).integers(0, 256, (batch, *shape)).astype(np.uint8)
    ratios: list[float] = []
    until = time.perf_counter() + seconds
    while len(ratios) < 6 or time.perf_counter() < until:
        marks = [time.perf_counter()]
        for session in sessions:
            session.run(None, {IMAGE: images})
            marks.append(time.perf_counter())
        ratios.append((marks[2] - marks[1]) / (marks[1] - marks[0]))
    return statistics.median(ratios[1:])
