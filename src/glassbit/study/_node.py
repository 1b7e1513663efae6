"""What a node of a cluster does for a study. Sent there by value, and standard library only: a node on which Glassbit
is missing can say so.
"""

from __future__ import annotations

import json
import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from ._process import FAILED, begin, discard, end, failure

_POLL = 0.2
_SIGKILL = 9


def look(token: str, here: str, version: str) -> tuple[str, ...]:
    """Return what keeps this node from working on a study; nothing when it can.

    Args:
        token: a file that was just written into the study's folder.
        here: the working folder of who started the study.
        version: of Glassbit there.
    """
    problems = []
    try:
        mine = metadata.version("glassbit")
    except metadata.PackageNotFoundError:
        mine = "no version"
    if mine != version:
        problems.append(f"must have glassbit {version} installed; got {mine}; install that version")
    folder = Path(token).parent
    if not Path(token).is_file():
        text = f"must see the study's folder {folder}; got no such folder"
        problems.append(f"{text}; use storage that every node sees (--out)")
    elif not os.access(folder, os.W_OK):
        problems.append(f"must be allowed to write into the study's folder {folder}; got no permission; allow it")
    if not Path(here).is_dir():
        text = f"must see the current folder {here}; got no such folder"
        problems.append(f"{text}; start the study in a folder that every node sees")
    return tuple(problems)


def attend(job: dict[str, Any], token: str, here: str, cache: str | None) -> tuple[str | None, dict[str, Any]]:
    """Do a run in a process of its own and wait for it: the message of its failure or None, and its result.

    When the process is killed, so is this one: Ray then sees a lost worker, and gives the run to another.

    Args:
        job: see `Job.for_process`.
        token, here: see `look`; a node may have joined after all others were asked.
        cache: the folder of downloaded data sets, as in GLASSBIT_CACHE; None is this node's own.
    """
    if not Path(token).is_file():
        return f"the node {platform.node()} does not see the study's folder {Path(token).parent}", {}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    if cache is not None:
        environment["GLASSBIT_CACHE"] = cache
    begun = (Path(job["out"]) / "run.json").is_file()
    process = begin(job, environment, here=here)
    try:
        while process.poll() is None:
            time.sleep(_POLL)  # in Python, where a cancelled task is interrupted
    finally:
        end([process])
    if process.returncode == -_SIGKILL:
        os.kill(os.getpid(), _SIGKILL)
    out = Path(job["out"])
    message = failure(out, process.returncode)
    if message and process.returncode == FAILED and not begun:
        discard(out)
    return message, {} if message else json.loads((out / "result.json").read_text(encoding="utf-8"))
