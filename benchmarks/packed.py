"""Pack the runs of a study into one file, one line per run, and unpack them again.

    python -m benchmarks.packed pack runs/STUDY/runs results/STUDY/runs.jsonl
    python -m benchmarks.packed unpack results/STUDY/runs.jsonl runs/STUDY/runs

A line holds the folder's name, `run.json`, `result.json` and the lines of `log.jsonl`. Weights are not packed. A study
goes on from unpacked runs, and `glassbit report` reads them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def pack(runs: Path, file: Path) -> int:
    """Write the finished runs below a folder to one file; return how many."""
    folders = sorted(path.parent for path in runs.glob("*/result.json"))
    lines = [json.dumps(_packed(folder), sort_keys=True) for folder in folders]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return len(lines)


def unpack(file: Path, runs: Path) -> list[Path]:
    """Write one folder per line of the file; return the folders.

    Raises:
        FileExistsError: a folder of a run exists already; nothing is overwritten.
    """
    folders = []
    for line in file.read_text(encoding="utf-8").splitlines():
        packed = json.loads(line)
        folder = runs / packed["name"]
        folder.mkdir(parents=True)
        for name in ("run", "result"):
            (folder / f"{name}.json").write_text(json.dumps(packed[name], indent=2) + "\n", encoding="utf-8")
        log = "".join(f"{json.dumps(entry)}\n" for entry in packed["log"])
        (folder / "log.jsonl").write_text(log, encoding="utf-8")
        folders.append(folder)
    return folders


def _packed(folder: Path) -> dict[str, Any]:
    log = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "name": folder.name,
        "run": json.loads((folder / "run.json").read_text(encoding="utf-8")),
        "result": json.loads((folder / "result.json").read_text(encoding="utf-8")),
        "log": [json.loads(line) for line in log],
    }


def main() -> None:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("action", choices=["pack", "unpack"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    if options.action == "pack":
        print(f"{pack(options.source, options.target)} runs in {options.target}")
    else:
        print(f"{len(unpack(options.source, options.target))} runs below {options.target}")


if __name__ == "__main__":
    main()
