"""In a worker: predictions of one network, as a file of ONNX Runtime or in PyTorch."""

from __future__ import annotations

import io
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._entries import PEAK, Entry
from ._files import Array, images, made
from ._memory import resident

Run = Callable[[Array], object]

_WARM = 3
"""Untimed runs at the start of a turn of single images: other processes have had the caches since the last one."""


class Inference:
    """Predictions on random images.

    Args:
        entry: what predicts.
        threads: of one operator.
        batches: numbers of images.
        run: a run's folder whose network is taken, or None for random weights.
    """

    def __init__(self, entry: Entry, threads: int, batches: list[int], run: Path | None) -> None:
        self.images = {batch: images(batch) for batch in batches}
        self.made: dict[str, Any] = {"file, bytes": {}}
        if entry.method.startswith(("onnx", "glassbit")):
            self.runs = dict.fromkeys(batches, self._in_onnx_runtime(entry.method, threads, run))
        else:
            self.runs = {batch: self._in_torch(entry.method, threads, batch, run) for batch in batches}

    def facts(self) -> dict[str, Any]:
        """Warm up, and say how large file and process are."""
        for batch, predict in self.runs.items():
            for _ in range(_WARM):
                predict(self.images[batch])
        return {**self.made, PEAK: resident("VmHWM")}

    def turn(self, batch: int) -> float:
        """Milliseconds of one prediction, the median of some."""
        predict, pixels = self.runs[batch], self.images[batch]
        for _ in range(_WARM if batch == 1 else 1):
            predict(pixels)
        times = []
        for _ in range(max(3, 20 // batch)):
            start = time.perf_counter()
            predict(pixels)
            times.append(time.perf_counter() - start)
        return 1e3 * statistics.median(times)

    def _in_onnx_runtime(self, method: str, threads: int, run: Path | None) -> Run:
        from glassbit.runtime import Session
        from glassbit.runtime._session import open_session

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "network.onnx"
            self.made = made(method, file, run)
            if method.startswith("glassbit"):
                session = Session(file, threads=threads)
                return session.explain if session.explains else session.run
            opened = open_session(file, method, threads=threads, optimize=True)
        return lambda pixels: opened.run(None, {"image": pixels})

    def _in_torch(self, method: str, threads: int, batch: int, run: Path | None) -> Run:
        import torch

        torch.set_num_threads(threads)
        network = float_network(run)
        if method == "eager":
            return self._eager(network)
        need_compiler()
        if method == "torchao-int8":
            from ._torchao import converted

            predict = converted(network, torch.from_numpy(images(batch)))
        else:
            predict = torch.compile(network, dynamic=False)

        def compiled(pixels: Array) -> object:
            with torch.no_grad():
                return predict(torch.from_numpy(pixels))

        return compiled

    def _eager(self, network: Any) -> Run:
        import torch

        state = io.BytesIO()
        torch.save(network.state_dict(), state)
        self.made["file, bytes"] = {"state_dict": state.tell()}

        def eager(pixels: Array) -> object:
            with torch.inference_mode():
                return network(torch.from_numpy(pixels))

        return eager


def float_network(run: Path | None) -> Any:
    """The network in full precision, on uint8 images, in eval mode."""
    import torch

    from glassbit import models

    if run is None:
        torch.manual_seed(0)
        return models.Classifier(models.resnet20(), mean=(0.5,) * 3, std=(0.25,) * 3).eval()
    from glassbit.quant import dequantize_
    from glassbit.study import trained_model

    model = trained_model(run)
    dequantize_(model.network)
    return model.eval()


def need_compiler() -> None:
    """End with a reason where torch.compile has nothing to compile with."""
    if not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
        raise SystemExit("no C++ compiler: torch.compile needs g++ or clang++")
