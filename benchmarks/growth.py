"""How time and memory of a step grow with batch, image size and depth, and those of a data set with its images.

    python -m benchmarks.growth --json growth.json --plot growth.png

Steps: ResNets in full precision with cross-entropy (`fp32`), and with 4-bit PACT and saliency guidance (`sgt+pact`);
one of batch, image size and depth varies at a time. Every point is a process of its own, so that its peak of memory
is its own: what the operating system counted at most, less what the process held before the first step. "per unit" is
the time of a step divided by what varies (images, pixels, layers), as a ratio to the smallest point: 1 is
proportional.

Images: bytes in the memory-mapped cache of `glassbit.datasets`, 32 x 32 x 3, read in the order of an epoch: once with
the file out of the page cache, once more from it. Anonymous memory is what the process needs; file memory belongs to
the page cache, and the kernel takes it back when it wants. The largest file is a quarter larger than the machine's
memory and is left out where the disk has no room.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks import _arms

ARMS = ("fp32", "sgt+pact")
AXES = ("batch", "size", "depth")
TITLES = {"batch": "images per step", "size": "pixels per side", "depth": "layers", "images": "gigabytes of images"}
SIDE = 32
_WHERE = ("json", "plot", "folder", "point")
GIGA = 10**9


def step_point(arm: str, batch: int, size: int, depth: int, *, steps: int, threads: int, device: str) -> dict[str, Any]:
    """Time and memory of steps of one network."""
    import torch

    from glassbit.models import Classifier
    from glassbit.models._resnet import ResNet
    from glassbit.train import keep_freed_memory
    from glassbit.train._evaluate import channels_last

    torch.set_num_threads(threads)
    kept = keep_freed_memory(device)
    torch.manual_seed(0)
    network = ResNet(f"resnet{depth}", (depth - 2) // 6, 10, 3, "A")
    model = Classifier(network, mean=(0.5,) * 3, std=(0.25,) * 3)
    objective = _arms.objective(arm, model)
    objective.to(device=device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.01, momentum=0.9)
    images = torch.randint(256, (batch, 3, size, size), dtype=torch.uint8, device=device)
    labels = torch.randint(10, (batch,), device=device)
    before = memory()["resident"]
    wall, process = [], []
    for number in range(steps + 1):
        started, used = time.perf_counter(), time.process_time()
        objective(channels_last(images), labels).total.backward()
        optimizer.step()
        optimizer.zero_grad()
        if device != "cpu":
            torch.cuda.synchronize()
        if number:  # the first one prepares kernels
            wall.append(time.perf_counter() - started)
            process.append(time.process_time() - used)
    peak = memory()["peak"] - before if device == "cpu" else torch.cuda.max_memory_allocated()
    return {
        "ms": round(1e3 * statistics.median(wall), 2),
        "ms of the processor": round(1e3 * statistics.median(process), 2),
        "peak MB": round(peak / 1e6, 1),
        "freed memory kept": kept,
    }


def images_point(path: str, read: int) -> dict[str, Any]:
    """Time and memory of reading a part of an epoch from the mapped file, twice."""
    import torch

    from glassbit.datasets import Batches, Split
    from glassbit.datasets._mapped import mapped

    torch.set_num_threads(1)
    stored = mapped(Path(path))
    batches = Batches(Split(stored, torch.zeros(len(stored), dtype=torch.int64)), batch_size=128, seed=0)
    count = min(len(batches), math.ceil(read / 128)) if read else len(batches)
    found: dict[str, Any] = {"images": len(stored), "read": count * 128, "before": memory()}
    for name in ("first", "again"):
        epoch = batches.epoch(1)
        started = time.perf_counter()
        next(epoch)
        ordered = time.perf_counter()
        taken = 1 + sum(1 for _ in islice(epoch, count - 1))
        seconds = time.perf_counter() - ordered
        found[name] = {
            "seconds to the first batch": round(ordered - started, 3),
            "microseconds per image": round(1e6 * seconds / max(1, (taken - 1) * 128), 3),
            **memory(),
        }
    return found


def memory() -> dict[str, int]:
    """Bytes that this process held at most, and holds: in all, of its own, and of files."""
    names = {"VmHWM": "peak", "VmRSS": "resident", "RssAnon": "anonymous", "RssFile": "file"}
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return {ours: int(fields[theirs].split()[0]) * 1024 for theirs, ours in names.items()}


def apart(function: str, *arguments: Any, **options: Any) -> dict[str, Any]:
    """A point, in a fresh process."""
    call = json.dumps([function, arguments, options])
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth", "--point", call], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"ended with exit code {done.returncode}"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def step_points(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every network of the three axes."""
    usual = {"batch": options.batch, "size": SIDE, "depth": 20}
    grid = {
        "batch": (options.batches, {}),
        "size": (options.sizes, {"batch": options.size_batch}),
        "depth": (options.depths, {"batch": options.depth_batch}),
    }
    settings = {"steps": options.steps, "threads": options.threads, "device": options.device}
    for axis in AXES:
        values, others = grid[axis]
        for arm in ARMS:
            first = None
            for value in values:
                place = {**usual, **others, axis: value}
                point = {"axis": axis, "arm": arm, **place, **apart("step_point", arm, **place, **settings)}
                if "ms" in point:
                    units = value**2 if axis == "size" else value
                    first = first or point["ms"] / units
                    point["per unit"] = round(point["ms"] / units / first, 3)
                yield point


def images_points(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Every size of the data set; its file is made, read and deleted."""
    import numpy as np

    from glassbit.pictures import Images

    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIGA
    sizes = [1.25 * whole if word == "memory" else float(word) for word in options.gigabytes]
    block = np.random.default_rng(0).integers(0, 256, (20_000, 3, SIDE, SIDE), np.uint8)
    for size in sizes:
        point = {"axis": "images", "gigabytes": round(size, 3), "of memory": round(size / whole, 3)}
        if shutil.disk_usage(options.folder or tempfile.gettempdir()).free < (size + 2) * GIGA:
            yield {**point, "failed": "the disk has no room"}
            continue
        shape = (max(128, round(size * GIGA / block[0].nbytes)), *block.shape[1:])
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            started = time.perf_counter()
            path = written(Images(shape, partial(repeated, block, shape[0])), Path(folder))
            point["seconds to write"] = round(time.perf_counter() - started, 2)
            forget(path)
            yield {**point, **apart("images_point", str(path), options.read)}


def repeated(block: Any, count: int) -> Iterator[Any]:
    """The same images again and again, `count` in all."""
    return (block[: count - start] for start in range(0, count, len(block)))


def written(images: Any, folder: Path) -> Path:
    """A file of the cache with these images."""
    from glassbit.datasets._store import collect

    collect(lambda: images, key=images.shape, cache_dir=folder, limit=0)
    (path,) = (folder / "images").glob("*.npy")
    return path


def forget(path: Path) -> None:
    """Put a file out of the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def plot(points: list[dict[str, Any]], path: Path) -> None:
    """A panel for each axis: time above, memory below."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(2, 4, figsize=(12, 5), layout="constrained")
    good = [point for point in points if "failed" not in point]
    for column, axis in enumerate(AXES):
        for arm in ARMS:
            row = [point for point in good if point["axis"] == axis and point["arm"] == arm]
            for panel, key in zip(panels[:, column], ("ms", "peak MB"), strict=True):
                panel.plot([point[axis] for point in row], [point[key] for point in row], "o-", ms=3, label=arm)
    row = [point for point in good if point["axis"] == "images"]
    size = [point["gigabytes"] for point in row]
    for name, label in (("first", "not cached"), ("again", "cached")):
        panels[0, 3].plot(size, [point[name]["microseconds per image"] for point in row], "o-", ms=3, label=label)
    for name in ("anonymous", "file"):
        panels[1, 3].plot(size, [point["first"][name] / 1e6 for point in row], "o-", ms=3, label=name)
    for column, axis in enumerate(TITLES):
        panels[0, column].set_ylabel("µs per image" if axis == "images" else "ms per step")
        panels[1, column].set_ylabel("MB held" if axis == "images" else "MB at the peak")
        for panel in panels[:, column]:
            if panel.lines and any(len(line.get_xdata()) for line in panel.lines):
                panel.set_xscale("log")
                panel.set_yscale("log")
                ticks = list(panel.lines[0].get_xdata())
                panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
                panel.minorticks_off()
                panel.legend(fontsize=7, frameon=False)
            panel.set_xlabel(TITLES[axis])
            panel.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the points to this file, after each")
    parser.add_argument("--plot", type=Path, help="write a PNG")
    parser.add_argument("--batches", type=int, nargs="*", default=[16, 32, 64, 128, 256, 512])
    parser.add_argument("--sizes", type=int, nargs="*", default=[28, 56, 112, 168, 224])
    parser.add_argument("--depths", type=int, nargs="*", default=[20, 32, 56, 110], help="6 n + 2")
    parser.add_argument("--gigabytes", nargs="*", default=["0.25", "1", "4", "memory"], help="of images")
    parser.add_argument("--batch", type=int, default=128, help="images per step where that does not vary (default 128)")
    parser.add_argument("--size-batch", type=int, default=16, help="where the image size varies (default 16)")
    parser.add_argument("--depth-batch", type=int, default=64, help="where the depth varies (default 64)")
    parser.add_argument("--steps", type=int, default=3, help="timed steps a point, after one that is not (default 3)")
    parser.add_argument("--read", type=int, default=200_000, help="images read of a file; 0: all (default 200000)")
    parser.add_argument("--threads", type=int, default=1, help="of torch, in steps (default 1)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--folder", help="for the files of images, on a disk (default: the folder of temporary files)")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        name, arguments, settings = json.loads(options.point)
        point = {"step_point": step_point, "images_point": images_point}[name](*arguments, **settings)
        print(json.dumps(point))
        return
    import torch

    from glassbit.study._facts import hardware

    started = time.perf_counter()
    result: dict[str, Any] = {
        "command": "python -m benchmarks.growth",
        "options": {name: value for name, value in vars(options).items() if name not in _WHERE},
        "hardware": hardware(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "threads": options.threads,
        "points": [],
    }
    for source in (step_points, images_points):
        for point in source(options):
            result["points"].append(point)
            print(json.dumps(point), flush=True)
            if options.json is not None:
                options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if options.plot is not None:
        plot(result["points"], options.plot)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
