"""What several processes bring to one training run, beside what the same cores could bring at best.

    python -m benchmarks.processes --json processes.json

`glassbit.fit` trains ResNet-20 on images of CIFAR-10's shape, the same global batch in four ways:

    one       one process with one thread
    threads   one process with a thread for every core
    ddp       a process for every core, one thread each, that exchange gradients (torchrun, gloo)
    apart     as many processes that know nothing of each other, each with its share of the images and of the batch: the
              ceiling, as `ddp` does this work and the exchange besides

The time is that of whole epochs after the first, which starts up, with evaluation; the ways take turns, and ratios are
of times of the same round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import _arms
from benchmarks.peers._statistics import Times, ratio

ARMS = ("fp32", "sgt+pact")
WAYS = ("one", "threads", "ddp", "apart")
STEPS = 12


def train(arm: str, batch: int, images: int, threads: int, epochs: int) -> float:
    """Seconds of an epoch, the median of all but the first."""
    import torch

    from glassbit.datasets import Dataset, Split
    from glassbit.models import Classifier, resnet20
    from glassbit.train import fit, keep_freed_memory

    torch.set_num_threads(threads)
    keep_freed_memory()
    torch.manual_seed(0)
    split = Split(
        torch.randint(256, (images, 3, 32, 32), dtype=torch.uint8), torch.arange(images, dtype=torch.int64) % 10
    )
    model = Classifier(resnet20(), mean=(0.5,) * 3, std=(0.25,) * 3)
    objective = _arms.objective(arm, model)
    data = Dataset("noise", split, split, tuple("0123456789"))
    history = fit(objective, data, epochs=epochs, batch_size=batch, lr=0.01, device="cpu", progress=False)
    return statistics.median(record["seconds"] for record in history.epochs[1:])


def measure(arm: str, way: str, batch: int, options: argparse.Namespace) -> float:
    """Seconds of an epoch, of the slowest process where there are several."""
    count = options.processes
    share = count if way == "apart" else 1
    threads = count if way == "threads" else 1
    point = [arm, batch // share, STEPS * batch // share, threads, options.epochs]
    start = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)] if way == "ddp" else []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{number}.json" for number in range(share)]
        running = [
            subprocess.Popen(
                [sys.executable, *start, "-m", "benchmarks.processes", "--point", json.dumps([*point, str(file)])],
                env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            )
            for file in files
        ]
        codes = [process.wait() for process in running]
        if any(codes):
            raise SystemExit(f"{arm}, {way}, {batch} images per step: a process failed; see above")
        return max(json.loads(file.read_text(encoding="utf-8")) for file in files)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[128, 512], help="images per step, over all processes"
    )
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="and threads (default: of the machine)")
    parser.add_argument("--epochs", type=int, default=3, help=f"of {STEPS} steps (default 3)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    options = parser.parse_args()
    import torch

    if options.point:
        *point, file = json.loads(options.point)
        seconds = train(*point)
        if os.environ.get("RANK", "0") == "0":
            Path(file).write_text(json.dumps(seconds), encoding="utf-8")
        if torch.distributed.is_initialized():
            torch.distributed.barrier()
            torch.distributed.destroy_process_group()
        return

    from glassbit.study._facts import hardware

    result: dict[str, Any] = {
        "command": f"python -m benchmarks.processes --batches {' '.join(map(str, options.batches))} "
        f"--arms {' '.join(options.arms)} --processes {options.processes} --epochs {options.epochs} "
        f"--rounds {options.rounds}",
        "hardware": hardware(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "runs": [],
    }
    for batch in options.batches:
        for arm in options.arms:
            times: dict[str, Times] = defaultdict(dict)
            for number in range(options.rounds):
                for way in WAYS:
                    times[way][number] = measure(arm, way, batch, options)
            found = {
                "arm": arm,
                "batch": batch,
                "seconds per epoch": times,
                "speed-up": {way: _ratio(times["one"], times[way]) for way in WAYS[1:]},
                "of the ceiling": {"ddp": _ratio(times["apart"], times["ddp"])},
            }
            result["runs"].append(found)
            print(json.dumps(found, indent=2), flush=True)
            if options.json is not None:
                options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _ratio(over: Times, under: Times) -> dict[str, float]:
    found = ratio(over, under)
    return {} if found is None else asdict(found)


if __name__ == "__main__":
    main()
