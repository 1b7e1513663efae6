"""The training loop."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from glassbit._errors import ExportError, GlassbitWarning, RunError
from glassbit._modes import frozen, train_
from glassbit._random import derive
from glassbit.datasets import Augment, Batches, Dataset, calibration_images
from glassbit.deploy import Deployed, export_problems, reestimate_
from glassbit.models import Classifier, to_unit
from glassbit.quant import FLOOR
from glassbit.runs import LOG, append_epoch

from ._checkpoint import save_checkpoint
from ._evaluate import tally
from ._identity import identity
from ._machine import go_on_as, keeping_threads, machine
from ._masked_pass import MaskedPass
from ._monitor import Shares, levels, steps, watching
from ._objective import Objective
from ._optimizer import Optimizer, Schedule, make_optimizer, parameter_groups, rate
from ._progress import Display
from ._resume import (
    begin_log,
    best_record,
    better,
    deployed_records,
    last_checkpoint,
    own_state,
    resume,
    with_best,
)
from ._setup import SETTINGS, DeployBatchNorm, Precision, check, check_subjects, describe, make_fabric, splits
from ._step import step
from ._tensorboard import open_writer, write_record

_STATISTICS_BATCHES = 64
_DEPLOYED: dict[Optimizer, float] = {"sgd": 100, "adamw": 10, "muon": 100}
"""By what the learning rate is divided in deployed arithmetic."""


@dataclass(frozen=True)
class History:
    """What happened in training.

    Args:
        epochs: a record an epoch, as in `log.jsonl`.
        best_epoch: the epoch (from 1) with the highest validation accuracy, of equal ones with the lowest loss; 0 when
            nothing was trained.
        deployed_epoch: the same among those in deployed arithmetic and the network as it was converted, which counts as
            the last epoch before; 0 when nothing was deployed.
    """

    epochs: tuple[dict[str, Any], ...]
    best_epoch: int
    deployed_epoch: int = 0


@keeping_threads
def fit(
    objective: Objective,
    data: Dataset,
    *,
    epochs: int,
    out: Path | str | None = None,
    batch_size: int = 128,
    accumulate: int = 1,
    optimizer: Optimizer = "sgd",
    lr: float = 0.1,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    schedule: Schedule = "onecycle",
    milestones: tuple[float, ...] = (0.3, 0.6),
    gamma: float = 0.1,
    quantizer_lr: float | None = None,
    quantizer_decay: float | None = None,
    flip: bool = False,
    crop: int = 0,
    validation: float = 0.1,
    seed: int = 0,
    device: str = "auto",
    devices: int = 1,
    precision: Precision = "32-true",
    deploy_epochs: int = 0,
    deploy_lr: float | None = None,
    deploy_batchnorm: DeployBatchNorm = "frozen",
    probes: Callable[[int, nn.Module], None] | None = None,
    progress: bool = True,
    tensorboard: bool = False,
    title: str = "training",
) -> History:
    """Train `objective.model` in place; at the end it holds the weights of the last epoch, on the training device.

    A validation split is cut from the training images; the test images are not looked at. With `out`, every epoch
    leaves `log.jsonl` (one line), `last.pt` and, when it is the best on the validation images so far, `best.pt`; called
    again with the same `out` it goes on after the last finished epoch and ends with the same bits as an uninterrupted
    run, with as many threads as that began with, where processor, device and torch are the same; where they are not,
    a warning says that the bits will differ, and the record of the next epoch holds what changed as `moved`.

    What is frozen stays so: weights and BatchNorm parameters that require no gradient, and modules in eval mode while
    other layers are in training mode, as after `norm.eval()` or `backbone.eval()`. Such BatchNorm layers keep their
    running statistics and are normalised by them. (In training mode the statistics move even where the parameters
    require no gradient, as in torch.) A network that is in eval mode as a whole is trained as a whole.

    With `deploy_epochs`, a last phase trains in the integer arithmetic that the exported network computes in (see
    `glassbit.deploy.Deployed`): `objective.model` becomes a `Deployed`, its learning rate falls linearly to 0, and the
    best of its epochs, or the network as it was converted where that is better, is kept in `deployed.pt`, beside
    `best.pt` of the epochs before. The first line of its log also says what the validation accuracy was right after the
    conversion.

    Args:
        objective: owns the network.
        data: a data set of `glassbit.datasets.load`.
        epochs: passes over the training images, >= 1.
        out: the run's folder; None keeps nothing.
        batch_size: images a step, over all devices.
        accumulate: parts that each process cuts its share of a batch into, one after the other, for less memory; the
            gradient is the mean over the batch as before, but BatchNorm normalises by, and averages, the statistics of
            the parts.
        optimizer: `sgd` (Nesterov), `adamw` or `muon` (see `Muon`).
        lr, momentum, weight_decay: of the network; momentum is AdamW's first beta.
        schedule: `onecycle`, `cosine` or `step`, a step at a time.
        milestones, gamma: of `step`: shares of the training at which the rate is multiplied by gamma.
        quantizer_lr: of clipping levels and steps; None is `lr`.
        quantizer_decay: L2 penalty on clipping levels; None is `weight_decay`.
        flip, crop: augmentation: mirror left-right; pad by so many pixels and crop at random.
        validation: share of the training images to validate on, 0..0.5; at 0 the training accuracy takes its place.
        seed: of split, order, augmentation, masks and Dropout.
        device: `auto`, `cpu`, `cuda` or `mps`.
        devices: processes, each with a device of its own; torchrun's own numbers win.
        precision: `32-true` or `bf16-mixed`.
        deploy_epochs: further epochs in deployed arithmetic; the network must be quantized in every layer.
        deploy_lr: the learning rate that they start with; None is `lr / 10` with AdamW and `lr / 100` with the others,
            as no BatchNorm evens out the size of the weights any more.
        deploy_batchnorm: BatchNorm is folded with its running statistics as they are (`frozen`), or after they were
            computed anew on training images (`reestimated`).
        probes: called as `probes(epoch, model)` in the first process before training (epoch 0) and after each epoch.
        progress: show a bar when stderr is a terminal.
        tensorboard: also write TensorBoard events to `out/tensorboard`.
        title: what the bar calls the run.

    Raises:
        UsageError: a number is out of range.
        ExportError: a network that cannot be deployed is to be; before the first epoch.
        RunError: `out` holds another run's checkpoint (its settings, network, bits, objective, normalisation, classes,
            training images or labels are named), or a damaged one, or the loss stopped being finite.
        DiskError: a file in `out` cannot be written.
    """
    settings = {name: value for name, value in locals().items() if name in SETTINGS}
    check_subjects(objective, data, out)
    check(settings, device, devices)
    if deploy_epochs and not isinstance(objective.model, Deployed):
        problems = export_problems(objective.model, data.train.take(torch.arange(1)))
        if problems:
            raise ExportError(problems)
    out = None if out is None else Path(out)
    fabric = make_fabric(device, devices, precision)
    train_split, validation_split = splits(data.train, validation, seed)
    batches = Batches(
        train_split,
        batch_size=batch_size,
        seed=seed,
        rank=fabric.global_rank,
        world=fabric.world_size,
        augment=Augment(flip=flip, crop=crop),
        device=fabric.device,
    )

    for part in objective.children():
        if isinstance(part, MaskedPass):
            part.hold_(objective.model)

    def set_up(full_lr: float) -> tuple[Any, Any]:
        groups = parameter_groups(
            objective,
            optimizer,
            lr=full_lr,
            weight_decay=weight_decay,
            quantizer_lr=None if quantizer_lr is None else quantizer_lr * full_lr / lr,
            quantizer_decay=quantizer_decay,
        )
        objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with warnings.catch_warnings():  # torch 2.13 has a new name for it, torch 2.11 only this one
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")
            ready: tuple[Any, Any] = fabric.setup(objective, make_optimizer(groups, optimizer, momentum))
        return ready

    def deploy() -> tuple[Any, Any]:
        objective.model = Deployed(objective.model, calibration_images(train_split, seed=seed))
        for part in objective.children():
            if isinstance(part, MaskedPass):
                part.requires_grad_(False)  # folded BatchNorm has no second set, and DDP waits for what has no gradient
        return set_up(lr / _DEPLOYED[optimizer] if deploy_lr is None else deploy_lr)

    settings["frozen"] = _names(objective.model, frozen(objective.model))
    settings |= {"objective": describe(objective), "world": fabric.world_size, "images": len(data.train)}
    who = identity(objective, data) if out else {}
    saved = with_best(last_checkpoint(out, settings, who), out, epochs, first=fabric.is_global_zero)
    moved = go_on_as(saved.get("machine", {}), fabric.device, out) if out and saved else []
    deployed = saved is not None and saved["epoch"] > epochs
    wrapped, stepper = deploy() if deployed else set_up(lr)
    history = resume(saved, out, objective, stepper, first=fabric.is_global_zero) if out and saved else []
    if out and not history and fabric.is_global_zero:
        begin_log(out)
    best = best_record(deployed_records(history, epochs) if deployed else history)
    writer = open_writer(out, len(history)) if tensorboard and out and fabric.is_global_zero else None

    def validate() -> tuple[dict[str, float], Shares]:
        with watching(_network(objective.model)) as shares, fabric.autocast():
            held = tally(
                objective.model, validation_split or train_split, rank=fabric.global_rank, world=fabric.world_size
            )
        held = torch.as_tensor(fabric.all_reduce(held, reduce_op="sum"))
        return {"loss": float(held[0] / held[2]), "accuracy": float(held[1] / held[2])}, shares

    def content(epoch: int) -> dict[str, Any]:
        return {
            "model": objective.model.state_dict(),
            "objective": own_state(objective),
            "epoch": epoch,
            "history": history,
            "settings": settings,
            "identity": who,
            "machine": machine(fabric.device),
        }

    def probe(epoch: int) -> None:
        if probes and fabric.is_global_zero:
            torch.manual_seed(derive("probe", seed, epoch))
            probes(epoch, objective.model)

    if not history:
        probe(0)
    display = Display(
        title,
        epochs=epochs + deploy_epochs,
        steps=len(batches),
        done=len(history),
        enabled=progress and fabric.is_global_zero,
    )
    with display.progress:
        for epoch in range(len(history) + 1, epochs + deploy_epochs + 1):
            started = time.perf_counter()
            converted: dict[str, Any] = {}
            if epoch == epochs + 1:
                if deploy_batchnorm == "reestimated":
                    reestimate_(objective.model, _some_images(batches))
                    _share_buffers(fabric, objective.model)
                wrapped, stepper = deploy()
                deployed, held = True, validate()[0]
                converted, best = {"converted": held}, {"epoch": epochs, "validation": held}
                if out and fabric.is_global_zero:
                    save_checkpoint(out / "deployed.pt", content(epochs))
            torch.manual_seed(derive("epoch", seed, epoch, fabric.global_rank))
            train_(objective, network=objective.model)
            sums = torch.zeros(5, device=fabric.device)
            for index, (images, labels) in enumerate(batches.epoch(epoch)):
                done = (epoch - 1) * len(batches) + index
                factor = (
                    1 - (done / len(batches) - epochs) / deploy_epochs
                    if deployed
                    else rate(schedule, done / (epochs * len(batches)), milestones=milestones, gamma=gamma)
                )
                for group in stepper.param_groups:
                    group["lr"] = group["full_lr"] * factor
                objective.progress = min(1.0, done / (epochs * len(batches)))
                sums += step(fabric, wrapped, stepper, images, labels, parts=accumulate)
                display.step(epoch)
            network = _network(objective.model)
            _share_buffers(fabric, objective)
            train = _means(fabric, sums, len(batches), epoch)
            held, shares = validate()
            clipped, zeros = shares.shares()
            seconds = time.perf_counter() - started
            record: dict[str, Any] = {
                "epoch": epoch,
                "arithmetic": "deployed" if deployed else "float",
                **converted,
                "lr": stepper.param_groups[0]["lr"],
                "train": train,
                "validation": held,
                "alphas": levels(network),
                "steps": steps(network),
                "clipped": clipped,
                "zeros": zeros,
                "floored": [name for name, level in levels(network).items() if level <= FLOOR],
                "seconds": round(seconds, 3),
                "images_per_second": round(len(batches) * batch_size / seconds, 1),
                **({"moved": moved} if moved else {}),
            }
            moved = []
            history.append(record)
            probe(epoch)
            if out and fabric.is_global_zero:
                if better(record, best):
                    save_checkpoint(out / ("deployed.pt" if deployed else "best.pt"), content(epoch))
                save_checkpoint(out / "last.pt", {**content(epoch), "optimizer": stepper.state_dict()})
                append_epoch(out / LOG, record)
            fabric.barrier()
            best = best_record(deployed_records(history, epochs) if deployed else history)
            write_record(writer, record)
            display.epoch(record)
            if record["floored"]:
                names = ", ".join(record["floored"])
                warnings.warn(
                    f"epoch {epoch}: the clipping level of {names} fell to its floor of {FLOOR}; "
                    "lower quantizer_decay or quantizer_lr",
                    GlassbitWarning,
                    stacklevel=2,
                )
    if writer:
        writer.close()
    chosen = best_record(history[:epochs]), best_record(deployed_records(history, epochs))
    return History(tuple(history), *(record["epoch"] if record else 0 for record in chosen))


def _network(model: nn.Module) -> nn.Module:
    """The network without what normalises its images, whose names the log uses."""
    return model.network if isinstance(model, Classifier | Deployed) else model


def _names(model: nn.Module, modules: list[nn.Module]) -> list[str]:
    return [name for name, module in model.named_modules() if module in modules]


def _some_images(batches: Batches) -> Iterator[Tensor]:
    """The first batches of the first epoch."""
    return (to_unit(images) for images, _ in islice(batches.epoch(1), _STATISTICS_BATCHES))


def _means(fabric: Fabric, sums: Tensor, count: int, epoch: int) -> dict[str, float]:
    values = torch.as_tensor(fabric.all_reduce(sums / count, reduce_op="mean")).tolist()
    if not all(math.isfinite(value) for value in values):
        raise RunError(
            f"epoch {epoch}: the training loss is not finite any more; lower the learning rate (lr), or quantizer_lr"
        )
    return dict(zip(("loss", "classification", "consistency", "accuracy", "tied"), values, strict=True))


def _share_buffers(fabric: Fabric, model: nn.Module) -> None:
    """BatchNorm's running statistics of the first process, everywhere."""
    if fabric.world_size > 1:
        for buffer in model.buffers():
            torch.distributed.broadcast(buffer, 0)
