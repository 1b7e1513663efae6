"""The same ONNX file in onnxruntime-web (WebAssembly), run by Node.js."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from glassbit._errors import RunError, UsageError
from glassbit._takes import FOUND, optional, takes

from ._names import IMAGE, LOGITS, PREDICTED, SALIENCY, TARGET

PACKAGE = "onnxruntime-web"
FOLDER = "GLASSBIT_WEB"
"""The environment variable that names the folder of the npm package."""
_TARGET = {"target": TARGET, "predicted": PREDICTED}


@dataclass(frozen=True, eq=False)
class WebJob:
    """A model and its images.

    Args:
        model: the ONNX file's content.
        images: pixels 0..255 of the network's size, at least one image.
        batch: images at a time; all when left out.
        optimize: whether onnxruntime-web may rewrite the graph.
    """

    model: bytes
    images: UInt8[np.ndarray, "n c h w"]
    batch: int | None = None
    optimize: bool = True


@dataclass(frozen=True)
class Web:
    """Node.js and the npm package onnxruntime-web.

    Args:
        node: the program.
        folder: where `npm install --prefix FOLDER onnxruntime-web` has put the package.
        version: of the package.
    """

    node: Path
    folder: Path
    version: str

    def run(self, jobs: Sequence[WebJob]) -> list[dict[str, np.ndarray[Any, Any]]]:
        """Run jobs one after another in one process.

        Maps are those of the predicted class. Where the file asks for a `target` it is told so; files of version 1 have
        a default, which onnxruntime-web takes and cannot change.

        Returns:
            The outputs of each job by name: `logits`, and `saliency` where the model has it.

        Raises:
            RunError: Node.js ended with an error.
        """
        with tempfile.TemporaryDirectory() as name, as_file(files("glassbit.runtime") / "web" / "run.mjs") as script:
            folder = Path(name)
            runs = [_write(folder, number, job) for number, job in enumerate(jobs)]
            description = {"package": str(self.folder), "folder": str(folder), "runs": runs}
            (folder / "job.json").write_text(json.dumps(description), encoding="utf-8")
            answers = self._node(script, folder / "job.json")
            return [_read(folder, number, shapes) for number, shapes in enumerate(answers)]

    def _node(self, script: Path, job: Path) -> list[list[dict[str, list[int]]]]:
        command = [str(self.node), str(script), str(job)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            must, said = f"{PACKAGE} {self.version}: must run in {self.node}", done.stderr.strip()[-2000:]
            raise RunError(f"{must}; got the exit code {done.returncode}; repair what it says:\n{said}")
        answer: list[list[dict[str, list[int]]]] = json.loads(done.stdout.splitlines()[-1])
        return answer


@takes(folder=optional(FOUND))
def find_web(folder: str | Path | None = None) -> Web:
    """Find Node.js and the package.

    Args:
        folder: where the package is installed; else what the environment variable GLASSBIT_WEB names, else
            `~/.cache/glassbit/web`.

    Raises:
        UsageError: one of them is missing; the text says how to get it.
    """
    place = Path(folder or os.environ.get(FOLDER) or Path("~/.cache/glassbit/web")).expanduser()
    node = shutil.which("node")
    if node is None:
        raise UsageError(f"{PACKAGE}: Node.js 18 or newer must be installed; got no program called node on the path")
    description = place / "node_modules" / PACKAGE / "package.json"
    if not description.exists():
        raise UsageError(
            f"{PACKAGE}: must be in {place}; got no such package; install it with `npm install --prefix {place} "
            f"{PACKAGE}`, or name another folder in the environment variable {FOLDER}"
        )
    return Web(Path(node), place, json.loads(description.read_text(encoding="utf-8"))["version"])


def _write(folder: Path, number: int, job: WebJob) -> dict[str, Any]:
    model = folder / f"{number}.onnx"
    model.write_bytes(job.model)
    batches = []
    step = job.batch or len(job.images)
    for start in range(0, len(job.images), step):
        part = job.images[start : start + step]
        file = folder / f"{number}.{start}.in"
        file.write_bytes(part.tobytes())
        batches.append({"file": str(file), "shape": part.shape})
    return {"model": str(model), "optimize": job.optimize, "input": IMAGE, "batches": batches, **_TARGET}


def _read(folder: Path, number: int, shapes: list[dict[str, list[int]]]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the outputs of all batches of a job, each in one piece."""
    return {
        name: np.concatenate(
            [
                np.fromfile(folder / f"{number}.{name}.{batch}.out", np.float32).reshape(shape[name])
                for batch, shape in enumerate(shapes)
            ]
        )
        for name in (LOGITS, SALIENCY)
        if name in shapes[0]
    }
