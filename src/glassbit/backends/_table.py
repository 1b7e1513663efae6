"""The table of back ends. It can be read without torch, which is imported when its row is run."""

from __future__ import annotations

import importlib.util

import numpy as np
from jaxtyping import Float32, UInt8

from glassbit import runtime
from glassbit._errors import UsageError
from glassbit.intgraph import IntGraph
from glassbit.runtime import from_logits


def _needs_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        raise UsageError("torch must be installed; got no such package")


def _pytorch(graph: IntGraph, images: UInt8[np.ndarray, "n c h w"]) -> Float32[np.ndarray, "n k"]:
    import torch

    from glassbit.deploy import TorchGraph

    with torch.inference_mode():
        logits: Float32[np.ndarray, "n k"] = TorchGraph(graph)(torch.from_numpy(images)).numpy()
    return logits


BACKENDS = (from_logits("PyTorch", _pytorch, needs=_needs_torch), *runtime.BACKENDS)
"""A row each; a new one is a line here, or in `runtime` where it needs no torch."""
