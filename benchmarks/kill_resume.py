"""Kill a study at random moments, go on, and compare with one that ran through: the same bits, or exit status 1.

    OMP_NUM_THREADS=1 python benchmarks/kill_resume.py --kills 100 --jobs 1

Trains a small grid (fp32 and sgt+pact at 4 bits, a narrow cnn-bn on 500 of the embedded images) once without
interruptions. Then trains it with interruptions by SIGKILL, afresh each time that it finishes. Compares every
checkpoint tensor, every log line and every result each time, timings left out. Each start is a fork of a process that
has imported Glassbit and done nothing else, so that the kills meet the work and not the imports.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from glassbit import datasets
from glassbit.cli import main as command
from glassbit.train import load_checkpoint

RECIPE = """
name: killed
data: {data}
model: {{name: cnn-bn, arguments: {{width: 4}}}}
arms: [fp32, sgt+pact]
plans: [w4a4]
training: {{epochs: 6, batch_size: 50, optimizer: adamw, lr: 0.004, weight_decay: 0.01}}
evaluation: {{images: 20}}
transparency: {{images: 20}}
"""
TIMINGS = {"seconds", "images_per_second", "train_seconds", "started"}
FORKS = multiprocessing.get_context("forkserver")
IMPORTED = ["glassbit.cli._study", "glassbit.study", "glassbit.build", "glassbit.report", "lightning.fabric"]


def few_images(path: Path) -> None:
    """The first 500 and 100 embedded images, as a file."""
    data = datasets.load("fashion-mini")
    arrays = {"classes": np.array(data.classes)}
    for part, images, count in (("train", data.train, 500), ("test", data.test, 100)):
        arrays |= {
            f"{part}_images": np.asarray(images.images[:count]),
            f"{part}_labels": np.asarray(images.labels[:count]),
        }
    np.savez(path, **arrays)


def work(words: list[str], said: Path) -> None:
    """One call of `glassbit`, in a session of its own, so that a kill takes its worker processes too."""
    os.setsid()
    with said.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(command(words))


def start(recipe: Path, out: Path, jobs: int) -> BaseProcess:
    """Start the study in the background."""
    words = ["study", str(recipe), "--out", str(out), "--jobs", str(jobs)]
    process = FORKS.Process(target=work, args=(words, recipe.with_suffix(".log")))
    process.start()
    return process


def kill(process: BaseProcess) -> None:
    """SIGKILL for the whole session."""
    assert process.pid is not None
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # before it had a session
        process.kill()
    process.join()


def finish(process: BaseProcess, recipe: Path) -> None:
    """Wait for success."""
    process.join()
    if process.exitcode:
        sys.exit(recipe.with_suffix(".log").read_text())


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


def compare(whole: Path, parts: Path, equal: dict[str, bool]) -> None:
    """Note in `equal` which runs differ; say in which files."""
    for run in equal:
        ours, theirs = content(whole / "runs" / run), content(parts / "runs" / run)
        differing = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
        if differing:
            print(f"{run}: {', '.join(differing)} differ", file=sys.stderr)
            equal[run] = False


def main() -> None:
    """Run the comparison and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    FORKS.set_forkserver_preload(IMPORTED)
    with tempfile.TemporaryDirectory() as folder:
        recipe, whole, parts = (Path(folder) / name for name in ("killed.yaml", "whole", "parts"))
        few_images(recipe.with_name("few.npz"))
        recipe.write_text(RECIPE.format(data=recipe.with_name("few.npz")))
        FORKS.Process(target=int).start()  # the imports
        began = time.monotonic()
        finish(start(recipe, whole, options.jobs), recipe)
        length = time.monotonic() - began
        equal = dict.fromkeys(sorted(path.name for path in (whole / "runs").iterdir()), True)
        moments: list[float] = []
        done_before = 0
        while len(moments) < options.kills:
            process = start(recipe, parts, options.jobs)
            moment = chance.uniform(0.05, 0.7) * length
            process.join(moment)
            if process.is_alive():
                kill(process)
                moments.append(round(moment, 1))
                print(f"{len(moments)} of {options.kills} kills", file=sys.stderr)
            else:
                done_before += 1
                finish(process, recipe)
                compare(whole, parts, equal)
                shutil.rmtree(parts)
        finish(start(recipe, parts, options.jobs), recipe)
        compare(whole, parts, equal)
    report = {"kills": len(moments), "seconds": moments, "finished_between": done_before, "bit_identical": equal}
    print(json.dumps({**report, "torch": torch.__version__, "threads": torch.get_num_threads()}, indent=2))
    sys.exit(0 if all(equal.values()) else 1)


if __name__ == "__main__":
    main()
