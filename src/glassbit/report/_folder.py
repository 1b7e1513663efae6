"""Reading a study folder, or the folder of one run, into frozen values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from glassbit._count import counted
from glassbit._errors import RunError

from ._read import arrays, logged, mapping
from ._shape import Head, Result, StudyHead

_AGAIN = "delete it and call what made the run again, which makes it anew"
_HEAD_AGAIN = "delete it and call what made the run again, which goes on with its checkpoints"
_STUDY_AGAIN = "call the study again, which makes it anew"

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


def read_study(folder: Path) -> Study:
    """Read a study folder (`study.json`) or a run folder (`run.json`).

    Raises:
        RunError: the folder holds neither, or a file in it is not what it should be.
    """
    if (folder / "study.json").is_file():
        head = mapping(folder / "study.json", StudyHead, _STUDY_AGAIN)
        failed = {str(key): str(text) for key, text in (head.get("failed") or {}).items()}
        ids = [str(key) for key in head.get("runs") or []]
        runs, missing = [], []
        for key in dict.fromkeys([*ids, *failed]):
            place = folder / "runs" / key
            if not (place / "run.json").is_file():
                why = failed.get(key, "not started")
                missing.append(Missing(key, why, key in failed))
                continue
            run = _read_run(place, failed.get(key))
            runs.append(run)
            missing.extend(_unfinished(run))
        recipe = head.get("recipe_text") or _pretty(head.get("recipe"))
        return _study(
            folder, head, runs, missing, name=str(head.get("name") or folder.name), recipe=recipe, single=False
        )
    if (folder / "run.json").is_file():
        head = mapping(folder / "run.json", Head, _HEAD_AGAIN)
        run = _read_run(folder, None)
        recipe = head.get("recipe_text") or _pretty(head.get("config"))
        return _study(folder, head, [run], list(_unfinished(run)), name=run.id, recipe=recipe, single=True)
    raise RunError(
        f"{folder}: a report needs a folder with study.json (made by `glassbit study`) or run.json (made by "
        f"`glassbit train`), found {'neither' if folder.is_dir() else 'no such folder'}; give the folder that holds one"
    )


def final_maps(run: Run) -> Maps | None:
    """The maps stored after the last epoch, or None where there are none to read."""
    return _maps(run.folder / "explain.npz")


def formation(run: Run) -> dict[int, Path]:
    """The files of the maps stored while training, by epoch (0 = before training)."""
    found = {}
    for path in sorted((run.folder / "probes").glob("epoch-*.npz")):
        number = path.stem.removeprefix("epoch-")
        if number.isdigit():
            found[int(number)] = path
    return found


def epoch_maps(path: Path) -> Maps | None:
    """The maps of one file that `formation` named."""
    return _maps(path)


def _study(
    folder: Path,
    head: Mapping[str, Any],
    runs: list[Run],
    missing: list[Missing],
    *,
    name: str,
    recipe: str,
    single: bool,
) -> Study:
    keys = list(dict.fromkeys((run.data, run.model) for run in runs))
    groups = tuple(_group(folder, [run for run in runs if (run.data, run.model) == key]) for key in keys)
    return Study(
        name=name,
        folder=folder,
        single=single,
        started=str(head.get("started") or ""),
        command=str(head.get("command") or ""),
        recipe_text=recipe,
        versions=_table(head.get("versions")),
        hardware=_table(head.get("hardware")),
        groups=groups,
        missing=tuple(missing),
    )


def _check_images(folder: Path, runs: list[Run]) -> None:
    """Refuse runs that cannot stand in one table, because they saw different images or other classes."""
    for what in ("classes", "digests"):
        told = [(run, run.images[what]) for run in runs if run.images.get(what)]
        other = [run for run, value in told if value != told[0][1]]
        if other:
            first = told[0][0]
            raise RunError(
                f"{folder}: its runs on {first.data} must have the same images; {other[0].id} was trained on other "
                f"{'classes' if what == 'classes' else 'images'} than {first.id}; train one of them again"
            )


def _group(folder: Path, runs: list[Run]) -> Group:
    _check_images(folder, runs)
    plans = list(dict.fromkeys(run.variant.plan for run in runs))
    arms = list(dict.fromkeys(run.variant.arm for run in runs))
    variants = dict.fromkeys(run.variant for run in runs)

    def order(variant: Variant) -> tuple[int, int, int]:
        family = ARMS.index(variant.family) if variant.family in ARMS else len(ARMS)
        return family, arms.index(variant.arm), plans.index(variant.plan)

    data = runs[0].data
    probes = None
    for place in (folder, folder.parent.parent):
        for name in (f"probes-{data}.npz", "probes.npz"):
            probes = probes or _probes(place / name)
    ordered = tuple(sorted(runs, key=lambda run: (order(run.variant), run.seed)))
    return Group(data, runs[0].model, ordered, tuple(sorted(variants, key=order)), probes)


def _read_run(folder: Path, failure: str | None) -> Run:
    head = mapping(folder / "run.json", Head, _HEAD_AGAIN)
    by_epoch = {int(line["epoch"]): line for line in logged(folder / "log.jsonl", _AGAIN)}
    there = (folder / "result.json").is_file()
    result = mapping(folder / "result.json", Result, _AGAIN) if there else None
    plan = head.get("plan")
    return Run(
        id=str(head["id"]),
        folder=folder,
        variant=Variant(str(head["arm"]), None if plan is None else _name(plan)),
        objective=str(head.get("objective") or ""),
        seed=int(head["seed"]),
        data=_name(head["data"]),
        model=_name(head["model"]),
        config=_table(head.get("config")),
        images=_table(head.get("images")),
        epochs=tuple(by_epoch[epoch] for epoch in sorted(by_epoch)),
        result=result,
        failure=None if result is not None else failure,
    )


def _unfinished(run: Run) -> tuple[Missing, ...]:
    if run.finished:
        return ()
    if run.failure is not None:
        return (Missing(run.id, run.failure, True),)
    done = len(run.epochs)
    if not done:
        return (Missing(run.id, "no epoch finished yet", False),)
    asked = run.asked_epochs
    epochs = (
        counted(done, "epoch") if asked is None else f"{done} of {counted(asked + run.asked_integer_epochs, 'epoch')}"
    )
    return (Missing(run.id, f"stopped or still running: {epochs} logged, no result", False),)


def _maps(path: Path) -> Maps | None:
    found = arrays(path, ("maps", "predictions"))
    if found is None or found["maps"].ndim != 3:
        return None
    confidence = found.get("confidence")
    maps = np.nan_to_num(found["maps"].astype(np.float64), posinf=0.0, neginf=0.0)
    return Maps(
        maps, found["predictions"].astype(np.int64), None if confidence is None else confidence.astype(np.float64)
    )


def _probes(path: Path) -> Probes | None:
    found = arrays(path, ("images", "labels"))
    if found is None or found["images"].ndim != 4:
        return None
    classes = tuple(str(name) for name in found["classes"]) if "classes" in found else ()
    return Probes(found["images"].astype(np.uint8), found["labels"].astype(np.int64), classes)


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _name(value: Any) -> str:
    return str(value.get("name", "?")) if isinstance(value, Mapping) else str(value)


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""
