"""One run: train, choose the best epoch, measure once, write the result."""

from __future__ import annotations

import os
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from glassbit._errors import GlassbitError, GlassbitWarning, RunError, UsageError
from glassbit._files import sweep, write_text, writing
from glassbit._foreign import naming_outsiders, said
from glassbit._text import printable
from glassbit.build import Built, build, build_data, exportable, fit_options
from glassbit.datasets import Dataset, remarks, with_classes
from glassbit.deploy import Deployed, export_problems
from glassbit.recipe import RunRecipe, data_slug, model_slug
from glassbit.runs import HEAD, RESULT, Accuracy, Head, Images, Result
from glassbit.train import History, fit_with, load_weights

from ._announce import not_deployable
from ._deployed import measure_deployed
from ._facts import hardware, now, versions
from ._images import changes, check_finished, data_there, digests
from ._lock import locked
from ._measure import measure, save_final_maps
from ._probes import Probes, Recorder
from ._process import FAILURE, discard
from ._state import MEASURED, as_it_began, extends, saved_run, state
from ._whole import lost, read_result, refuse_foreign


@dataclass(frozen=True)
class RunOutcome:
    """How a run went.

    Args:
        id: the run's id.
        folder: its folder.
        status: `finished` now, `skipped` because it was finished before, or `worker` in a process that only helped.
        result: what `result.json` holds; None in a worker.
    """

    id: str
    folder: Path
    status: Literal["finished", "skipped", "worker"]
    result: Result | None


@dataclass(frozen=True, kw_only=True)
class _Call:
    """What `run_one` was asked for, with the place of the probe images.

    Args:
        main: whether this is the process that writes.
    """

    run: RunRecipe
    out: Path
    start: Path | None
    probes: Path
    command: str
    download: bool
    progress: bool
    tensorboard: bool
    main: bool
    say: Callable[[str], None] | None


def run_one(
    run: RunRecipe,
    out: Path,
    *,
    start: Path | None = None,
    probes: Path | None = None,
    data: Dataset | None = None,
    command: str = "",
    download: bool = True,
    progress: bool = True,
    tensorboard: bool = False,
    wait: float = 5.0,
    say: Callable[[str], None] | None = None,
    keep_failed: bool = False,
) -> RunOutcome:
    """Train and measure `run` in the folder `out`; go on where it stopped, or do nothing where it is finished.

    What a finished run has lost since, such as its best weights, is made anew. A run that fails before its first epoch
    ends leaves no folder.

    Args:
        run: what to do.
        out: the run's folder.
        start: the folder of the finished run to start from, the recipe's `origin`.
        probes: where the probe images are kept, for several runs to share; `out/probes.npz` when left out.
        data: the run's data set when it is loaded already.
        command: what was called, for the record.
        download: fetch a catalogue data set that is not there yet.
        progress: show a bar where stderr is a terminal, else a line per epoch.
        tensorboard: also write TensorBoard events.
        wait: seconds to wait for the end of another process in `out`.
        say: called before the first epoch with whether the network can be exported, and why not.
        keep_failed: leave the folder of a run that fails before its first epoch ends, for who reads its message there.

    Raises:
        UsageError: the recipe does not fit the data or the network, or asks for epochs in deployed arithmetic of a
            network that cannot be exported.
        DataError: the images are not there or not readable.
        RunError: `out` holds another run or anything else, or is in use, its images have changed, `start` is another
            run than the origin, the loss is not finite any more, or a checkpoint is damaged.
        DiskError: a file cannot be written.
    """
    main = _is_first_process()
    if main:
        refuse_foreign(out)
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        with locked(out, wait=wait) if main else nullcontext(), as_it_began(out, run):
            if state(out, run) == "finished" and _is_whole(out, run, data):
                return RunOutcome(run.id, out, "skipped", read_result(out))
            if main:
                for folder in (out, out / "probes"):
                    sweep(folder)
            with (
                leaving_nothing(out) if main and not keep_failed else nullcontext(),
                noting_failure(out) if main else nullcontext(),
                naming_outsiders(),
            ):
                return _run(
                    _Call(
                        run=run,
                        out=out,
                        start=start,
                        probes=probes or out / "probes.npz",
                        command=command,
                        download=download,
                        progress=progress,
                        tensorboard=tensorboard,
                        main=main,
                        say=say,
                    ),
                    data,
                )
    finally:
        for folder in made:  # a folder that is not empty stays
            with suppress(OSError):
                folder.rmdir()


def _is_whole(out: Path, run: RunRecipe, data: Dataset | None) -> bool:
    """Whether a finished run still has all that it left; says what it lacks."""
    check_finished((out,), data or data_there(run.data))
    saved_run(out)  # says what is wrong with it
    gone = lost(out, run)
    if gone:
        text = f"{out}: finished, but lost or damaged since, and made anew: {', '.join(gone)}"
        warnings.warn(text, GlassbitWarning, stacklevel=3)
    return not gone


@contextmanager
def leaving_nothing(out: Path) -> Iterator[None]:
    """Remove the folder of a run that began inside the block and fails before its first epoch ends."""
    begun = (out / HEAD).is_file()
    try:
        yield
    except (Exception, SystemExit) as error:
        foreseen = isinstance(error, GlassbitError)
        if not begun and (foreseen or not (out / HEAD).is_file()):  # a mistake of our own leaves what it began
            discard(out, held=True)
        raise


def _run(call: _Call, data: Dataset | None) -> RunOutcome:
    run, out, start, main, say = call.run, call.out, call.start, call.main, call.say
    data = data or build_data(run.data, download=call.download, progress=call.progress)
    weights = _start_weights(run, start)
    if start is not None and weights is not None:
        data = _as_in(start, data)
    image_digests = digests(data)
    if main and not (out / HEAD).is_file() and not call.probes.is_file():
        for text in remarks(data, validation=run.data.validation, seed=run.seed):
            warnings.warn(text, GlassbitWarning, stacklevel=3)
    built = build(run, data, start=weights)
    if say or run.deploy_epochs:
        problems = export_problems(built.model, data.train.take(torch.arange(1)))
        if say and main:
            say(exportable(problems))
        if run.deploy_epochs and problems:
            raise UsageError(not_deployable(problems))
    probes = Probes(data, run.evaluation.probes)
    if main and (not (out / HEAD).is_file() or extends(out, run)):
        for path in (out / RESULT, out / MEASURED):
            with writing(path):
                path.unlink(missing_ok=True)
        _head(run, data, image_digests, call.command).write(out / HEAD)
    if main:
        probes.save(call.probes, image_digests)
    recorder = Recorder(probes, out / "probes", every=run.evaluation.every, last=_last_epochs(run))
    history = fit_with(
        built.objective,
        data,
        fit_options(run),
        out=out,
        probes=recorder,
        progress=call.progress,
        tensorboard=call.tensorboard,
        title=run.id,
    )
    if not _leave_group():
        return RunOutcome(run.id, out, "worker", None)
    _result(run, data, built, history, probes, out).write(out / RESULT)
    return RunOutcome(run.id, out, "finished", read_result(out))


def _result(run: RunRecipe, data: Dataset, built: Built, history: History, probes: Probes, out: Path) -> Result:
    load_weights(built.model, out / "best.pt", "the network of run.json")
    built.model.eval()
    best = history.epochs[history.best_epoch - 1]
    moved = tuple(change for record in history.epochs for change in record.get("moved", ()))
    save_final_maps(probes, built.model, out / "explain.npz")
    measured = measure(built, data, run.evaluation)
    if isinstance(built.objective.model, Deployed):
        measured["deployed"] = measure_deployed(built.objective.model, run, data, history, out)
    if moved:
        measured["moved"] = moved
    return Result(
        id=run.id,
        digest=run.digest,
        **measured,
        validation=Accuracy(accuracy=best["validation"]["accuracy"]),
        best_epoch=history.best_epoch,
        epochs=run.training.epochs,
        train_seconds=round(sum(record["seconds"] for record in history.epochs), 3),
    )


def _last_epochs(run: RunRecipe) -> tuple[int, ...]:
    """Return the last epoch in floating point, and the last of all."""
    return run.training.epochs, run.training.epochs + run.deploy_epochs


def _head(run: RunRecipe, data: Dataset, image_digests: dict[str, str], command: str) -> Head:
    """Return what `run.json` holds."""
    return Head(
        id=run.id,
        arm=run.arm,
        objective=run.objective,
        plan=None if run.plan is None else run.plan.slug,
        seed=run.seed,
        data=data_slug(run.data),
        model=model_slug(run.model),
        config=run.config(),
        digest=run.digest,
        images=Images(
            train=len(data.train),
            test=len(data.test),
            classes=data.classes,
            channels=data.channels,
            size=data.size,
            mean=data.mean,
            std=data.std,
            digests=image_digests,
            scaling=data.scaling,
        ),
        threads=torch.get_num_threads(),
        started=now(),
        command=command,
        versions=versions(),
        hardware=hardware(),
    )


def _start_weights(run: RunRecipe, start: Path | None) -> Path | None:
    """Return the checkpoint to start from."""
    if run.starts_from is None:
        return None
    if start is None:
        raise UsageError(
            f"{run.id}: start must be the folder of {run.starts_from}, whose weights it starts from; got none; name "
            "that folder, or use `start: scratch`"
        )
    if not (start / RESULT).is_file():
        raise RunError(
            f"{run.id}: start must be the finished run {run.starts_from}, whose weights it starts from; got {start}, "
            "which is not finished; finish it first"
        )
    there = saved_run(start).run
    if there.id != run.starts_from or there.data.validation != run.data.validation:
        raise RunError(
            f"{run.id}: start must be {run.starts_from} with data.validation {run.data.validation}; got {start} with "
            f"{there.id} and {there.data.validation}, which may have seen the validation images; name that run's folder"
        )
    return start / "best.pt"


def _as_in(start: Path, data: Dataset) -> Dataset:
    """Return the data set with its classes numbered as in the run to start from.

    Raises:
        UsageError: that run knows other classes.
        RunError: it was trained on other images, which may be validation or test images now.
    """
    there = saved_run(start)
    data = with_classes(data, there.classes, network=there.run.id)
    differing = changes(there, data)
    if differing:
        raise RunError(
            f"{start}: must be trained on the images that {data.name} has now, to start from its weights; got others "
            f"({'; '.join(differing)}), so it may have seen the validation or test images; bring the old images back, "
            "or train it again"
        )
    return data


def _is_first_process() -> bool:
    """Whether this process is the one that writes, as far as the environment of torchrun or Fabric tells."""
    rank = os.environ.get("RANK")
    if rank is not None:
        return rank == "0"
    return os.environ.get("LOCAL_RANK", "0") == "0" and os.environ.get("NODE_RANK", "0") == "0"


def _leave_group() -> bool:
    """End the process group after training; whether this process goes on to measure."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return True
    first = torch.distributed.get_rank() == 0
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    return first


@contextmanager
def noting_failure(out: Path) -> Iterator[None]:
    """Keep the text of an error in the run's folder until the run works."""
    (out / FAILURE).unlink(missing_ok=True)
    try:
        yield
    except (Exception, SystemExit) as error:
        write_text(out / FAILURE, printable(f"{said(error)}\n\n{traceback.format_exc()}", keep="\n"))
        raise
