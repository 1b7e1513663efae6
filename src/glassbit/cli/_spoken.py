"""Messages from below the command line, in the words of the command that was called.

The library speaks to whoever calls it: `size=64` in Python, `size: 64` in a recipe. A user of `glassbit train` has
neither, but the flag `--size 64`; a user of `glassbit study` has the recipe. Every message passes through here once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

_VALUE = r"""'[^']*'|"[^"]*"|\[[^\]]*\]|[\w.+/-]*[\w+/-]"""
_PYTHON = re.compile(rf"(?<![\w.`/-])([a-z_]+)=({_VALUE})?(?=[\s,.;:)`]|$)")
_YAML = re.compile(r"`([a-z_]+): ([^`]+)`|\(([a-z_]+): ([\w.+-]+)\)")
_SNAKE = re.compile(r"(?<![\w.`=/-])([a-z]+(?:_[a-z]+)+)(?![\w=(/])")
_SUBJECT = re.compile(r"(?<![\w.`-])([a-z]+)(?= must\b| \(\d+\))")
_ASIDE = re.compile(r" \(in Python: [^)]*\)")
_COMMON = frozenset(
    {"alpha", "data", "every", "fill", "images", "model", "plan", "start", "target", "weight", "weights"}
)
"""Flags whose names are also words for something else: `images must be uint8` is not about `--images`."""


@dataclass(frozen=True)
class Speaker:
    """Puts messages into the words of a command.

    Args:
        flags: of the command, by the key that Python and recipes have for them.
        recipe: whether the command takes its settings from a recipe instead.
    """

    flags: Mapping[str, str]
    recipe: bool = False

    def __call__(self, message: object) -> str:
        """Return the message in the words of the command."""
        if not self.flags:
            return str(message)
        text = _ASIDE.sub("", str(message))
        text = _PYTHON.sub(self._python, text)
        if self.recipe:
            return text
        text = _YAML.sub(self._yaml, text)
        text = _SNAKE.sub(lambda found: self.flags.get(found[1], found[0]), text)
        return _SUBJECT.sub(self._subject, text)

    def _python(self, found: re.Match[str]) -> str:
        key, value = found[1], (found[2] or "").strip("'\"")
        if key in self.flags:
            return f"{self.flags[key]} {value}".rstrip()
        if key not in _keys():
            return found[0]
        if self.recipe:
            return f"`{key}: {value}`" if value else f"`{key}:`"
        return f"{key.replace('_', ' ')} {value}".rstrip()

    def _yaml(self, found: re.Match[str]) -> str:
        key, value = found[1] or found[3], found[2] or found[4]
        if key not in self.flags:
            return found[0]
        flag = f"{self.flags[key]} {value}"
        return f"`{flag}`" if found[1] else f"({flag})"

    def _subject(self, found: re.Match[str]) -> str:
        return found[0] if found[1] in _COMMON else self.flags.get(found[1], found[0])


def speaker(arguments: Sequence[str]) -> Speaker:
    """Return the speaker of the command that `arguments` call.

    Args:
        arguments: what stands after `glassbit`.
    """
    from glassbit.cli._texts import COMMANDS, DATA_COMMANDS

    words = list(arguments[:2])
    words = words if words[:1] == ["data"] else words[:1]
    if not words or words[0] not in COMMANDS or (words[0] == "data" and words[-1] not in DATA_COMMANDS):
        return Speaker({})
    return Speaker(_flags(tuple(words)), recipe=words == ["study"])


@cache
def _flags(words: tuple[str, ...]) -> dict[str, str]:
    from glassbit.cli._main import application

    app = application()
    for word in words:
        app = app[word]
    names = [name for argument in app.assemble_argument_collection() for name in argument.names]
    flags = {name[2:].replace("-", "_"): name for name in names if name.startswith("--")}
    return flags | ({"dir": flags["data_dir"]} if "data_dir" in flags else {})


@cache
def _keys() -> frozenset[str]:
    """Return what a run can be asked for, by any command."""
    return frozenset(_flags(("train",))) | {"method"}
