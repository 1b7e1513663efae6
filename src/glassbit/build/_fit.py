"""The arguments of `fit` that a recipe decides."""

from __future__ import annotations

from typing import Literal, TypedDict

from glassbit.recipe import RunRecipe


class FitArguments(TypedDict):
    """Keyword arguments of `glassbit.train.fit`, to be unpacked into the call."""

    epochs: int
    batch_size: int
    accumulate: int
    optimizer: Literal["sgd", "adamw", "muon"]
    lr: float
    momentum: float
    weight_decay: float
    schedule: Literal["onecycle", "cosine", "step"]
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
    precision: Literal["32-true", "bf16-mixed"]
    deploy_epochs: int
    deploy_lr: float | None
    deploy_batchnorm: Literal["frozen", "reestimated"]


def fit_arguments(run: RunRecipe) -> FitArguments:
    """What `run` says about training, as `fit` wants it."""
    training = run.training
    return FitArguments(
        epochs=training.epochs,
        batch_size=training.batch_size,
        accumulate=training.accumulate,
        optimizer=training.optimizer,
        lr=training.lr,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        schedule=training.schedule,
        milestones=training.milestones,
        gamma=training.gamma,
        quantizer_lr=training.quantizer_lr,
        quantizer_decay=training.quantizer_decay,
        flip=training.flip,
        crop=training.crop,
        validation=run.data.validation,
        seed=run.seed,
        device=training.device,
        devices=training.devices,
        precision=training.precision,
        deploy_epochs=run.deploy_epochs,
        deploy_lr=training.deploy_lr,
        deploy_batchnorm=training.deploy_batchnorm,
    )
