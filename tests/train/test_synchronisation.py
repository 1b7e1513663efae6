"""A training step reads no number from the device: nothing waits for it.

Without a GPU this is tried on torch's meta device, whose tensors have shapes and no values: whatever reads one raises.
"""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from glassbit.datasets import Augment, Batches
from glassbit.deploy import Deployed
from glassbit.models import Classifier
from glassbit.quant import Plan, quantize_
from glassbit.train import CrossEntropy, Losses, Objective, RandomMasking, SaliencyGuided
from glassbit.train._step import step

from .worker import made_up

OBJECTIVES: dict[str, Callable[[nn.Module], Objective]] = {
    "ce": CrossEntropy,
    "sgt": lambda model: SaliencyGuided(model, ramp=0.5),
    "sgt-released": lambda model: SaliencyGuided(model, ranking="signed", gradient="separate", batchnorm="both"),
    "sgt-split": lambda model: SaliencyGuided(model, fill="mean", batchnorm="split"),
    "random": lambda model: RandomMasking(model, fill="constant", batchnorm="eval"),
}
PLANS: dict[str, Plan | None] = {
    "fp32": None,
    "pact": Plan.named("w4a4"),
    "w2a2": Plan.named("w2a2"),
    "lsq": Plan.named("w4a4", weights="lsq", activations="lsq"),
    "dorefa": Plan.named("w4a4", weights="dorefa"),
    "deployed": Plan.named("w4a4"),
}
each = [
    pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys()),
    pytest.mark.parametrize("kind", PLANS.keys()),
]


def network(kind: str) -> nn.Module:
    layers = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 3)
    )
    model = Classifier(layers, mean=(0.5,), std=(0.25,))
    plan = PLANS[kind]
    if plan is not None:
        quantize_(model.network, plan)
    return Deployed(model, made_up().train.images) if kind == "deployed" else model


def stepper(objective: Objective, device: str) -> Callable[[Tensor, Tensor], Tensor]:
    fabric = Fabric(accelerator="cpu" if device == "meta" else device, devices=1)
    objective.to(device)
    wrapped = fabric.setup_module(objective, move_to_device=False)
    wrapped.train()
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    return lambda images, labels: step(fabric, wrapped, optimizer, images, labels, parts=2)


def batch() -> tuple[Tensor, Tensor]:
    return torch.zeros(8, 1, 8, 8, dtype=torch.uint8, device="meta"), torch.zeros(8, dtype=torch.int64, device="meta")


def with_each(test: Any) -> Any:
    for mark in each:
        test = mark(test)
    return test


@pytest.fixture
def no_autocast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deployed arithmetic switches autocast off, which this device does not have."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


@with_each
def test_a_step_needs_no_values(no_autocast, objective: Callable[[nn.Module], Objective], kind: str) -> None:
    run = stepper(objective(network(kind)), "meta")
    for _ in range(2):
        assert run(*batch()).shape == (5,)


@pytest.mark.parametrize(
    "read",
    [
        lambda loss: loss.item(),
        lambda loss: loss.tolist(),
        lambda loss: loss.detach().numpy(),
        lambda loss: loss.cpu(),
        lambda loss: loss.to("cpu"),
        bool,
        float,
        int,
        lambda loss: loss.nonzero(),
        lambda loss: loss[loss > 0],
        lambda loss: torch.equal(loss, loss),
        lambda loss: torch.masked_select(loss, loss > 0),
        lambda loss: torch.unique(loss),
    ],
    ids=[
        "item", "tolist", "numpy", "cpu", "to", "bool", "float", "int", "nonzero", "mask", "equal", "select", "unique",
    ],
)  # fmt: skip
def test_whatever_reads_a_value_is_noticed(read: Callable[[Tensor], object]) -> None:
    class Reading(CrossEntropy):
        def forward(self, images: Tensor, labels: Tensor) -> Losses:
            losses = super().forward(images, labels)
            read(losses.total)
            return losses

    with pytest.raises((RuntimeError, NotImplementedError, TypeError), match=r"(?i)meta"):
        stepper(Reading(network("fp32")), "meta")(*batch())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@with_each
def test_a_step_and_its_batch_do_not_synchronise_a_gpu(objective: Callable[[nn.Module], Objective], kind: str) -> None:
    run = stepper(objective(network(kind)), "cuda")
    batches = Batches(made_up().train, batch_size=8, seed=0, device="cuda", augment=Augment(flip=True, crop=1))
    steps = batches.epoch(1)
    run(*next(steps))  # the order goes to the GPU, kernels are loaded
    torch.cuda.set_sync_debug_mode("error")
    try:
        run(*next(steps))
    finally:
        torch.cuda.set_sync_debug_mode("default")
