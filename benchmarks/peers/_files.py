"""Makes the ONNX files that are measured, in a process of its own, so that the memory this takes is not the worker's.

python -m benchmarks.peers._files METHOD FILE [RUN]
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

_CALIBRATION = 256


def made(method: str, file: Path, run: Path | None) -> dict[str, Any]:
    """Write the file, and say how large files are and which kernels ONNX Runtime runs.

    Raises:
        SystemExit: it could not be made; stderr says why.
    """
    command = [sys.executable, "-m", "benchmarks.peers._files", method, str(file), *([] if run is None else [str(run)])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def images(count: int) -> Array:
    """Noise, uint8."""
    return np.random.default_rng(1).integers(0, 256, (count, 3, 32, 32)).astype(np.uint8)


def make(method: str, file: Path, run: Path | None = None) -> dict[str, Any]:
    """Write the file in this process."""
    from benchmarks.onnx_latency import resnet20
    from glassbit.intgraph import load
    from glassbit.runtime import float_twin, kernels, onnx_model

    graph = resnet20(4) if run is None else load(run / "model.glassbit")
    sizes: dict[str, int] = {}
    if method.startswith("glassbit"):
        file.write_bytes(onnx_model(graph, explain=method == "glassbit-explain").SerializeToString())
        artifact = file.with_suffix(".glassbit")
        graph.save(artifact)
        sizes["glassbit"] = artifact.stat().st_size
    else:
        file.write_bytes(float_twin(graph).SerializeToString())
        if method != "onnx-fp32":
            quantize_(file, unsigned=method == "onnx-qdq-u8s8")
    sizes["onnx"] = file.stat().st_size
    return {"file, bytes": sizes, "kernels": dict(sorted(kernels(file).items()))}


def quantize_(file: Path, *, unsigned: bool) -> None:
    """Turn a float32 file into 8 bits, by ONNX Runtime's own tool.

    Args:
        file: read, and written anew.
        unsigned: U8S8 with a scale per channel for weights; else the tool's defaults, S8S8 with a scale per tensor.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.parts = iter(np.split(images(_CALIBRATION), 16))

        def get_next(self) -> dict[str, Array] | None:
            part = next(self.parts, None)
            return None if part is None else {"image": part}

    ready = file.with_name("ready.onnx")
    quant_pre_process(str(file), str(ready))
    quantize_static(
        str(ready),
        str(file),
        Reader(),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8 if unsigned else QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=unsigned,
    )


if __name__ == "__main__":
    arguments = [Path(argument) for argument in sys.argv[2:]]
    print(json.dumps(make(sys.argv[1], *arguments)))
