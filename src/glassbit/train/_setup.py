"""What training needs before its first step: checked settings, a Fabric, the split of the images."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import Any, Literal, get_args

from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from glassbit._arguments import is_real, is_whole, is_word, require, shown
from glassbit._errors import UsageError
from glassbit.datasets import Dataset, Split, split_validation

from ._objective import Objective
from ._optimizer import Optimizer

Precision = Literal["32-true", "bf16-mixed"]
DeployBatchNorm = Literal["frozen", "reestimated"]

SETTINGS = (
    "epochs", "batch_size", "optimizer", "lr", "momentum", "weight_decay", "schedule", "milestones", "gamma",
    "quantizer_lr", "quantizer_decay", "flip", "crop", "validation", "seed", "precision", "deploy_epochs", "deploy_lr",
    "deploy_batchnorm", "accumulate",
)  # fmt: skip
_NEWER = {"ramp": 0.0}
"""Options of objectives that older checkpoints do not name, with what stands for them there."""


_DEVICES = ("auto", "cpu", "cuda", "mps")


def check_subjects(objective: Any, data: Any, out: Any) -> None:
    """Refuse what cannot be trained, trained on, or written to.

    Raises:
        UsageError: with what was expected, what was found, and the repair.
    """
    must, repair = "a glassbit.train.Objective", "wrap the network, CrossEntropy(network)"
    require("fit", "objective", isinstance(objective, Objective), must, objective, repair)
    must, repair = "a glassbit.datasets.Dataset", "load one, glassbit.datasets.load(name)"
    require("fit", "data", isinstance(data, Dataset), must, data, repair)
    must, repair = "the path of a folder, or None", "leave it out to keep nothing"
    require("fit", "out", out is None or isinstance(out, str | os.PathLike), must, out, repair)


def check(settings: dict[str, Any], device: Any = "auto", devices: Any = 1) -> None:
    """Refuse settings of another type or out of range, all of them at once.

    Raises:
        UsageError: a number is none or out of range, or a word is none of its choices.
    """
    given = settings | {"device": device, "devices": devices}
    problems = [
        f"{name} must be {must}; got {shown(given[name])}; {repair}"
        for name, must, holds, repair in _rules(given)
        if not holds
    ]
    if problems:
        raise UsageError("fit: " + "; ".join(problems))


def _rules(given: dict[str, Any]) -> Iterator[tuple[str, str, bool, str]]:
    """(name, what it must be, whether it is, the repair) of every setting."""
    batch: float = given["batch_size"] if is_whole(given["batch_size"], 1) else math.inf
    parts = "at least 1" if batch == math.inf else f"1..{batch}, the batch size"
    for name, least, usual in (("epochs", 1, 5), ("batch_size", 1, 128), ("crop", 0, 4), ("deploy_epochs", 0, 1)):
        yield name, f"at least {least}", is_whole(given[name], least), f"pass a whole number, such as {usual}"
    fits = is_whole(given["accumulate"], 1) and (given["accumulate"] == 1 or given["accumulate"] <= batch)
    yield "accumulate", parts, fits, "1 leaves batches whole"
    yield "seed", "a whole number", is_whole(given["seed"]), "pass one, such as 0"
    yield "devices", "at least 1", is_whole(given["devices"], 1), "pass the number of processes, 1 for one"
    for name, rate, optional in (("lr", 0.1, False), ("quantizer_lr", 0.1, True), ("deploy_lr", 0.001, True)):
        left_out = optional and given[name] is None
        holds = left_out or (is_real(given[name], 0) and given[name] > 0)
        yield name, "a positive number", holds, f"pass one, such as {rate}"
    holds = is_real(given["momentum"], 0) and given["momentum"] < 1
    yield "momentum", "in [0, 1)", holds, "pass a number, such as 0.9"
    yield "weight_decay", "at least 0", is_real(given["weight_decay"], 0), "pass a number, such as 0.0005"
    holds = given["quantizer_decay"] is None or is_real(given["quantizer_decay"], 0)
    yield "quantizer_decay", "at least 0", holds, "pass a number, or None for weight_decay"
    yield "gamma", "a positive number", is_real(given["gamma"], 0) and given["gamma"] > 0, "pass one, such as 0.1"
    shares = given["milestones"]
    holds = isinstance(shares, tuple | list) and all(is_real(share, 0, 1) for share in shares)
    yield "milestones", "shares of the training in [0, 1]", holds, "pass a tuple of numbers, such as (0.3, 0.6)"
    yield "validation", "in [0, 0.5]", is_real(given["validation"], 0, 0.5), "pass a share, such as 0.1"
    yield "flip", "True or False", isinstance(given["flip"], bool), "pass one of them"
    for name, choices in (
        ("optimizer", get_args(Optimizer)),
        ("schedule", ("onecycle", "cosine", "step")),
        ("precision", get_args(Precision)),
        ("deploy_batchnorm", get_args(DeployBatchNorm)),
        ("device", _DEVICES),
    ):
        must = f"{', '.join(choices[:-1])} or {choices[-1]}"
        yield name, must, is_word(given[name], choices), "pass one of them"


def make_fabric(device: str, devices: int, precision: Precision) -> Fabric:
    """Fabric for this process: alone, one of `devices`, or one of torchrun's."""
    nodes = 1
    if "TORCHELASTIC_RUN_ID" in os.environ:
        devices = int(os.environ["LOCAL_WORLD_SIZE"])
        nodes = int(os.environ["WORLD_SIZE"]) // devices
    # running statistics are the first process's; `fit` hands them on once an epoch, DDP would before every step
    strategy = DDPStrategy(broadcast_buffers=False) if devices * nodes > 1 else "auto"
    try:
        fabric = Fabric(accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)
    except (ValueError, RuntimeError) as error:  # Fabric's own words for what the machine lacks
        text = " ".join(str(error).split())
        raise UsageError(
            f"fit: device must be one that this machine has {devices} of; got {device!r} ({text}); use device='auto' "
            "and fewer devices"
        ) from error
    fabric.launch()
    return fabric


def splits(train: Split, validation: float, seed: int) -> tuple[Split, Split | None]:
    """The images to train on, and those to validate on; None where `validation` is 0."""
    if validation == 0:
        return train, None
    return split_validation(train, fraction=validation, seed=seed)


def describe(objective: Objective) -> str:
    """The objective and its options, e.g. `SaliencyGuided(batchnorm='clean', k=0.5)`."""
    options = {
        name: value
        for name, value in sorted(vars(objective).items())
        if isinstance(value, int | float | str)
        and name not in ("training", "progress")
        and not name.startswith("_")
        and (name, value) not in _NEWER.items()
    }
    return f"{type(objective).__name__}({', '.join(f'{name}={value!r}' for name, value in options.items())})"
