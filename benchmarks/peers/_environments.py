"""The virtual environments of the peers, made once under `.bench/`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from ._entries import Environment

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".bench"

REQUIREMENTS: dict[Environment, tuple[str, ...]] = {
    "brevitas": ("torch==2.13.0", "jaxtyping>=0.3", "brevitas==0.13.4"),
    "torchao": ("torch==2.13.0", "jaxtyping>=0.3", "numpy>=2", "torchao==0.18.0"),
}
"""Besides the peer, what Glassbit's networks need to be imported. Glassbit itself comes from `src`."""


class AbsentError(Exception):
    """Why something could not be measured."""


def python(environment: Environment, *, offline: bool) -> Path:
    """The interpreter of an environment, which is made where it is missing or has other requirements.

    Raises:
        AbsentError: it is missing and could not be made.
    """
    if environment == "glassbit":
        return Path(sys.executable)
    folder, wanted = CACHE / environment, "\n".join(REQUIREMENTS[environment])
    interpreter, stamp = folder / "bin" / "python", folder / "requirements.txt"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return interpreter
    if offline:
        raise AbsentError(f"{REQUIREMENTS[environment][-1]} is not installed, and --offline forbids to install it")
    print(f"installing {REQUIREMENTS[environment][-1]} into .bench/{environment}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _run(environment, [sys.executable, "-m", "venv", str(folder)], "a virtual environment could not be made")
    install = [str(interpreter), "-m", "pip", "install", "--disable-pip-version-check", *REQUIREMENTS[environment]]
    _run(environment, install, f"pip could not install {REQUIREMENTS[environment][-1]}")
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
