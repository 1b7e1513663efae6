"""Reading a study folder, or the folder of one run, into frozen values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from glassbit._count import counted
from glassbit._errors import RunError
from glassbit._text import printable
from glassbit.runs import ARMS, HEAD, LOG, RESULT, STUDY, Head, Result, StudyHead, Variant, read_log

from ._arrays import Probes, Unread, read_probes
from ._study import Group, Missing, Run, Study

_AGAIN = "delete it and call what made the run again, which makes it anew"
_HEAD_AGAIN = "delete it and call what made the run again, which goes on with its checkpoints"
_STUDY_AGAIN = "call the study again, which makes it anew"


def read_study(folder: Path) -> Study:
    """Read a study folder (`study.json`) or a run folder (`run.json`).

    Raises:
        RunError: the folder holds neither, or a file in it is not what it should be.
    """
    if (folder / STUDY).is_file():
        head = StudyHead.read(folder / STUDY, repair=_STUDY_AGAIN, clean=_printable)
        failed = head.failed or {}
        runs, missing = [], []
        for key in dict.fromkeys([*(head.runs or ()), *failed]):
            place = folder / "runs" / key
            if not (place / HEAD).is_file():
                missing.append(Missing(key, failed.get(key, "not started"), key in failed))
                continue
            run = _read_run(place, failed.get(key))
            runs.append(run)
            missing.extend(_unfinished(run))
        recipe = head.recipe_text or _pretty(head.recipe)
        return _study(folder, head, runs, missing, name=head.name or folder.name, recipe=recipe, single=False)
    if (folder / HEAD).is_file():
        run = _read_run(folder, None)
        recipe = run.head.recipe_text or _pretty(run.head.config)
        return _study(folder, run.head, [run], list(_unfinished(run)), name=run.id, recipe=recipe, single=True)
    raise RunError(
        f"{folder}: must be a folder with study.json (made by `glassbit study`) or run.json (made by "
        f"`glassbit train`); got {'neither' if folder.is_dir() else 'no such folder'}; name the folder that holds one"
    )


def _study(
    folder: Path,
    head: StudyHead | Head,
    runs: list[Run],
    missing: list[Missing],
    *,
    name: str,
    recipe: str,
    single: bool,
) -> Study:
    keys = list(dict.fromkeys(map(_network, runs)))
    return Study(
        name=name,
        folder=folder,
        single=single,
        started=head.started or "",
        command=head.command or "",
        recipe_text=recipe,
        versions=head.versions or {},
        hardware=head.hardware or {},
        groups=tuple(_group(folder, [run for run in runs if _network(run) == key]) for key in keys),
        missing=tuple(missing),
    )


def _network(run: Run) -> tuple[str, str]:
    return run.head.data_name, run.head.model_name


def _check_images(folder: Path, runs: list[Run]) -> None:
    """Refuse runs that cannot stand in one table, because they saw different images or other classes."""
    for what in ("classes", "digests"):
        told = [(run, value) for run in runs if (value := getattr(run.images, what))]
        other = [run for run, value in told if value != told[0][1]]
        if other:
            first = told[0][0]
            raise RunError(
                f"{folder}: its runs on {first.head.data_name} must have the same images; got {other[0].id} with "
                f"other {'classes' if what == 'classes' else 'images'} than {first.id}; train one of them again"
            )


def _group(folder: Path, runs: list[Run]) -> Group:
    _check_images(folder, runs)
    plans = list(dict.fromkeys(run.variant.plan for run in runs))
    arms = list(dict.fromkeys(run.variant.arm for run in runs))
    families: tuple[str, ...] = ARMS

    def order(variant: Variant) -> tuple[int, int, int]:
        family = families.index(variant.family) if variant.family in families else len(families)
        return family, arms.index(variant.arm), plans.index(variant.plan)

    data, model = _network(runs[0])
    places = [place / name for place in (folder, folder.parent.parent) for name in (f"probes-{data}.npz", "probes.npz")]
    probes = [read_probes(place) for place in places]
    return Group(
        data=data,
        model=model,
        runs=tuple(sorted(runs, key=lambda run: (order(run.variant), run.seed))),
        variants=tuple(sorted(dict.fromkeys(run.variant for run in runs), key=order)),
        probes=next((one for one in probes if isinstance(one, Probes)), None),
        unread=tuple(one for one in probes if isinstance(one, Unread)),
    )


def _read_run(folder: Path, failure: str | None) -> Run:
    head = Head.read(folder / HEAD, repair=_HEAD_AGAIN, clean=_printable)
    by_epoch = {epoch.epoch: epoch for epoch in read_log(folder / LOG, repair=_AGAIN)}
    path = folder / RESULT
    result = None
    if path.is_file():
        result = Result.read(path, repair=_AGAIN, clean=_printable).check_of(head, path=path, repair=_AGAIN)
    return Run(
        folder=folder,
        head=head,
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


def _printable(value: Any) -> Any:
    """JSON whose texts can be put on a page: no control characters but ends of lines and tabs."""
    if isinstance(value, str):
        return printable(value, keep="\n\t\u00a0")
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return {printable(key): _printable(item) for key, item in value.items()} if isinstance(value, dict) else value


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) if value else ""
