"""One entry in a process of its own: JSON lines in, JSON lines out.

The first line in says what to measure; the first line out holds versions and facts. After that each line in asks for a
turn, and its answer is in milliseconds. Whatever a library prints goes to stderr; a failure ends the process, and its
last line there says why.
"""

from __future__ import annotations

import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from ._entries import ENTRIES

_PACKAGES = ("torch", "numpy", "onnx", "onnxruntime", "brevitas", "torchao")
_REST = 0.05
"""Seconds before a turn, in which the threads of the process before stop spinning."""


def main() -> None:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    request = json.loads(sys.stdin.readline())
    subject = make(request)
    print(json.dumps({"versions": versions(), "facts": subject.facts()}), file=answers)
    for line in sys.stdin:
        batch = json.loads(line)["batch"]
        time.sleep(_REST)
        print(json.dumps({"ms": subject.turn(batch)}), file=answers)


def make(request: dict[str, Any]) -> Any:
    """What is measured, a `Training` or an `Inference`; each is imported where it is needed, as it takes memory."""
    entry = ENTRIES[request["entry"]]
    if entry.kind == "training":
        from ._training import Training

        return Training(entry, request["threads"], *request["batches"])
    from ._inference import Inference

    return Inference(entry, request["threads"], request["batches"], Path(request["run"]) if request["run"] else None)


def versions() -> dict[str, str]:
    """Of the packages that matter, where they are installed."""
    installed = {distribution.name.lower() for distribution in metadata.distributions()}
    return {name: metadata.version(name) for name in _PACKAGES if name in installed}


if __name__ == "__main__":
    main()
