"""Where downloads and mapped images are kept."""

from __future__ import annotations

import os
from pathlib import Path

import pooch

from glassbit._takes import FOUND, optional, takes


@takes(cache_dir=optional(FOUND))
def cache_folder(cache_dir: Path | str | None = None) -> Path:
    """`cache_dir` if given, else what the environment variable GLASSBIT_CACHE names, else the platform's own place."""
    chosen = cache_dir or os.environ.get("GLASSBIT_CACHE") or pooch.os_cache("glassbit")
    return Path(chosen).expanduser()
