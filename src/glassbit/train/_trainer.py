"""One training: what it holds between epochs, and what an epoch does."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from glassbit._errors import ExportError, GlassbitWarning, RunError
from glassbit._modes import frozen, train_
from glassbit._random import derive
from glassbit.datasets import Augment, Batches, Dataset
from glassbit.deploy import Deployed, export_problems, reestimate_
from glassbit.models import Classifier, to_unit
from glassbit.quant import FLOOR
from glassbit.runs import LOG, append_epoch

from ._checkpoint import save_checkpoint
from ._evaluate import tally
from ._identity import identity
from ._machine import go_on_as, machine
from ._masked_pass import MaskedPass
from ._monitor import Shares, levels, steps, watching
from ._objective import Objective
from ._options import FitOptions
from ._phase import Phase, deployed_phase, float_phase
from ._progress import Display
from ._resume import begin_log, best_record, better, deployed_records, last_checkpoint, own_state, resume, with_best
from ._setup import describe, make_fabric, splits
from ._step import step
from ._tensorboard import open_writer, write_record

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_STATISTICS_BATCHES = 64


@dataclass(frozen=True)
class History:
    """What happened in training.

    Args:
        epochs: one record per epoch, as in `log.jsonl`.
        best_epoch: the epoch (from 1) with the highest validation accuracy, of equal ones with the lowest loss; 0 when
            nothing was trained.
        deployed_epoch: the same among those in deployed arithmetic and the network as it was converted, which counts as
            the last epoch before; 0 when nothing was deployed.
    """

    epochs: tuple[dict[str, Any], ...]
    best_epoch: int
    deployed_epoch: int = 0


class Trainer:
    """Trains `objective.model` in place, first in floating point, then in deployed arithmetic.

    Made with a folder that holds a checkpoint of the same run, it goes on from there. See `fit_with`.
    """

    def __init__(
        self,
        objective: Objective,
        data: Dataset,
        options: FitOptions,
        *,
        out: Path | None,
        probes: Callable[[int, nn.Module], None] | None,
    ) -> None:
        if options.deploy_epochs and not isinstance(objective.model, Deployed):
            problems = export_problems(objective.model, data.train.take(torch.arange(1)))
            if problems:
                raise ExportError(problems)
        self.objective, self.options, self.out, self.probes = objective, options, out, probes
        self.fabric = make_fabric(options.device, options.devices, options.precision)
        self.images, self.validation_images = splits(data.train, options.validation, options.seed)
        self.batches = Batches(
            self.images,
            batch_size=options.batch_size,
            seed=options.seed,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
            augment=Augment(flip=options.flip, crop=options.crop),
            device=self.fabric.device,
        )
        for part in objective.children():
            if isinstance(part, MaskedPass):
                part.hold_(objective.model)
        self.settings = options.settings() | {
            "frozen": _names(objective.model, frozen(objective.model)),
            "objective": describe(objective),
            "world": self.fabric.world_size,
            "images": len(data.train),
        }
        self.identity = identity(objective, data) if out else {}
        self._begin()

    def run(self, title: str, *, progress: bool, tensorboard: bool) -> History:
        """Train what is left."""
        done = len(self.history)
        writer = open_writer(self.out, done) if tensorboard and self.out and self.first else None
        display = Display(
            title,
            epochs=self.options.all_epochs,
            steps=len(self.batches),
            done=done,
            enabled=progress and self.first,
        )
        if not done:
            self._probe(0)
        with display.progress:
            for epoch in range(done + 1, self.options.all_epochs + 1):
                record = self._epoch(epoch, display)
                self._keep(epoch, record)
                write_record(writer, record)
                display.epoch(record)
                _warn_of_floors(epoch, record["floored"])
        if writer:
            writer.close()
        chosen = best_record(self.history[: self.options.epochs]), best_record(self._deployed_records())
        return History(tuple(self.history), *(record["epoch"] if record else 0 for record in chosen))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.fabric.is_global_zero

    def _begin(self) -> None:
        """Set up the phase that is due, and load what an earlier call left."""
        saved, epochs = last_checkpoint(self.out, self.settings, self.identity), self.options.epochs
        saved = with_best(saved, self.out, epochs, first=self.first)
        self.moved: list[str] = []
        if self.out and saved:
            self.moved = go_on_as(saved.get("machine", {}), self.fabric.device, self.out)
        deployed = saved is not None and saved["epoch"] > epochs
        self.phase = self._deployed_phase() if deployed else self._float_phase()
        self.history: list[dict[str, Any]] = []
        if self.out and saved:
            self.history = resume(saved, self.out, self.objective, self.phase.optimizer, first=self.first)
        if self.out and not self.history and self.first:
            begin_log(self.out)
        self.best = self._best()

    def _float_phase(self) -> Phase:
        return float_phase(self.fabric, self.objective, self.options, steps=len(self.batches))

    def _deployed_phase(self) -> Phase:
        return deployed_phase(self.fabric, self.objective, self.options, steps=len(self.batches), images=self.images)

    def _epoch(self, epoch: int, display: Display) -> dict[str, Any]:
        """Train for one epoch and validate; return its record."""
        started = time.perf_counter()
        converted = self._convert() if epoch == self.options.epochs + 1 else {}
        torch.manual_seed(derive("epoch", self.options.seed, epoch, self.fabric.global_rank))
        train_(self.objective, network=self.objective.model)
        sums = self._steps(epoch, display)
        network = _network(self.objective.model)
        _share_buffers(self.fabric, self.objective)
        train = _means(self.fabric, sums, len(self.batches), epoch)
        validation, shares = self._validate()
        clipped, zeros = shares.shares()
        alphas = levels(network)
        seconds = time.perf_counter() - started
        return {
            "epoch": epoch,
            "arithmetic": self.phase.arithmetic,
            **converted,
            "lr": self.phase.optimizer.param_groups[0]["lr"],
            "train": train,
            "validation": validation,
            "alphas": alphas,
            "steps": steps(network),
            "clipped": clipped,
            "zeros": zeros,
            "floored": [name for name, level in alphas.items() if level <= FLOOR],
            "seconds": round(seconds, 3),
            "images_per_second": round(len(self.batches) * self.options.batch_size / seconds, 1),
        }

    def _steps(self, epoch: int, display: Display) -> Tensor:
        """Take the steps of one epoch; return the sums of what each measured."""
        phase, total = self.phase, self.options.epochs * len(self.batches)
        sums = torch.zeros(5, device=self.fabric.device)
        for index, (images, labels) in enumerate(self.batches.epoch(epoch)):
            done = (epoch - 1) * len(self.batches) + index
            factor = phase.factor(done)
            for group in phase.optimizer.param_groups:
                group["lr"] = group["full_lr"] * factor
            self.objective.progress = min(1.0, done / total)
            parts = self.options.accumulate
            sums += step(self.fabric, phase.objective, phase.optimizer, images, labels, parts=parts)
            display.step(epoch)
        return sums

    def _convert(self) -> dict[str, Any]:
        """Go over to deployed arithmetic; return what the next record says of it."""
        if self.options.deploy_batchnorm == "reestimated":
            reestimate_(self.objective.model, _some_images(self.batches))
            _share_buffers(self.fabric, self.objective.model)
        self.phase = self._deployed_phase()
        validation = self._validate()[0]
        self.best = {"epoch": self.options.epochs, "validation": validation}
        if self.out and self.first:
            save_checkpoint(self.out / self.phase.best, self._content(self.options.epochs))
        return {"converted": validation}

    def _validate(self) -> tuple[dict[str, float], Shares]:
        with watching(_network(self.objective.model)) as shares, self.fabric.autocast():
            images = self.validation_images or self.images
            sums = tally(self.objective.model, images, rank=self.fabric.global_rank, world=self.fabric.world_size)
        sums = torch.as_tensor(self.fabric.all_reduce(sums, reduce_op="sum"))
        return {"loss": float(sums[0] / sums[2]), "accuracy": float(sums[1] / sums[2])}, shares

    def _keep(self, epoch: int, record: dict[str, Any]) -> None:
        """Add a record to history, checkpoints and log."""
        if self.moved:
            record["moved"], self.moved = self.moved, []
        self.history.append(record)
        self._probe(epoch)
        if self.out and self.first:
            if better(record, self.best):
                save_checkpoint(self.out / self.phase.best, self._content(epoch))
            optimizer = self.phase.optimizer.state_dict()
            save_checkpoint(self.out / "last.pt", {**self._content(epoch), "optimizer": optimizer})
            append_epoch(self.out / LOG, record)
        self.fabric.barrier()
        self.best = self._best()

    def _content(self, epoch: int) -> dict[str, Any]:
        """Return what a checkpoint holds, without the optimizer."""
        return {
            "model": self.objective.model.state_dict(),
            "objective": own_state(self.objective),
            "epoch": epoch,
            "history": self.history,
            "settings": self.settings,
            "identity": self.identity,
            "machine": machine(self.fabric.device),
        }

    def _probe(self, epoch: int) -> None:
        if self.probes and self.first:
            torch.manual_seed(derive("probe", self.options.seed, epoch))
            self.probes(epoch, self.objective.model)

    def _best(self) -> dict[str, Any] | None:
        """Return the best record of this phase."""
        return best_record(self._deployed_records() if self.phase.arithmetic == "deployed" else self.history)

    def _deployed_records(self) -> list[dict[str, Any]]:
        return deployed_records(self.history, self.options.epochs)


def _warn_of_floors(epoch: int, floored: list[str]) -> None:
    if floored:
        warnings.warn(
            f"epoch {epoch}: the clipping level of {', '.join(floored)} fell to its floor of {FLOOR}; "
            "lower quantizer_decay or quantizer_lr",
            GlassbitWarning,
            stacklevel=2,
        )


def _network(model: nn.Module) -> nn.Module:
    """Return the network without what normalises its images, whose names the log uses."""
    return model.network if isinstance(model, Classifier | Deployed) else model


def _names(model: nn.Module, modules: list[nn.Module]) -> list[str]:
    return [name for name, module in model.named_modules() if module in modules]


def _some_images(batches: Batches) -> Iterator[Tensor]:
    """Return the first batches of the first epoch."""
    return (to_unit(images) for images, _ in islice(batches.epoch(1), _STATISTICS_BATCHES))


def _means(fabric: Fabric, sums: Tensor, count: int, epoch: int) -> dict[str, float]:
    values = torch.as_tensor(fabric.all_reduce(sums / count, reduce_op="mean")).tolist()
    if not all(math.isfinite(value) for value in values):
        raise RunError(
            f"epoch {epoch}: training loss must be finite; got NaN or infinity; lower the learning rate (lr), or "
            "quantizer_lr"
        )
    return dict(zip(("loss", "classification", "consistency", "accuracy", "tied"), values, strict=True))


def _share_buffers(fabric: Fabric, model: nn.Module) -> None:
    """BatchNorm's running statistics of the first process, everywhere."""
    if fabric.world_size > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)
