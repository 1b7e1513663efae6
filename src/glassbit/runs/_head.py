"""`run.json` and `study.json`: what was asked, and with what it was done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from ._arms import Variant
from ._part import Count, Part, Several, Share, Stored

_Small = Annotated[int, Field(ge=1, le=2**16)]


class Images(Part):
    """The data set of a run.

    Args:
        train, test: how many images.
        classes: the class names.
        size: height and width, pixels.
        mean, std: of the training pixels per channel, in [0, 1] units.
        digests: SHA-256 of the images and labels of each part; runs of earlier versions have none.
        scaling: how arrays became pixels; see `Dataset`.
    """

    train: Count | None = None
    test: Count | None = None
    classes: Several[str] | None = None
    channels: _Small | None = None
    size: Several[_Small] | None = None
    mean: Several[Share] | None = None
    std: Several[Share] | None = None
    digests: Mapping[str, str] | None = None
    scaling: str = ""


class Head(Stored):
    """`run.json`.

    Args:
        config: the recipe of the run, resolved.
        digest: of what decides its numbers.
        threads: that it began with.
        started: time in UTC, ISO 8601.
        command: what was called.
    """

    id: str
    arm: str
    objective: str | None = None
    plan: str | Mapping[str, Any] | None = None
    seed: int
    data: str | Mapping[str, Any]
    model: str | Mapping[str, Any]
    config: Mapping[str, Any] | None = None
    digest: str | None = None
    images: Images | None = None
    threads: int | None = None
    started: str | None = None
    command: str | None = None
    versions: Mapping[str, Any] | None = None
    hardware: Mapping[str, Any] | None = None
    recipe_text: str | None = None

    @property
    def variant(self) -> Variant:
        """The arm and the plan."""
        return Variant(self.arm, None if self.plan is None else _name(self.plan))

    @property
    def data_name(self) -> str:
        """The data set."""
        return _name(self.data)

    @property
    def model_name(self) -> str:
        """The network."""
        return _name(self.model)


class StudyHead(Stored):
    """`study.json`.

    Args:
        recipe: as it was understood.
        recipe_text: as it was written.
        runs: all run ids, in order.
        failed: the messages of those that failed, by id.
    """

    name: str | None = None
    recipe: Any = None
    recipe_text: str | None = None
    command: str | None = None
    versions: Mapping[str, Any] | None = None
    hardware: Mapping[str, Any] | None = None
    started: str | None = None
    runs: Several[str] | None = None
    failed: Mapping[str, str] | None = None


def _name(value: str | Mapping[str, Any]) -> str:
    return value if isinstance(value, str) else str(value.get("name", "?"))
