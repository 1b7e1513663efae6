"""The training loop, called by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from glassbit._takes import FUNCTION, SWITCH, TEXT, instance, optional, takes
from glassbit.datasets import Dataset

from ._machine import keeping_threads
from ._objective import Objective
from ._optimizer import Optimizer, Schedule
from ._options import DeployBatchNorm, FitOptions, Precision
from ._setup import check_subjects
from ._trainer import History, Trainer

OPTIONS = instance(FitOptions, "FitOptions", "make them, or call fit")


@takes(probes=optional(FUNCTION), progress=SWITCH, tensorboard=SWITCH, title=TEXT)
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
    """Train `objective.model` in place. `glassbit.train.FitOptions` describes the options from epochs to
    deploy_batchnorm; `fit_with` describes the rest, what is kept in `out`, how a call goes on after a kill, and the
    errors.
    """
    options = FitOptions(
        epochs=epochs, batch_size=batch_size, accumulate=accumulate, optimizer=optimizer, lr=lr, momentum=momentum,
        weight_decay=weight_decay, schedule=schedule, milestones=milestones, gamma=gamma, quantizer_lr=quantizer_lr,
        quantizer_decay=quantizer_decay, flip=flip, crop=crop, validation=validation, seed=seed, device=device,
        devices=devices, precision=precision, deploy_epochs=deploy_epochs, deploy_lr=deploy_lr,
        deploy_batchnorm=deploy_batchnorm,
    )  # fmt: skip
    return fit_with(
        objective, data, options, out=out, probes=probes, progress=progress, tensorboard=tensorboard, title=title
    )


@takes(options=OPTIONS, probes=optional(FUNCTION), progress=SWITCH, tensorboard=SWITCH, title=TEXT)
@keeping_threads
def fit_with(
    objective: Objective,
    data: Dataset,
    options: FitOptions,
    *,
    out: Path | str | None = None,
    probes: Callable[[int, nn.Module], None] | None = None,
    progress: bool = True,
    tensorboard: bool = False,
    title: str = "training",
) -> History:
    """Train `objective.model` in place. It ends with the weights of the last epoch, on the training device.

    A validation split is cut from the training images. The test images are not looked at.

    With `out`, every epoch leaves `log.jsonl` (one line), `last.pt` and, when it is the best on the validation images
    so far, `best.pt`. Called again with the same `out`, training goes on after the last finished epoch and ends with
    the same bits as an uninterrupted run, where processor, device and torch are the same; it uses as many threads as
    that began with. Where they are not the same, a warning says that the bits will differ, and the next record holds
    what changed as `moved`.

    What is frozen stays so: weights and BatchNorm parameters that require no gradient, and modules in eval mode while
    other layers are in training mode, as after `norm.eval()` or `backbone.eval()`. Such BatchNorm layers keep their
    running statistics and are normalised by them. (In training mode the statistics move even where the parameters
    require no gradient, as in torch.) A network that is in eval mode as a whole is trained as a whole.

    With `options.deploy_epochs`, a last phase trains in the integer arithmetic that the exported network computes in
    (see `glassbit.deploy.Deployed`). `objective.model` becomes a `Deployed`, and its learning rate falls linearly to 0.
    The best of its epochs, or the network as it was converted where that is better, is kept in `deployed.pt`. The first
    record of the phase also holds the validation accuracy right after the conversion.

    Args:
        objective: owns the network.
        data: a data set of `glassbit.datasets.load`.
        options: how to train.
        out: the run's folder; None keeps nothing.
        probes: called as `probes(epoch, model)` in the first process before training (epoch 0) and after each epoch.
        progress: show a bar when stderr is a terminal.
        tensorboard: also write TensorBoard events to `out/tensorboard`.
        title: what the bar calls the run.

    Raises:
        UsageError: an argument is of another type.
        ExportError: a network that cannot be deployed is to be; before the first epoch.
        RunError: `out` holds another run's checkpoint (its settings, network, bits, objective, normalisation, classes,
            training images or labels are named), or a damaged one, or the loss stopped being finite.
        DiskError: a file in `out` cannot be written.
    """
    check_subjects(objective, data, out)
    trainer = Trainer(objective, data, options, out=None if out is None else Path(out), probes=probes)
    return trainer.run(title, progress=progress, tensorboard=tensorboard)
