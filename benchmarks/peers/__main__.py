"""Glassbit beside its peers, in one run: training steps, memory, latency, file sizes.

    make bench
    python -m benchmarks.peers --only pact brevitas --rounds 5 --threads 1

Peers that need other packages get a virtual environment each under .bench/, made once (about 1 GB each). A peer that
cannot be installed or run appears in the result as absent, with the reason. Nothing else should run on the machine;
the default takes about a quarter of an hour on two idle cores. Results go to .bench/peers.json and .md. A
full measurement belongs in results/performance.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
from pathlib import Path
from typing import Any, get_args

from benchmarks.onnx_latency import processor
from glassbit.intgraph import load

from ._entries import BASES, ENTRIES, Entry, Kind
from ._environments import ROOT, interpreters
from ._measure import measure, say, versions
from ._report import block, write

_PREDICTED = [1, 64]


def main() -> None:
    """Measure and write."""
    options = parse()
    entries = {kind: chosen(kind, options.only) for kind in get_args(Kind)}
    everything = [entry for listed in entries.values() for entry in listed]
    result = header(options, everything)
    path = options.out / "peers"
    ready = interpreters({entry.environment for entry in everything}, offline=options.offline)
    for threads in options.threads:
        for kind, listed in entries.items():
            batches = [options.batch] if kind == "training" else _PREDICTED
            found = measure(listed, ready, threads=threads, batches=batches, rounds=options.rounds, run=options.run)
            if found:
                result["versions"] |= versions(found)
                result["blocks"] += [block(kind, threads, batch, options.rounds, found) for batch in batches]
                write(result, path)
    say(f"written: {path.with_suffix('.json').name} and .md")


def header(options: argparse.Namespace, entries: list[Entry]) -> dict[str, Any]:
    """The result before anything is measured."""
    return {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "command": command(options),
        "network": "ResNet-20, 3 x 32 x 32, random weights" + (", in inference those of a run" if options.run else ""),
        "cpu": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "entries": {
            entry.name: {"bits": entry.bits, "settings": entry.settings, "read": entry.links} for entry in entries
        },
        "versions": {},
        "blocks": [],
    }


def chosen(kind: Kind, only: list[str] | None) -> list[Entry]:
    """The entries of a kind; with names, those and what their ratios are to."""
    entries = [entry for entry in ENTRIES.values() if entry.kind == kind]
    if only is None:
        return entries
    named = [entry for entry in entries if entry.name in only]
    return [entry for entry in entries if entry in named or entry.name == BASES[kind]] if named else []


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds",
        type=positive,
        default=15,
        help="turns of every entry (default 15); the paper's form, which is slow, takes one turn in three",
    )
    parser.add_argument("--batch", type=positive, default=128, help="images of a training step (default 128)")
    parser.add_argument(
        "--threads", type=positive, nargs="+", default=[1, 2], help="numbers of threads, one after the other (1 2)"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(ENTRIES),
        metavar="NAME",
        help=f"these, and what their ratios are to: {', '.join(ENTRIES)}",
    )
    parser.add_argument("--offline", action="store_true", help="install nothing; peers not yet installed are absent")
    parser.add_argument(
        "--run", type=Path, help="inference: a run's folder, a ResNet-20 of plan w4a4, for weights that are not random"
    )
    parser.add_argument("--out", type=Path, default=ROOT / ".bench", help="folder of the results (.bench)")
    options = parser.parse_args()
    if max(options.threads) > (os.cpu_count() or 1):
        parser.error(f"--threads must be at most {os.cpu_count()}, the number of cores; got {max(options.threads)}")
    if options.run is not None and not fits(options.run / "model.glassbit"):
        parser.error(
            f"--run must be a folder with the model.glassbit of a ResNet-20 of plan w4a4 on images of 3 x 32 x 32; "
            f"got {options.run}"
        )
    return options


def fits(artifact: Path) -> bool:
    """Whether a file holds the network that is measured."""
    if not artifact.exists():
        return False
    graph = load(artifact)
    shape = (graph.preprocessing.channels, graph.preprocessing.height, graph.preprocessing.width)
    return (graph.about.network, graph.about.plan, shape) == ("resnet20", "w4a4", (3, 32, 32))


def positive(text: str) -> int:
    """A number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1; got {number}")
    return number


def command(options: argparse.Namespace) -> str:
    """What was called, without the folders of this machine."""
    threads = " ".join(map(str, options.threads))
    parts = [f"python -m benchmarks.peers --rounds {options.rounds} --batch {options.batch} --threads {threads}"]
    parts += [f"--only {' '.join(options.only)}"] if options.only else []
    parts += ["--run RUN"] if options.run else []
    return " ".join(parts)


if __name__ == "__main__":
    main()
