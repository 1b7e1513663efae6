"""Files that were made to break their reader, through the commands that read them: exit status 1 unless each ends well.

    python -m benchmarks.hostile_files --artifacts 5000 --onnx 1500

Well is exit status 0, or 1 or 2 with a few printable lines on stderr that are not about a mistake of Glassbit's, soon,
and in little memory. Artifacts have a right digest. Each file goes through `inspect`, `predict` (also with `--explain`)
and `verify`.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import itertools
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import safetensors
from PIL import Image

from benchmarks._hostile import artifacts, onnx_files
from glassbit.cli import main as glassbit
from glassbit.intgraph import (
    Conv,
    Flatten,
    Input,
    IntGraph,
    Linear,
    Logits,
    MaxPool,
    Preprocessing,
    Requantize,
    Weights,
)
from glassbit.runtime import onnx_model

_SECONDS = 120
_LINES, _CHARACTERS = 70, 30_000


def network() -> IntGraph:
    """Two layers, a pool, three classes."""
    chance = np.random.default_rng(0)
    many = np.ones(4, np.int32)
    return IntGraph(
        nodes=(
            Input("image", channels=1, height=12, width=12, zero=0),
            Conv("conv", "image", Weights(chance.integers(0, 16, (4, 1, 3, 3), np.uint8), 4, "odd"), padding=(1, 1)),
            Requantize("relu", "conv", 100 * many, 77 * many, 12 * many, low=0, high=15),
            MaxPool("pool", "relu", (2, 2), (2, 2)),
            Flatten("flat", "pool"),
            Linear("fc", "flat", Weights(chance.integers(0, 4, (3, 144), np.uint8), 2, "odd")),
            Logits("logits", "fc", np.arange(3, dtype=np.int32), np.full(3, 0.01, np.float32)),
        ),
        classes=("a", "b", "c"),
        preprocessing=Preprocessing(channels=1, height=12, width=12),
    )


def outcome(words: list[str]) -> str:
    """How a command ends: `done`, `refused`, or what is wrong with its end."""
    out, err = io.StringIO(), io.StringIO()
    faulthandler.dump_traceback_later(_SECONDS, exit=True, file=sys.__stderr__)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = glassbit(words)
    except BaseException as error:  # noqa: BLE001 (which one it is, is the result)
        return f"crashed: {type(error).__name__}: {str(error)[:200]}"
    finally:
        faulthandler.cancel_dump_traceback_later()
    text = err.getvalue()
    lines = [line for line in text.splitlines() if not line.startswith(("comparing", "reading"))]
    if code not in (0, 1, 2) or (code and not (lines and lines[0].startswith(("glassbit: ", "note: ")))):
        return f"odd end: {code} {text[:200]!r}"
    if "mistake of its own" in text or "Traceback" in text or "not enough memory" in text:
        return f"not foreseen: {text[:300]}"
    if not all(line.isprintable() for line in out.getvalue().splitlines()):
        return "control characters on stdout"
    if len(lines) > _LINES or len(text) > _CHARACTERS or not all(line.isprintable() for line in lines):
        return f"not short or not printable: {len(lines)} lines, {len(text)} characters, {text[:200]!r}"
    return "refused" if code else "done"


def run(kind: str, files: Iterator[tuple[str, bytes]], folder: Path, chatty: bool) -> Counter[str]:
    """The outcomes of all files, all commands."""
    photo = folder / "photo.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20), np.uint8)).save(photo)
    outcomes: Counter[str] = Counter()
    for number, (name, data) in enumerate(files):
        path = folder / f"hostile{kind}"
        path.write_bytes(data)
        commands = {
            "inspect": ["inspect", str(path)],
            "predict": ["predict", str(path), str(photo)],
            "explain": ["predict", str(path), str(photo), "--explain", str(folder / "maps")],
            "verify": ["verify", str(path), "--images", "2"],
        }
        for command, words in commands.items():
            began = time.monotonic()
            found = outcome(words)
            seconds = time.monotonic() - began
            outcomes[f"{command} {found}" if found in ("done", "refused") else found] += 1
            if found not in ("done", "refused") or chatty or seconds > 10:
                print(f"{number} {name}: {command}: {found} {seconds:.1f} s", file=sys.stderr, flush=True)
                if found not in ("done", "refused"):
                    (folder.parent / f"bad-{number}-{command}{kind}").write_bytes(data)
    return outcomes


def main() -> None:
    """Run and print the counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--artifacts", type=int, default=500)
    parser.add_argument("--onnx", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--gigabytes", type=float, default=6, help="address space of the process; 0 for no limit")
    parser.add_argument("--chatty", action="store_true", help="a line on stderr per command")
    options = parser.parse_args()
    if options.gigabytes:
        most = int(options.gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    began = time.monotonic()
    whole = network()
    counts = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "in"
        folder.mkdir()
        os.environ["GLASSBIT_WEB"] = str(folder / "web")
        whole.save(folder / "whole.glassbit")
        data = (folder / "whole.glassbit").read_bytes()
        models = [onnx_model(whole, explain=explain).SerializeToString() for explain in (False, True)]
        signed = itertools.islice(artifacts(data, options.seed), options.artifacts)
        counts["artifacts"] = run(".glassbit", signed, folder, options.chatty)
        networks = itertools.islice(onnx_files(models[0], models[1], options.seed), options.onnx)
        counts["onnx"] = run(".onnx", networks, folder, options.chatty)
    report = {
        "artifacts": options.artifacts,
        "onnx": options.onnx,
        "outcomes": {kind: dict(sorted(found.items())) for kind, found in counts.items()},
        "largest_memory_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "seconds": round(time.monotonic() - began, 1),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
        "onnxruntime": onnxruntime.__version__,
        "onnx_version": onnx.__version__,
    }
    print(json.dumps(report, indent=2))
    good = {
        f"{command} {end}" for command in ("inspect", "predict", "explain", "verify") for end in ("done", "refused")
    }
    sys.exit(0 if all(set(found) <= good for found in counts.values()) else 1)


if __name__ == "__main__":
    main()
