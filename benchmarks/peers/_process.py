"""The driving side of a worker."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import threading
from pathlib import Path
from typing import IO, Any

from ._entries import Entry
from ._environments import CACHE, ROOT, AbsentError

_PATIENCE = 900.0
"""Seconds that a worker may take for one answer; compiling on a slow machine takes minutes."""


class Worker:
    """An entry's process.

    Args:
        entry: what it measures.
        interpreter: of its environment.
        request: what the worker reads first.

    Raises:
        AbsentError: it could not start.
    """

    def __init__(self, entry: Entry, interpreter: Path, request: dict[str, Any]) -> None:
        threads = str(request["threads"])
        self.log = CACHE / "logs" / f"{entry.name}-{threads}.log"
        self.log.parent.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            **dict(entry.variables),
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
            "TORCHINDUCTOR_CACHE_DIR": str(CACHE / "inductor"),
            "TORCH_EXTENSIONS_DIR": str(CACHE / "extensions"),
        }
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [str(interpreter), "-m", "benchmarks.peers._worker"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                bufsize=1,
            )
        assert self.process.stdout is not None
        self.answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=_forward, args=(self.process.stdout, self.answers), daemon=True).start()
        ready = self._ask({"entry": entry.name, **request})
        self.versions: dict[str, str] = ready["versions"]
        self.facts: dict[str, Any] = ready["facts"]

    def turn(self, batch: int) -> float:
        """Milliseconds of a turn.

        Raises:
            AbsentError: the worker ended, or takes too long.
        """
        return round(float(self._ask({"batch": batch})["ms"]), 4)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            answer = self.answers.get(timeout=_PATIENCE)
        except queue.Empty:
            self.close()
            raise AbsentError(f"no answer within {_PATIENCE:.0f} s") from None
        except BrokenPipeError:
            answer = None
        if answer is None:
            self.close()
            log = self.log.read_text(encoding="utf-8", errors="replace")
            raise AbsentError(reason(log, self.process.returncode))
        parsed: dict[str, Any] = json.loads(answer)
        return parsed


def reason(log: str, code: int) -> str:
    """Why a process ended: the last line of its log, with neither addresses nor the folders of this machine."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    if code < 0 or not lines:
        return f"the process ended with code {code} and did not say why"
    last = re.sub(r"\w+://\S+", "(an address)", lines[-1])
    return re.sub(r"(?:/[\w.+@-]+)+/([\w.+@-]+)", r"\1", last)[:300]


def _forward(stream: IO[str], answers: queue.Queue[str | None]) -> None:
    for line in stream:
        answers.put(line)
    answers.put(None)
