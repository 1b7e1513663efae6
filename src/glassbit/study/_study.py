"""A study: every run of a recipe's grid, whatever happens to some of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from glassbit._count import counted
from glassbit._errors import RunError
from glassbit._files import sweep
from glassbit.recipe import Recipe, RunRecipe, data_slug, expand
from glassbit.runs import STUDY, StudyHead

from ._announce import say_exportable
from ._facts import hardware, now, versions
from ._images import check_finished, data_there
from ._jobs import Here, Job, Pool, Workshop
from ._lock import locked
from ._state import changed, saved_run, state
from ._transparency import is_measured, write_agreement
from ._whole import lost, refuse_foreign


@dataclass(frozen=True)
class StudyOutcome:
    """How a study went.

    Args:
        folder: the study's folder.
        runs: all run ids, in order.
        finished: those that were trained now.
        skipped: those that were finished before.
        failed: id and message of those that failed.
    """

    folder: Path
    runs: tuple[str, ...]
    finished: tuple[str, ...]
    skipped: tuple[str, ...]
    failed: dict[str, str]

    @property
    def ok(self) -> bool:
        """Whether every run has a result."""
        return not self.failed


def run_study(
    recipe: Recipe,
    out: Path,
    *,
    text: str = "",
    command: str = "",
    processes: int | None = None,
    on: str | None = None,
    download: bool = True,
    progress: bool = True,
    say: Callable[[str], None] | None = None,
) -> StudyOutcome:
    """Train and measure every run of `recipe` that has no result yet; a run that fails does not stop the others.

    Args:
        recipe: the grid.
        out: the study's folder.
        text: the recipe as it was written, for the record.
        command: what was called, for the record.
        processes: runs at a time, each in a process of its own with its share of the cores; 1, or None, trains here.
        on: a Ray cluster to train on, `ray` or `ray://HOST:PORT`; then `processes` are the most runs at a time, and
            None stands for as many as there is room for.
        download: fetch a catalogue data set that is not there yet.
        progress: show a bar per run where stderr is a terminal, else a line per epoch; with several processes always
            lines.
        say: called with a line of text when something happened.

    Raises:
        RunError: the folder holds runs with other settings, all of them named, or another process is working in it.
        UsageError: `processes` is not positive, the cluster cannot do it, or runs ask for epochs in deployed
            arithmetic of networks that cannot be exported.
    """
    workshop = _workshop(out, on, processes, devices=recipe.training.devices, progress=progress)
    tell = say or _silent
    runs = expand(recipe)
    refuse_foreign(out, study=True)
    with locked(out):
        sweep(out)
        skipped = _finished(out, runs, recipe.transparency.images, tell)
        for data in dict.fromkeys(run.data for run in runs if run.id in skipped):
            folders = [out / "runs" / run.id for run in runs if run.id in skipped and run.data == data]
            check_finished(folders, data_there(data))
        study = _Study(out, _head(recipe, runs, text, command, out))
        study.save()
        several = len(recipe.data) > 1
        jobs = [
            Job(
                run=run,
                out=out / "runs" / run.id,
                start=None if run.starts_from is None else out / "runs" / run.starts_from,
                probes=out / (f"probes-{data_slug(run.data)}.npz" if several else "probes.npz"),
                command=command,
                download=download,
                images=recipe.transparency.images,
            )
            for run in runs
            if run.id not in skipped
        ]
        if skipped:
            tell(f"{len(skipped)} of {counted(len(runs), 'run is', 'runs are')} finished already")
        say_exportable((job.run for job in jobs), tell)
        finished: list[str] = []
        first: dict[str, str] = {}
        for job, failure, result in workshop.work(jobs):
            count = f"[{len(finished) + len(study.failed) + len(skipped) + 1}/{len(runs)}] {job.run.id}"
            if result is not None:
                finished.append(job.run.id)
                tell(f"{count}: accuracy {100 * result.test.accuracy:.2f} %, {result.train_seconds:.0f} s")
                if result.moved:
                    tell(f"{job.run.id}: other bits than without the interruption: {'; '.join(result.moved)}")
            elif failure is not None:
                study.failed[job.run.id] = failure
                study.save()
                same = first.setdefault(failure, job.run.id)
                tell(f"{count}: failed: {failure if same == job.run.id else f'as {same}'}")
        if recipe.transparency.images:
            write_agreement(out, runs)
    return StudyOutcome(out, tuple(run.id for run in runs), tuple(finished), tuple(skipped), study.failed)


def _workshop(out: Path, on: str | None, processes: int | None, *, devices: int, progress: bool) -> Workshop:
    if on is not None:
        from ._ray import Cluster

        return Cluster(on, folder=out, at_once=processes, progress=progress)
    count = 1 if processes is None else processes
    return Here(progress=progress) if count == devices == 1 else Pool(count, devices=devices, progress=progress)


class _Study:
    """`study.json`."""

    def __init__(self, folder: Path, head: StudyHead) -> None:
        self.folder = folder
        self.head = head
        self.failed: dict[str, str] = {}

    def save(self) -> None:
        self.head.model_copy(update={"failed": self.failed}).write(self.folder / STUDY)


def _finished(out: Path, runs: tuple[RunRecipe, ...], images: int, tell: Callable[[str], None]) -> list[str]:
    """Return the ids of the runs that have a complete result and were measured on this number of images.

    Raises:
        RunError: some folders hold other runs; the text says what changed, once for all runs that it concerns.
    """
    differing: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        folder = out / "runs" / run.id
        changes_of_run = changed(folder, run)
        if changes_of_run:
            differing.setdefault(changes_of_run, []).append(run.id)
    if differing:
        lines = [
            f"  - {'; '.join(changes_of_run)} (in {', '.join(ids[:3])}{' and others' if len(ids) > 3 else ''})"
            for changes_of_run, ids in differing.items()
        ]
        text = "must hold runs with these settings; got others; change them back, choose another folder, or delete it"
        raise RunError("\n".join([f"{out}: {text}", *lines]))
    folders = {run.id: out / "runs" / run.id for run in runs}
    finished = []
    for run in runs:
        if state(folders[run.id], run) == "finished":
            saved_run(folders[run.id])  # says what is wrong with it
            if gone := lost(folders[run.id], run):
                tell(f"{run.id}: finished, but lost or damaged since, and made anew: {', '.join(gone)}")
            elif is_measured(folders[run.id], images):
                finished.append(run.id)
    return finished


def _head(recipe: Recipe, runs: tuple[RunRecipe, ...], text: str, command: str, out: Path) -> StudyHead:
    try:
        started = StudyHead.read(out / STUDY, repair="").started or now()
    except RunError:
        started = now()
    return StudyHead(
        name=recipe.name,
        recipe=recipe.model_dump(mode="json"),
        recipe_text=text,
        command=command,
        versions=versions(),
        hardware=hardware(),
        started=started,
        runs=tuple(run.id for run in runs),
    )


def _silent(text: str) -> None:
    pass
