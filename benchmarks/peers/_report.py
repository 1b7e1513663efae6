"""The result as JSON and as Markdown."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ._entries import ADDED, BASES, COMPARISONS, ENTRIES, PEAK, SAVED, Kind
from ._measure import Found
from ._statistics import Ratio, Times, ratio

RULES = """\
Every entry runs in a process of its own, with its own virtual environment where it needs one. The processes take turns:
in each round every entry works once while the others wait, and the order rotates. A ratio is that of two times of the
same round; shown are the median of the ratios, their quartiles in brackets, and the least and the most. Compare ratios,
not milliseconds.

A training step is the forward passes, the backward passes and the update by SGD with momentum, on random images that
are the same for all. *Saved* is the most that autograd holds for backward passes at any time of a step, every storage
once, parameters left out. *Peak* is the most main memory that the process had up to the end of its first steps or
predictions, imports and compilation included; *over start* is what of it the steps added. A time of inference is the
median of some runs in a turn, from uint8 images to logits. Sizes are in units of 1000.
"""


def block(kind: Kind, threads: int, batch: int, rounds: int, found: Found) -> dict[str, Any]:
    """The numbers of one kind, number of threads and batch size."""
    times: dict[str, Times] = {name: measured["ms"][batch] for name, measured in found.items() if "ms" in measured}
    base = times.get(BASES[kind], {})
    return {
        "kind": kind,
        "threads": threads,
        "batch": batch,
        "rounds": rounds,
        "base": BASES[kind],
        "entries": {name: _entry(measured, times.get(name, {}), base) for name, measured in found.items()},
        "comparisons": [
            {**asdict(pair), "ratio": asdict(between)}
            for pair in COMPARISONS[kind]
            if (between := ratio(times.get(pair.over, {}), times.get(pair.under, {}))) is not None
        ],
    }


def _entry(measured: dict[str, Any], times: Times, base: Times) -> dict[str, Any]:
    if not times:
        return {"absent": measured.get("absent", "no round was measured")}
    to_base = ratio(times, base)
    return {
        "median ms": statistics.median(times.values()),
        "ratio to base": None if to_base is None else asdict(to_base),
        "ms by round": times,
        **measured["facts"],
    }


def write(result: dict[str, Any], path: Path) -> None:
    """`path`.json and `path`.md."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text("\n".join(markdown(result)) + "\n", encoding="utf-8")


def markdown(result: dict[str, Any]) -> Iterator[str]:
    """The lines of the Markdown file."""
    yield f"# Glassbit and its peers, {result['date']}\n"
    yield f"`{result['command']}`\n"
    yield f"{result['network']}. {result['cpu']}, {result['cores']} cores. Python {result['python']}.\n"
    for environment, versions in result["versions"].items():
        yield f"- {environment}: " + ", ".join(f"{name} {version}" for name, version in versions.items())
    yield ""
    yield RULES
    for found in result["blocks"]:
        yield from _tables(found)
    yield "## What was measured\n"
    yield "| entry | bits | settings | read |\n|---|---|---|---|"
    for name, entry in result["entries"].items():
        links = ", ".join(f"[{number}]({link})" for number, link in enumerate(entry["read"], 1))
        yield _row([name, entry["bits"] or "–", entry["settings"], links])


def _tables(found: dict[str, Any]) -> Iterator[str]:
    training = found["kind"] == "training"
    what = "Training step" if training else "Inference"
    yield f"## {what}, batch {found['batch']}, {found['threads']} thread{'s' if found['threads'] > 1 else ''}\n"
    memory = ["saved MB", "ratio", "peak MB", "over start MB"] if training else ["file kB", "peak MB"]
    columns = ["entry", "bits", "ms", f"ratio to {found['base']}", "least..most", "rounds", *memory]
    yield _row(columns)
    yield "|---|---|" + "---:|" * (len(columns) - 2)
    for name, entry in found["entries"].items():
        bits = ENTRIES[name].bits or "–"
        if "absent" in entry:
            yield _row([name, bits, f"absent: {entry['absent']}", *[""] * (len(columns) - 3)])
        else:
            sizes = _training_memory(entry, found["entries"][found["base"]]) if training else _inference_memory(entry)
            rounds = str(len(entry["ms by round"]))
            yield _row([name, bits, f"{entry['median ms']:.2f}", *_shown(entry["ratio to base"]), rounds, *sizes])
    yield ""
    if found["comparisons"]:
        yield "| over | under | ratio | least..most | target |\n|---|---|---:|---:|---|"
        for pair in found["comparisons"]:
            yield _row([pair["over"], pair["under"], *_shown(pair["ratio"]), pair["target"]])
        yield ""


def _shown(found: dict[str, float] | None) -> tuple[str, str]:
    """A ratio with its quartiles, and its extremes."""
    if found is None:
        return "–", "–"
    between = Ratio(**found)  # type: ignore[arg-type]
    quartiles = f"{between.median:.2f} ({between.lower:.2f}..{between.upper:.2f})"
    return quartiles, f"{between.least:.2f}..{between.most:.2f}"


def _training_memory(entry: dict[str, Any], base: dict[str, Any]) -> list[str]:
    saved = entry[SAVED]
    to_base = f"{saved / base[SAVED]:.2f}" if SAVED in base else "–"
    return [f"{saved / 1e6:.0f}", to_base, f"{entry[PEAK] / 1e6:.0f}", f"{entry[ADDED] / 1e6:.0f}"]


def _inference_memory(entry: dict[str, Any]) -> list[str]:
    files = ", ".join(f"{name} {size / 1e3:.0f}" for name, size in entry["file, bytes"].items())
    return [files or "–", f"{entry[PEAK] / 1e6:.0f}"]


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
