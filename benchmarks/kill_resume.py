"""Kill a study at random moments, go on, and compare with one that ran through: the same bits, or exit status 1.

    python benchmarks/kill_resume.py --kills 20 --jobs 1

Trains a small grid (fp32 and sgt+pact at 4 bits, a narrow cnn-bn on the embedded images) once without and once with
interruptions by SIGKILL, then compares every checkpoint tensor, every log line and every result, timings left out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from glassbit.train import load_checkpoint

RECIPE = """
name: killed
data: fashion-mini
model: {name: cnn-bn, arguments: {width: 4}}
arms: [fp32, sgt+pact]
plans: [w4a4]
training: {epochs: 6, optimizer: adamw, lr: 0.004, weight_decay: 0.01}
evaluation: {images: 100}
"""
TIMINGS = {"seconds", "images_per_second", "train_seconds", "started"}


def start(recipe: Path, out: Path, jobs: int) -> subprocess.Popen[bytes]:
    """The study in a session of its own, so that a kill takes its worker processes too."""
    command = [sys.executable, "-m", "glassbit", "study", str(recipe), "--out", str(out), "--jobs", str(jobs)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL for the whole session."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def finish(process: subprocess.Popen[bytes]) -> None:
    """Wait for success."""
    _, errors = process.communicate()
    if process.returncode:
        sys.exit(errors.decode())


def plain(value: Any) -> Any:
    """`value` without timings, tensors as bytes."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key not in TIMINGS}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, torch.Tensor):
        return (value.dtype, tuple(value.shape), value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return value


def content(run: Path) -> dict[str, Any]:
    """Everything that a run leaves."""
    found: dict[str, Any] = {name: plain(load_checkpoint(run / name)) for name in ("last.pt", "best.pt")}
    found["log"] = [plain(json.loads(line)) for line in (run / "log.jsonl").read_text().splitlines()]
    found["result"] = plain(json.loads((run / "result.json").read_text()))
    for file in [*sorted(run.glob("probes/*.npz")), run / "explain.npz"]:
        with np.load(file) as arrays:
            found[file.name] = {name: arrays[name].tobytes() for name in arrays}
    return found


def main() -> None:
    """Run the comparison and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "killed.yaml"
        recipe.write_text(RECIPE)
        began = time.monotonic()
        finish(start(recipe, Path(folder) / "whole", options.jobs))
        length = time.monotonic() - began
        moments: list[float] = []
        done_before = 0
        while len(moments) < options.kills:
            process = start(recipe, Path(folder) / "parts", options.jobs)
            moment = chance.uniform(0.1, 0.7) * length
            try:
                process.wait(moment)
            except subprocess.TimeoutExpired:
                kill(process)
                moments.append(round(moment, 1))
            else:
                done_before += 1
                if process.returncode:
                    sys.exit(process.stderr.read().decode() if process.stderr else "failed")
                for name in ("last.pt", "result.json", "log.jsonl", "best.pt"):
                    for file in (Path(folder) / "parts").rglob(name):
                        file.unlink()
        finish(start(recipe, Path(folder) / "parts", options.jobs))
        runs = sorted(path.name for path in (Path(folder) / "whole/runs").iterdir())
        equal = {
            run: content(Path(folder) / "whole/runs" / run) == content(Path(folder) / "parts/runs" / run)
            for run in runs
        }
    report = {"kills": len(moments), "seconds": moments, "finished_between": done_before, "bit_identical": equal}
    print(json.dumps({**report, "torch": torch.__version__, "threads": torch.get_num_threads()}, indent=2))
    sys.exit(0 if all(equal.values()) else 1)


if __name__ == "__main__":
    main()
