"""The options of a training, checked when they are made."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from glassbit._arguments import is_real, is_whole, is_word, shown
from glassbit._errors import UsageError

from ._optimizer import Optimizer, Schedule

Precision = Literal["32-true", "bf16-mixed"]
DeployBatchNorm = Literal["frozen", "reestimated"]

_DEVICES = ("auto", "cpu", "cuda", "mps")
_LARGEST_CROP = 2048
_OF_THE_MACHINE = ("device", "devices")


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """How a network is trained. `fit` has the defaults.

    Args:
        epochs: passes over the training images, >= 1.
        batch_size: images per step, over all devices.
        accumulate: parts that each process cuts its share of a batch into, one after the other, for less memory. The
            gradient is the mean over the batch as before, but BatchNorm normalises by, and averages, the statistics of
            the parts.
        optimizer: `sgd` (Nesterov), `adamw` or `muon` (see `Muon`).
        lr, momentum, weight_decay: of the network. Momentum is AdamW's first beta.
        schedule: `onecycle`, `cosine` or `step`; it changes the rate at every step.
        milestones, gamma: of `step`: shares of the training at which the rate is multiplied by gamma.
        quantizer_lr: of clipping levels and steps; None is `lr`.
        quantizer_decay: L2 penalty on clipping levels; None is `weight_decay`.
        flip, crop: augmentation: mirror left-right; pad by `crop` pixels and crop at random.
        validation: share of the training images to validate on, 0..0.5; at 0 the training accuracy takes its place.
        seed: of split, order, augmentation, masks and Dropout.
        device: `auto`, `cpu`, `cuda` or `mps`.
        devices: processes, each with a device of its own; torchrun's own numbers win.
        precision: `32-true` or `bf16-mixed`.
        deploy_epochs: further epochs in deployed arithmetic; the network must be quantized in every layer.
        deploy_lr: the learning rate that they start with. None is `lr / 10` with AdamW and `lr / 100` with the others,
            because no BatchNorm evens out the size of the weights any more.
        deploy_batchnorm: BatchNorm is folded with its running statistics as they are (`frozen`), or after they were
            computed anew on training images (`reestimated`).

    Raises:
        UsageError: a number is out of range or of another type, or a word is none of its choices; all of them at once.
    """

    epochs: int
    batch_size: int
    accumulate: int
    optimizer: Optimizer
    lr: float
    momentum: float
    weight_decay: float
    schedule: Schedule
    milestones: tuple[float, ...]
    gamma: float
    quantizer_lr: float | None
    quantizer_decay: float | None
    flip: bool
    crop: int
    validation: float
    seed: int
    device: str
    devices: int
    precision: Precision
    deploy_epochs: int
    deploy_lr: float | None
    deploy_batchnorm: DeployBatchNorm

    def __post_init__(self) -> None:
        given = vars(self)
        problems = [
            f"{name} must be {must}; got {shown(given[name])}; {repair}"
            for name, must, holds, repair in _rules(given)
            if not holds
        ]
        if problems:
            raise UsageError("fit: " + "; ".join(problems))

    def settings(self) -> dict[str, Any]:
        """Return what a checkpoint keeps and a resumed call must agree on: all but the machine's part."""
        return {name: value for name, value in vars(self).items() if name not in _OF_THE_MACHINE}

    @property
    def all_epochs(self) -> int:
        """Epochs of both phases."""
        return self.epochs + self.deploy_epochs


def _rules(given: dict[str, Any]) -> Iterator[tuple[str, str, bool, str]]:
    """(name, what it must be, whether it is, the repair) of every setting."""
    batch: float = given["batch_size"] if is_whole(given["batch_size"], 1) else math.inf
    parts = "at least 1" if batch == math.inf else f"1..{batch}, the batch size"
    for name, least, usual in (("epochs", 1, 5), ("batch_size", 1, 128), ("deploy_epochs", 0, 1)):
        yield name, f"at least {least}", is_whole(given[name], least), f"pass a whole number, such as {usual}"
    must = f"0..{_LARGEST_CROP}"
    yield "crop", must, is_whole(given["crop"], 0, _LARGEST_CROP), "pass a number of pixels, such as 4"
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
