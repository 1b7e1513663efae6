"""What the files of a run must look like, as far as a report reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from glassbit._errors import RunError

_SHOWN = 3


class _Part(BaseModel):
    """Numbers are numbers; keys that are missing or new do not matter."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Held(_Part):
    accuracy: float | None = None
    loss: float | None = None
    n: int | None = None


_Count = Annotated[int, Field(ge=0, lt=2**53)]


class _Tested(_Held):
    accuracy: float
    confusion: list[list[_Count]] | None = None

    @model_validator(mode="after")
    def _square(self) -> Self:
        if any(len(row) != len(self.confusion or ()) for row in self.confusion or ()):
            raise ValueError("confusion must be square")
        return self


class _Row(_Part):
    name: str
    kind: str | None = None
    weight_bits: int | None = None
    input_bits: int | None = None
    stored_bytes: float | None = None
    macs: float | None = None
    bitops: float | None = None


class _Cost(_Part):
    rows: list[_Row] = []
    stored_bytes: float | None = None
    macs: float | None = None
    bitops: float | None = None
    parameters: int | None = None


class _Masking(_Part):
    n: int | None = None
    fractions: list[float] = []
    accuracy: dict[str, dict[str, list[float]]] = {}


class _Deployed(_Part):
    test: _Held | None = None
    validation: _Held | None = None
    converted: _Held | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    bytes: dict[str, int] = {}
    speed_of_float: dict[str, float] = {}
    absent: str = ""


class Result(_Part):
    """`result.json`."""

    test: _Tested
    cost: _Cost | None = None
    masking: _Masking | None = None
    validation: _Held | None = None
    deployed: _Deployed | None = None
    best_epoch: int | None = None
    epochs: int | None = None
    train_seconds: float | None = None
    left: list[list[str]] = []


class Epoch(_Part):
    """A line of `log.jsonl`."""

    epoch: int
    arithmetic: str | None = None
    converted: _Held | None = None
    lr: float | None = None
    train: dict[str, float | None] | None = None
    validation: _Held | None = None
    alphas: dict[str, float | None] | None = None
    steps: dict[str, float | None] | None = None
    clipped: dict[str, float | None] | None = None
    zeros: dict[str, float | None] | None = None
    floored: list[str] | None = None
    seconds: float | None = None
    images_per_second: float | None = None


class _Images(_Part):
    train: int | None = None
    test: int | None = None
    classes: list[str] | None = None
    channels: int | None = None
    size: list[int] | None = None


class Head(_Part):
    """`run.json`."""

    id: str
    arm: str
    seed: int
    data: str | dict[str, Any]
    model: str | dict[str, Any]
    plan: str | dict[str, Any] | None = None
    objective: str | None = None
    config: dict[str, Any] | None = None
    images: _Images | None = None
    recipe_text: str | None = None
    versions: dict[str, Any] | None = None
    hardware: dict[str, Any] | None = None


class StudyHead(_Part):
    """`study.json`."""

    name: str | None = None
    runs: list[str] | None = None
    failed: dict[str, str] | None = None
    recipe_text: str | None = None
    versions: dict[str, Any] | None = None
    hardware: dict[str, Any] | None = None


def check(kind: type[BaseModel], value: object, path: Path, repair: str) -> None:
    """Refuse what a file holds where it is not of its kind.

    Args:
        kind: a model of this module.
        value: read from JSON.
        path: the file.
        repair: ends the message.

    Raises:
        RunError: the text names the first keys that are wrong.
    """
    try:
        kind.model_validate(value)
    except ValidationError as error:
        keys = dict.fromkeys(".".join(map(str, problem["loc"])) or "all of it" for problem in error.errors())
        listed = ", ".join(list(keys)[:_SHOWN]) + (" and others" if len(keys) > _SHOWN else "")
        raise RunError(f"{path}: must hold what Glassbit writes there, and does not ({listed}); {repair}") from error
