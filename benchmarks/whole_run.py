"""The share of a training run that is not its steps: data, augmentation, evaluation, log, checkpoints.

    python -m benchmarks.whole_run --json whole.json
    python -m benchmarks.whole_run --data mnist --data-dir DATA

`glassbit.fit` runs as it is, with a folder to write to, on `cnn-bn` and images of MNIST's shape: the smallest step
there is, so the largest share of everything else. The parts are timed by the clock on the wall, inside `fit`; what is
in none of them is "rest". A step is forward, backward, the optimizer and the sums of its losses. The built-in data
are repeated up to as many images as MNIST has. Each arm is a process of its own; its first epoch pays for what
happens once.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from unittest.mock import patch

from benchmarks import _arms

ARMS = ("fp32", "pact", "sgt", "sgt+pact")
PARTS = {
    "step": ("glassbit.train._trainer.step",),
    "evaluation": ("glassbit.train._trainer.tally",),
    "checkpoints": ("glassbit.train._trainer.save_checkpoint",),
    "log": (
        "glassbit.train._trainer.append_line",
        "glassbit.train._trainer.levels",
        "glassbit.train._trainer.steps",
        "glassbit.train._monitor.Shares.shares",
        "glassbit.train._trainer._means",
    ),
    "display": ("glassbit.train._trainer.Display.step", "glassbit.train._trainer.Display.epoch"),
    "set-up": (
        "glassbit.train._trainer.make_fabric",
        "glassbit.train._trainer.splits",
        "glassbit.train._trainer.describe",
        "glassbit.train._phase.parameter_groups",
        "glassbit.train._phase.make_optimizer",
        "glassbit.train._trainer.Display",
    ),
    "augmentation": ("glassbit.datasets._batches.shift", "glassbit.datasets._batches.mirror"),
}


class Clock:
    """Seconds by part; of one part inside another, only the inner one counts."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.inside: list[float] = []

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to a part."""

        @wraps(function)
        def call(*arguments: Any, **options: Any) -> Any:
            self.inside.append(0.0)
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                seconds = time.perf_counter() - started
                self.seconds[part] += seconds - self.inside.pop()
                if self.inside:
                    self.inside[-1] += seconds

        return call

    def data(self, epoch: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Batches, the time to make each added to `data`."""

        def batches(*arguments: Any) -> Iterator[Any]:
            following = self.timed("data", epoch(*arguments).__next__)
            while True:
                try:
                    batch = following()
                except StopIteration:
                    return
                yield batch

        return batches


def watched(clock: Clock, stack: ExitStack) -> None:
    """Put the clock around every part of `fit`."""
    from glassbit.datasets import Batches

    for part, places in PARTS.items():
        for place in places:
            stack.enter_context(patch(place, clock.timed(part, resolve_name(place))))
    stack.enter_context(patch.object(Batches, "epoch", clock.data(Batches.epoch)))


def measure(arm: str, options: argparse.Namespace) -> dict[str, Any]:
    """One run."""
    import torch

    from glassbit import models
    from glassbit.train import fit, keep_freed_memory

    torch.set_num_threads(options.threads)
    kept = keep_freed_memory(options.device)
    data = images(options)
    model = models.Classifier(
        models.cnn_bn(classes=len(data.classes), channels=data.channels), mean=data.mean, std=data.std
    )
    objective = _arms.objective(arm, model)
    clock = Clock()
    with ExitStack() as stack:
        out = stack.enter_context(tempfile.TemporaryDirectory())
        watched(clock, stack)
        started = time.perf_counter()
        history = fit(
            objective,
            data,
            epochs=options.epochs,
            batch_size=options.batch,
            lr=0.05,
            flip=options.augment,
            crop=2 if options.augment else 0,
            device=options.device,
            out=out,
        )
        whole = time.perf_counter() - started
    seconds = dict(clock.seconds) | {"rest": whole - sum(clock.seconds.values())}
    return {
        "arm": arm,
        "seconds": round(whole, 3),
        "images per second": [record["images_per_second"] for record in history.epochs],
        "share outside the steps": round(1 - seconds["step"] / whole, 4),
        "shares": {part: round(value / whole, 4) for part, value in sorted(seconds.items(), key=lambda pair: -pair[1])},
        "freed memory kept": kept,
    }


def images(options: argparse.Namespace) -> Any:
    """The data set, with so many training images."""
    import torch

    from glassbit import datasets

    data = datasets.load(options.data, data_dir=options.data_dir, download=False)
    rows = torch.arange(options.images) % len(data.train)
    return datasets.Dataset(data.name, data.train.subset(rows), data.test, data.classes)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="fashion-mini", help="a data set of 28 x 28 images (default fashion-mini)")
    parser.add_argument("--data-dir", help="folder with its files")
    parser.add_argument("--images", type=int, default=60_000, help="to train and validate on (default 60000)")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    parser.add_argument("--augment", action="store_true", help="mirror and crop")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.arms[0], options)))
        return
    import torch

    from glassbit.study._facts import hardware

    result: dict[str, Any] = {
        "command": f"python -m benchmarks.whole_run --data {options.data} --images {options.images} --epochs "
        f"{options.epochs} --batch {options.batch} --threads {options.threads}{' --augment' * options.augment}",
        "hardware": hardware(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "runs": [],
    }
    for arm in options.arms:
        words = [word for word in sys.argv[1:] if word not in ARMS and word != "--arms"]
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.whole_run", *words, "--here", "--arms", arm],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
        result["runs"].append(found)
        print(json.dumps(found, indent=2), flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
