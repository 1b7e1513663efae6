"""The training loop."""

from __future__ import annotations

import json
import math
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from glassbit._errors import GlassbitWarning, RunError, UsageError
from glassbit._files import append_line, read_lines, write_text
from glassbit._random import derive
from glassbit.datasets import Augment, Batches, Dataset, Split, split_validation
from glassbit.models import Classifier
from glassbit.quant import FLOOR

from ._checkpoint import load_checkpoint, save_checkpoint
from ._evaluate import channels_last, tally
from ._monitor import levels, steps, watching
from ._objective import Losses, Objective
from ._optimizer import Optimizer, Schedule, make_optimizer, parameter_groups, rate
from ._progress import Display

Precision = Literal["32-true", "bf16-mixed"]


@dataclass(frozen=True)
class History:
    """What happened in training.

    Args:
        epochs: a record an epoch, as in `log.jsonl`.
        best_epoch: the epoch (from 1) with the highest validation accuracy; 0 when nothing was trained.
    """

    epochs: tuple[dict[str, Any], ...]
    best_epoch: int


def fit(
    objective: Objective,
    data: Dataset,
    *,
    epochs: int,
    out: Path | str | None = None,
    batch_size: int = 128,
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
    probes: Callable[[int, nn.Module], None] | None = None,
    progress: bool = True,
    tensorboard: bool = False,
    title: str = "training",
) -> History:
    """Train `objective.model` in place; at the end it holds the weights of the last epoch, on the training device.

    A validation split is cut from the training images; the test images are not looked at. With `out`, every epoch
    leaves `log.jsonl` (one line), `last.pt` and, when the validation accuracy is the best so far, `best.pt`; called
    again with the same `out` it goes on after the last finished epoch and ends with the same bits as an uninterrupted
    run (same machine, same number of processes).

    Args:
        objective: owns the network.
        data: a data set of `glassbit.datasets.load`.
        epochs: passes over the training images, >= 1.
        out: the run's folder; None keeps nothing.
        batch_size: images a step, over all devices.
        optimizer: `sgd` (Nesterov) or `adamw`.
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
        probes: called as `probes(epoch, model)` in the first process before training (epoch 0) and after each epoch.
        progress: show a bar when stderr is a terminal.
        tensorboard: also write TensorBoard events to `out/tensorboard`.
        title: what the bar calls the run.

    Raises:
        UsageError: a number is out of range.
        RunError: `out` holds another run's checkpoint, or the loss stopped being finite.
    """
    settings = {name: value for name, value in locals().items() if name in _SETTINGS}
    _check(settings)
    out = None if out is None else Path(out)
    fabric = _fabric(device, devices, precision)
    train_split, validation_split = _splits(data.train, validation, seed)
    batches = Batches(
        train_split,
        batch_size=batch_size,
        seed=seed,
        rank=fabric.global_rank,
        world=fabric.world_size,
        augment=Augment(flip=flip, crop=crop),
        device=fabric.device,
    )
    groups = parameter_groups(
        objective.model, lr=lr, weight_decay=weight_decay, quantizer_lr=quantizer_lr, quantizer_decay=quantizer_decay
    )
    alone = fabric.world_size == 1
    if alone:  # DDP's buckets warn about the layout
        objective.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    wrapped, stepper = fabric.setup(objective, make_optimizer(groups, optimizer, momentum))
    model = objective.model
    network = model.network if isinstance(model, Classifier) else model
    settings |= {"objective": _describe(objective), "world": fabric.world_size, "images": len(data.train)}
    history = _resume(out, model, stepper, settings) if out else []
    best = _best(history)
    writer = _tensorboard(out, len(history)) if tensorboard and out and fabric.is_global_zero else None

    def probe(epoch: int) -> None:
        if probes and fabric.is_global_zero:
            torch.manual_seed(derive("probe", seed, epoch))
            probes(epoch, model)

    if not history:
        probe(0)
    display = Display(
        title, epochs=epochs, steps=len(batches), done=len(history), enabled=progress and fabric.is_global_zero
    )
    with display.progress:
        for epoch in range(len(history) + 1, epochs + 1):
            started = time.perf_counter()
            torch.manual_seed(derive("epoch", seed, epoch, fabric.global_rank))
            objective.train()
            sums = torch.zeros(5, device=fabric.device)
            for index, (images, labels) in enumerate(batches.epoch(epoch)):
                factor = rate(
                    schedule,
                    ((epoch - 1) * len(batches) + index) / (epochs * len(batches)),
                    milestones=milestones,
                    gamma=gamma,
                )
                for group in stepper.param_groups:
                    group["lr"] = group["full_lr"] * factor
                losses = Losses(*wrapped(channels_last(images) if alone else images, labels))
                fabric.backward(losses.total)
                stepper.step()
                stepper.zero_grad()
                sums += _measure(losses, labels)
                display.step(epoch)
            _share_buffers(fabric, model)
            train = _means(fabric, sums, len(batches), epoch)
            with watching(network) as shares, fabric.autocast():
                held = tally(model, validation_split or train_split, rank=fabric.global_rank, world=fabric.world_size)
            held = torch.as_tensor(fabric.all_reduce(held, reduce_op="sum"))
            clipped, zeros = shares.shares()
            seconds = time.perf_counter() - started
            record: dict[str, Any] = {
                "epoch": epoch,
                "lr": lr * factor,
                "train": train,
                "validation": {"loss": float(held[0] / held[2]), "accuracy": float(held[1] / held[2])},
                "alphas": levels(network),
                "steps": steps(network),
                "clipped": clipped,
                "zeros": zeros,
                "floored": [name for name, level in levels(network).items() if level <= FLOOR],
                "seconds": round(seconds, 3),
                "images_per_second": round(len(batches) * batch_size / seconds, 1),
            }
            history.append(record)
            probe(epoch)
            if out and fabric.is_global_zero:
                content = {"model": model.state_dict(), "epoch": epoch, "history": history, "settings": settings}
                if best is None or record["validation"]["accuracy"] > best["validation"]["accuracy"]:
                    save_checkpoint(out / "best.pt", content)
                save_checkpoint(out / "last.pt", {**content, "optimizer": stepper.state_dict()})
                append_line(out / "log.jsonl", record)
            fabric.barrier()
            best = _best(history)
            _report(writer, record)
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
    return History(tuple(history), best["epoch"] if best else 0)


_SETTINGS = (
    "epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay", "schedule", "milestones", "gamma",
    "quantizer_lr", "quantizer_decay", "flip", "crop", "validation", "seed", "precision",
)  # fmt: skip


def _check(settings: dict[str, Any]) -> None:
    problems = [
        f"{name} must be {must}; got {settings[name]!r}"
        for name, must, holds in (
            ("epochs", "at least 1", settings["epochs"] >= 1),
            ("batch_size", "at least 1", settings["batch_size"] >= 1),
            ("lr", "a positive number", 0 < settings["lr"] < math.inf),
            ("momentum", "in [0, 1)", 0 <= settings["momentum"] < 1),
            ("weight_decay", "at least 0", settings["weight_decay"] >= 0),
            ("validation", "in [0, 0.5]", 0 <= settings["validation"] <= 0.5),
            ("crop", "at least 0", settings["crop"] >= 0),
            ("optimizer", "sgd or adamw", settings["optimizer"] in ("sgd", "adamw")),
            ("schedule", "onecycle, cosine or step", settings["schedule"] in ("onecycle", "cosine", "step")),
            ("precision", "32-true or bf16-mixed", settings["precision"] in ("32-true", "bf16-mixed")),
        )
        if not holds
    ]
    if problems:
        raise UsageError("fit: " + "; ".join(problems))


def _fabric(device: str, devices: int, precision: Precision) -> Fabric:
    """Fabric for this process: alone, one of `devices`, or one of torchrun's."""
    nodes = 1
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    strategy = "ddp" if devices * nodes > 1 else "auto"
    fabric = Fabric(accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)
    fabric.launch()
    return fabric


def _splits(train: Split, validation: float, seed: int) -> tuple[Split, Split | None]:
    if validation == 0:
        return train, None
    return split_validation(train, fraction=validation, seed=seed)


def _describe(objective: Objective) -> str:
    """The objective and its options, e.g. `SaliencyGuided(batchnorm='clean', k=0.5)`."""
    options = {
        name: value
        for name, value in sorted(vars(objective).items())
        if isinstance(value, int | float | str) and name != "training" and not name.startswith("_")
    }
    return f"{type(objective).__name__}({', '.join(f'{name}={value!r}' for name, value in options.items())})"


def _resume(out: Path, model: nn.Module, optimizer: Any, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Load `last.pt` into model and optimizer when there is one, and make the log agree with it."""
    if not (out / "last.pt").exists():
        return []
    saved = load_checkpoint(out / "last.pt")
    found = {name: value for name, value in saved["settings"].items() if settings.get(name) != value}
    if found:
        changes = "; ".join(f"{name} was {value!r} and is now {settings.get(name)!r}" for name, value in found.items())
        raise RunError(f"{out}: holds a run with other settings ({changes}); choose another folder, or delete this one")
    try:
        model.load_state_dict(saved["model"])
    except RuntimeError as problem:
        raise RunError(
            f"{out}: holds a run of another network; choose another folder, or delete this one\n{problem}"
        ) from problem
    optimizer.load_state_dict(saved["optimizer"])
    history: list[dict[str, Any]] = saved["history"]
    log = out / "log.jsonl"
    if read_lines(log) != history or not log.read_text(encoding="utf-8").endswith("\n"):
        write_text(log, "".join(json.dumps(record) + "\n" for record in history))
    return history


def _best(history: list[dict[str, Any]]) -> dict[str, Any] | None:
    return max(history, key=lambda record: float(record["validation"]["accuracy"]), default=None)


def _measure(losses: Losses, labels: Tensor) -> Tensor:
    right = (losses.logits.argmax(1) == labels).float().mean()
    return torch.stack([losses.total, losses.classification, losses.consistency, right, losses.tied]).detach().float()


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


def _tensorboard(out: Path, done: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UsageError("tensorboard is not installed; pip install 'glassbit[tensorboard]'") from None
    return SummaryWriter(str(out / "tensorboard"), purge_step=done + 1)


def _report(writer: Any, record: dict[str, Any]) -> None:
    if writer is None:
        return
    for part in ("train", "validation"):
        for name, value in record[part].items():
            writer.add_scalar(f"{part}/{name}", value, record["epoch"])
    for part in ("alphas", "steps", "clipped", "zeros"):
        for name, value in record[part].items():
            writer.add_scalar(f"{part}/{name}", value, record["epoch"])
