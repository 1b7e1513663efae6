"""A study, its groups of runs and what each run left, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

ARMS = ("fp32", "sgt", "random", "pact", "sgt+pact", "random+pact")


@dataclass(frozen=True)
class Variant:
    """An arm of the study, with the bit-width plan of its quantizers.

    Args:
        arm: such as `fp32` or `sgt+pact`, or with the name of its options, `sgt-mine+pact`.
        plan: such as `w4a4`; None for a full-precision network.
    """

    arm: str
    plan: str | None

    @property
    def label(self) -> str:
        """What the report prints."""
        return self.arm if self.plan is None else f"{self.arm} {self.plan}"

    @property
    def family(self) -> str:
        """The arm without the name of its options, e.g. one of `ARMS`."""
        objective, plus, quantized = self.arm.partition("+")
        return objective.partition("-")[0] + plus + quantized

    @property
    def setting(self) -> str:
        """The name of the arm's options, or ""."""
        return self.arm.partition("+")[0].partition("-")[2]

    @property
    def float_arm(self) -> str | None:
        """The arm that differs from a quantized one in the bits only; None for one in full precision."""
        return "fp32" if self.arm == "pact" else self.arm.removesuffix("+pact") if "+" in self.arm else None


@dataclass(frozen=True)
class Probes:
    """The images whose maps every run of one data set stores."""

    images: UInt8[np.ndarray, "p c h w"]
    labels: Int[np.ndarray, "p"]
    classes: tuple[str, ...]

    def named(self, label: int) -> str:
        """The class name of `label`, or the number where no name is known."""
        return self.classes[label] if 0 <= label < len(self.classes) else str(label)


@dataclass(frozen=True)
class Maps:
    """Saliency maps of the probe images, with what the network said of each image."""

    maps: Float[np.ndarray, "p h w"]
    predictions: Int[np.ndarray, "p"]
    confidence: Float[np.ndarray, "p"] | None


@dataclass(frozen=True)
class Run:
    """One training run: what was asked, what its log says, and its result when it finished.

    Args:
        images: what `run.json` says of the data set (`train`, `test`, `classes`, ...); empty where it does not.
        epochs: one mapping an epoch, as in `log.jsonl`, ascending; the last line wins where an epoch is logged twice.
        result: `result.json`, or None when the run has not finished.
        failure: the message of a run that failed and has no result.
    """

    id: str
    folder: Path
    variant: Variant
    objective: str
    seed: int
    data: str
    model: str
    config: Mapping[str, Any]
    images: Mapping[str, Any]
    epochs: tuple[Mapping[str, Any], ...]
    result: Mapping[str, Any] | None
    failure: str | None

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
        return frozenset(int(epoch["epoch"]) for epoch in self.epochs if epoch.get("arithmetic") == "deployed")

    def _asked(self, key: str) -> int | None:
        training = self.config.get("training")
        for place in (training if isinstance(training, Mapping) else {}, self.config):
            if isinstance(place.get(key), int):
                return int(place[key])
        return None

    @property
    def continues(self) -> bool:
        """Whether it started from another run's weights, as far as `run.json` says."""
        options = (self.config.get(key) for key in ("training", self.objective))
        return any(isinstance(place, Mapping) and place.get("start", "scratch") != "scratch" for place in options)


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
    """

    data: str
    model: str
    runs: tuple[Run, ...]
    variants: tuple[Variant, ...]
    probes: Probes | None

    @property
    def classes(self) -> int | None:
        """How many classes there are, where the files say so."""
        if self.probes is not None and self.probes.classes:
            return len(self.probes.classes)
        return next((len(run.images["classes"]) for run in self.runs if run.images.get("classes")), None)

    def of(self, variant: Variant) -> tuple[Run, ...]:
        """The finished runs of `variant`, by seed."""
        return tuple(run for run in self.runs if run.variant == variant and run.finished)

    def curves_of(self, variant: Variant) -> tuple[Run, ...]:
        """The runs whose logs stand for `variant`: the finished ones, else any that logged an epoch."""
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
