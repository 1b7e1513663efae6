"""What can go wrong, as one tree:

    GlassbitError
    ├── UsageError      the caller asked for something impossible: a recipe, a flag, an argument (exit code 2)
    │   ├── RecipeError several problems of one recipe, reported together
    │   └── ExportError several reasons why one network has no form in integers, reported together
    ├── DataError       files that are missing, unreadable or not what they should be (exit code 1)
    ├── RunError        a run that could not be trained, resumed or read back (exit code 1)
    │   ├── VersionError a file of a run that another version of Glassbit wrote
    │   └── UnreadableError an existing file of a run that cannot be read now: no permission, say
    ├── DiskError       a file that cannot be written: no room, no permission, a folder in its place (exit code 1)
    ├── GraphError      several problems of one integer network, reported together (exit code 1)
    └── ArtifactError   a network file that is foreign, damaged or newer than this version (exit code 1)

Every text says which thing is wrong, what it must be, what was found, and how to repair it.
"""

from __future__ import annotations

from collections.abc import Sequence

from glassbit._count import counted
from glassbit._text import excerpt, printable


class GlassbitError(Exception):
    """The root: catch it to catch every error that Glassbit raises on purpose.

    Its text is safe to print, whatever the names of files in it hold.
    """

    def __str__(self) -> str:
        return printable(super().__str__(), keep="\n")


class UsageError(GlassbitError, ValueError):
    """An argument, flag or recipe that cannot be carried out."""


class RecipeError(UsageError):
    """All problems of one recipe.

    Args:
        source: the file (or other name) of the recipe.
        problems: one line each, with the place and the repair.
    """

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.source = source
        self.problems = tuple(problems)
        super().__init__(_listed(source, problems))


class ExportError(UsageError):
    """All reasons why a network cannot be computed in integers.

    Args:
        problems: one line each, which starts with the name of the layer.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = counted(len(problems), "thing has", "things have")
        super().__init__("\n".join([f"deploy: {count} no form in integer arithmetic", *(f"  - {p}" for p in problems)]))


class DataError(GlassbitError):
    """Image or label files that are missing, damaged or odd."""


class RunError(GlassbitError):
    """A training run that cannot go on or cannot be read back."""


class VersionError(RunError):
    """A file of a run in a format that this version does not know."""


class UnreadableError(RunError):
    """An existing file of a run that may be intact, but cannot be read now."""


class DiskError(GlassbitError, OSError):
    """A file or folder that cannot be written; an `OSError` too, with its `errno` and `filename`."""

    def __str__(self) -> str:
        return printable(self.args[0], keep="\n")


class GraphError(GlassbitError):
    """All problems of one integer network.

    Args:
        problems: one line each, which starts with the name of the node.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(_listed("the integer network", problems))


class ArtifactError(GlassbitError):
    """A file of an integer network that cannot be trusted or understood."""


class GlassbitWarning(UserWarning):
    """Something went on, but not quite as asked; the text says what and where."""


_MOST_PROBLEMS, _LONGEST_PROBLEM = 50, 1000


def _listed(source: str, problems: Sequence[str]) -> str:
    lines = [f"  - {excerpt(problem, _LONGEST_PROBLEM)}" for problem in problems[:_MOST_PROBLEMS]]
    more = [f"  ... and {len(problems) - _MOST_PROBLEMS} more"] if len(problems) > _MOST_PROBLEMS else []
    return "\n".join([f"{printable(source)}: {counted(len(problems), 'problem')}", *lines, *more])
