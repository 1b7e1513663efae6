"""A study, its groups of runs and what each run left, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glassbit.runs import Epoch, Head, Images, Result, Variant

from ._arrays import Probes, Unread


@dataclass(frozen=True)
class Run:
    """One training run: what was asked, what its log says, and its result when it finished.

    Args:
        head: `run.json`.
        epochs: `log.jsonl`, ascending; the last line wins where an epoch is logged twice.
        result: `result.json`, or None when the run has not finished.
        failure: the message of a run that failed and has no result.
    """

    folder: Path
    head: Head
    epochs: tuple[Epoch, ...]
    result: Result | None
    failure: str | None

    @property
    def id(self) -> str:
        """Its name."""
        return self.head.id

    @property
    def variant(self) -> Variant:
        """Its arm and plan."""
        return self.head.variant

    @property
    def seed(self) -> int:
        """The seed of its training."""
        return self.head.seed

    @property
    def images(self) -> Images:
        """What `run.json` says of the data set."""
        return self.head.images or Images()

    @property
    def finished(self) -> bool:
        """Whether the run has a result."""
        return self.result is not None

    @property
    def asked_epochs(self) -> int | None:
        """How many epochs in floating point the recipe asks for, where `run.json` says so."""
        return self._asked("epochs")

    @property
    def asked_integer_epochs(self) -> int:
        """How many epochs in integer arithmetic the recipe asks for behind those."""
        return 0 if self.variant.plan is None else self._asked("deploy_epochs") or 0

    @property
    def integer_epochs(self) -> frozenset[int]:
        """The epochs that were trained in integer arithmetic, as far as the log says."""
        return frozenset(epoch.epoch for epoch in self.epochs if epoch.deployed)

    @property
    def continues(self) -> bool:
        """Whether it started from another run's weights, as far as `run.json` says."""
        options = (self.part(key) for key in ("training", self.head.objective or ""))
        return any(place.get("start", "scratch") != "scratch" for place in options)

    def part(self, key: str) -> Mapping[str, Any]:
        """Return a part of the recipe; empty where `run.json` has none."""
        value = (self.head.config or {}).get(key)
        return value if isinstance(value, Mapping) else {}

    def _asked(self, key: str) -> int | None:
        for place in (self.part("training"), self.head.config or {}):
            if isinstance(place.get(key), int):
                return int(place[key])
        return None


@dataclass(frozen=True)
class Missing:
    """A run that the study names and that has not finished; `why` is a sentence fragment."""

    id: str
    why: str
    failed: bool


@dataclass(frozen=True)
class Group:
    """All runs of one network on one data set.

    Args:
        variants: those that have a run, arm by arm, plans in the order of the study.
        unread: the file of probe images, where it cannot be read.
    """

    data: str
    model: str
    runs: tuple[Run, ...]
    variants: tuple[Variant, ...]
    probes: Probes | None
    unread: tuple[Unread, ...] = ()

    @property
    def classes(self) -> int | None:
        """How many classes there are, where the files say so."""
        if self.probes is not None and self.probes.classes:
            return len(self.probes.classes)
        return next((len(run.images.classes) for run in self.runs if run.images.classes), None)

    def of(self, variant: Variant) -> tuple[Run, ...]:
        """Return the finished runs of `variant`, by seed."""
        return tuple(run for run in self.runs if run.variant == variant and run.finished)

    def results_of(self, variant: Variant) -> dict[int, Result]:
        """Return the results of `variant` by seed."""
        return {run.seed: run.result for run in self.runs if run.variant == variant and run.result is not None}

    def curves_of(self, variant: Variant) -> tuple[Run, ...]:
        """Return the runs whose logs stand for `variant`: the finished ones, else any that logged an epoch."""
        logged = tuple(run for run in self.runs if run.variant == variant and run.epochs)
        return tuple(run for run in logged if run.finished) or logged


@dataclass(frozen=True)
class Study:
    """Everything the report is made of."""

    name: str
    folder: Path
    single: bool
    started: str
    command: str
    recipe_text: str
    versions: Mapping[str, Any]
    hardware: Mapping[str, Any]
    groups: tuple[Group, ...]
    missing: tuple[Missing, ...]

    @property
    def runs(self) -> tuple[Run, ...]:
        """All runs with a `run.json`, group by group."""
        return tuple(run for group in self.groups for run in group.runs)
