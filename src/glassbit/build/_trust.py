"""Whether the network of a saved run may be built: its `run.json` can name any module of this machine."""

from __future__ import annotations

import sys
from importlib.machinery import BuiltinImporter, ModuleSpec, PathFinder
from pathlib import Path

from glassbit._errors import UsageError
from glassbit._text import brief, printable
from glassbit.recipe import NETWORKS


def check_trusted(name: str, *, trust: bool | str, source: Path) -> None:
    """Refuse to import what nobody but the run's own folder asks for.

    Args:
        name: of the network.
        trust: True imports anything; a name, as a recipe gives it, imports that and nothing else.
        source: the file that names the network.

    Raises:
        UsageError: the network does not come with Glassbit and is not trusted; nothing was imported.
    """
    if name in NETWORKS or trust is True or trust == name:
        return
    raise UsageError(
        f"{printable(source)}: model must be one of {', '.join(NETWORKS)}, or be trusted; got {brief(name)}, for which "
        f"{_place(name.partition(':')[0])} would be run; look into it, then add --trust (in Python trust=True)"
    )


def _place(module: str) -> str:
    """Return the file of a module, found without importing it or its packages."""
    where: list[str] | None = [str(Path.cwd()), *sys.path]
    spec: ModuleSpec | None = None
    parts = module.split(".")
    try:
        for count in range(1, len(parts) + 1):
            spec = (BuiltinImporter.find_spec(module) if count == 1 else None) or PathFinder.find_spec(
                ".".join(parts[:count]), where
            )
            if spec is None or (spec.submodule_search_locations is None and count < len(parts)):
                spec = None
                break
            where = list(spec.submodule_search_locations or ())
    except (ImportError, ValueError, OSError):
        spec = None
    if spec is None or spec.origin is None:
        return f"the module {printable(module)} (not found here)"
    return printable(spec.origin)
