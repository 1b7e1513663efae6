"""The virtual environments of the peers, made once under `.bench/`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from ._entries import Environment

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".bench"

CONSTRAINTS = ROOT / "constraints.txt"

PEERS: dict[Environment, str] = {"brevitas": "brevitas==0.13.4", "torchao": "torchao==0.18.0"}
SHARED = ("torch", "numpy", "jaxtyping")
"""What Glassbit's networks need to be imported; Glassbit itself comes from `src`."""


class AbsentError(Exception):
    """Why something could not be measured."""


Interpreters = dict[Environment, Path | AbsentError]


def interpreters(environments: set[Environment], *, offline: bool) -> Interpreters:
    """The interpreter of each environment, or why there is none; what is missing is made first."""
    found: Interpreters = {}
    for environment in sorted(environments):
        try:
            found[environment] = python(environment, offline=offline)
        except AbsentError as error:
            found[environment] = error
    return found


def python(environment: Environment, *, offline: bool) -> Path:
    """The interpreter of an environment, which is made where it is missing or has other requirements.

    Raises:
        AbsentError: it is missing and could not be made.
    """
    if environment == "glassbit":
        return Path(sys.executable)
    folder, peer = CACHE / environment, PEERS[environment]
    wanted = "\n".join([peer, *SHARED, CONSTRAINTS.read_text(encoding="utf-8")])
    interpreter, stamp = folder / "bin" / "python", folder / "requirements.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return interpreter
    if offline:
        raise AbsentError(f"{peer} is not installed, and --offline forbids to install it")
    print(f"installing {peer} into .bench/{environment}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _run(environment, [sys.executable, "-m", "venv", str(folder)], "a virtual environment could not be made")
    install = [str(interpreter), "-m", "pip", "install", "--disable-pip-version-check", "-c", str(CONSTRAINTS)]
    _run(environment, [*install, peer, *SHARED], f"pip could not install {peer}")
    stamp.write_text(wanted, encoding="utf-8")
    return interpreter


def _run(environment: Environment, command: list[str], failure: str) -> None:
    """Run a command whose output goes to a log."""
    log = CACHE / "logs" / f"install-{environment}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise AbsentError(f"{failure}; {log.relative_to(ROOT)} says why")
