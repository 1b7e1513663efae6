"""Reading a study folder, or the folder of one run, into frozen values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from glassbit._count import counted
from glassbit._errors import RunError

from ._read import arrays, logged, mapping
from ._shape import Head, Result, StudyHead
from ._study import ARMS, Group, Maps, Missing, Probes, Run, Study, Variant

_AGAIN = "delete it and call what made the run again, which makes it anew"
_HEAD_AGAIN = "delete it and call what made the run again, which goes on with its checkpoints"
_STUDY_AGAIN = "call the study again, which makes it anew"


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
