"""What all files of a run have in common: strict types, frozen values, one version, one error."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, ValidationError

from glassbit._errors import RunError, VersionError
from glassbit._files import read_object, write_json

T = TypeVar("T")


def _number(value: Any) -> Any:
    """Refuse anything but a finite number; a whole one stays an int, as it was written."""
    try:
        finite = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        finite = False
    if not finite:
        raise ValueError("must be a finite number")
    return value


def _between(least: float, most: float, value: Any) -> Any:
    if not least <= _number(value) <= most:
        raise ValueError(f"must be {least} to {most}")
    return value


if TYPE_CHECKING:
    Number = float
    Share = float
    Amount = float
else:
    Number = Annotated[Any, PlainValidator(_number)]
    Share = Annotated[Any, PlainValidator(partial(_between, 0, 1))]
    Amount = Annotated[Any, PlainValidator(partial(_between, 0, math.inf))]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Several = Annotated[tuple[T, ...], Field(strict=False)]
"""JSON has lists for it."""
_VERSION = 1
_SHOWN = 3


class Part(BaseModel):
    """A JSON object. Values have the type that is written there; keys that are missing or new do not matter."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)


class Stored(Part):
    """A whole file, or a line of one. A file that does not say its version has version 1."""

    @classmethod
    def from_json(cls, value: object, *, path: Path, repair: str) -> Self:
        """Make it of what a file holds.

        Args:
            value: read from JSON.
            path: the file.
            repair: ends the message.

        Raises:
            VersionError: the file is of another version.
            RunError: keys are missing or of another type; the text names them.
        """
        version = value.get("version", _VERSION) if isinstance(value, dict) else _VERSION
        if version != _VERSION or isinstance(version, bool):
            shown = str(version)[:80]
            raise VersionError(f"{path}: version must be {_VERSION}; got {shown}; update Glassbit, or {repair}")
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            keys = dict.fromkeys(".".join(map(str, problem["loc"])) or "all of it" for problem in error.errors())
            listed = ", ".join(list(keys)[:_SHOWN]) + (" and others" if len(keys) > _SHOWN else "")
            raise RunError(
                f"{path}: must hold what Glassbit writes there; got other values ({listed}); {repair}"
            ) from error

    @classmethod
    def read(cls, path: Path, *, repair: str, clean: Callable[[Any], Any] = lambda value: value) -> Self:
        """Read a file.

        Args:
            path: the file.
            repair: ends the message.
            clean: changes what was read before it is looked at.

        Raises:
            RunError: it cannot be read, or is not what `from_json` takes.
        """
        return cls.from_json(clean(read_object(path, repair)), path=path, repair=repair)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, in the order of the file; what was not given is left out."""
        return self.model_dump(mode="json", exclude_unset=True)

    def write(self, path: Path) -> None:
        """Write the file."""
        write_json(path, self.to_json())
