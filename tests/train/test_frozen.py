"""What is frozen stays frozen: in `fit`, in every masked pass, in `calibrate_` and `reestimate_`."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from glassbit._errors import RunError
from glassbit._modes import frozen
from glassbit.deploy import Deployed, reestimate_
from glassbit.models import Classifier
from glassbit.quant import Plan, calibrate_, quantize_
from glassbit.train import CrossEntropy, Objective, RandomMasking, SaliencyGuided, fit

from .worker import made_up

OBJECTIVES: dict[str, Callable[[nn.Module], Objective]] = {
    "ce": CrossEntropy,
    "separate": lambda model: SaliencyGuided(model, gradient="separate", batchnorm="both"),
    **{
        kind: lambda model, kind=kind: SaliencyGuided(model, batchnorm=kind)  # type: ignore[misc]
        for kind in ("clean", "both", "eval", "split")
    },
    "random": lambda model: RandomMasking(model, batchnorm="split"),
}
OPTIONS: dict[str, Any] = {"batch_size": 32, "lr": 0.05, "progress": False, "device": "cpu"}
IMAGES = torch.rand(32, 1, 8, 8, generator=torch.Generator().manual_seed(2))


def network() -> nn.Sequential:
    torch.manual_seed(5)
    backbone = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    model = nn.Sequential(backbone, nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3))
    for norm in norms(model):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
    return model


def norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def statistics(norm: nn.BatchNorm2d) -> Tensor:
    return torch.cat([norm.running_mean, norm.running_var, norm.num_batches_tracked[None]]).clone()


def parameters(norm: nn.BatchNorm2d) -> Tensor:
    return torch.cat([norm.weight, norm.bias]).detach().clone()


@pytest.mark.parametrize("make", OBJECTIVES.values(), ids=OBJECTIVES)
@pytest.mark.parametrize("quantized", [False, True])
@pytest.mark.parametrize(
    "epochs", [{"epochs": 2}, {"epochs": 1, "deploy_epochs": 1, "deploy_batchnorm": "reestimated"}]
)
def test_one_of_two_layers(make: Callable[[nn.Module], Objective], quantized: bool, epochs: dict[str, Any]) -> None:
    if "deploy_epochs" in epochs and not quantized:
        return
    model = Classifier(network(), mean=(0.3,), std=(0.3,))
    if quantized:
        quantize_(model.network, Plan.named("w4a4", alpha=2.0))
    first, second = norms(model)
    first.eval().requires_grad_(False)
    before = [(statistics(norm), parameters(norm)) for norm in (first, second)]
    objective = make(model)
    fit(objective, made_up(), **epochs, **OPTIONS)
    assert torch.equal(statistics(first), before[0][0])
    assert torch.equal(parameters(first), before[0][1])
    assert not first.training
    assert not torch.equal(statistics(second), before[1][0])
    assert not torch.equal(parameters(second), before[1][1])
    assert second.training
    for name, tensor in objective.named_parameters():
        if name.startswith("masked_pass.norms.0"):
            assert torch.equal(tensor, torch.ones(4) if name.endswith("weight") else torch.zeros(4))
            assert not tensor.requires_grad


def test_a_backbone_in_eval_mode() -> None:
    model = network()
    model[0].eval()
    before = statistics(norms(model)[0])
    fit(CrossEntropy(model), made_up(), epochs=1, **OPTIONS)
    assert torch.equal(statistics(norms(model)[0]), before)
    assert [module.training for module in model[0]] == [False] * 3
    assert model[1].training


@pytest.mark.parametrize("wrap", [False, True])
def test_a_network_in_eval_mode_as_a_whole_is_trained(wrap: bool) -> None:
    model: nn.Module = network().eval()
    model = Classifier(model, mean=(0.3,), std=(0.3,)) if wrap else model
    before = [statistics(norm) for norm in norms(model)]
    assert not frozen(model)
    fit(SaliencyGuided(model, batchnorm="split"), made_up(), epochs=1, **OPTIONS)
    assert all(module.training for module in model.modules())
    assert not any(torch.equal(statistics(norm), old) for norm, old in zip(norms(model), before, strict=True))


def test_parameters_that_need_no_gradient_stay_and_statistics_move() -> None:
    model = network()
    first = norms(model)[0].requires_grad_(False)
    before = statistics(first), parameters(first)
    fit(SaliencyGuided(model, batchnorm="split"), made_up(), epochs=1, **OPTIONS)
    assert torch.equal(parameters(first), before[1])
    assert not torch.equal(statistics(first), before[0])


def test_another_freeze_is_another_run(tmp_path: Path) -> None:
    fit(CrossEntropy(network()), made_up(), epochs=1, out=tmp_path, **OPTIONS)
    model = network()
    norms(model)[0].eval()
    with pytest.raises(RunError, match=r"frozen was \[\] and is now \['0.1'\]"):
        fit(CrossEntropy(model), made_up(), epochs=1, out=tmp_path, **OPTIONS)


def test_calibration_normalises_as_training_will() -> None:
    model = network()
    quantize_(model, Plan.named("w4a4"))
    free = calibrate_(copy.deepcopy(model), IMAGES)
    whole = calibrate_(copy.deepcopy(model).eval(), IMAGES)
    assert whole == free
    norms(model)[0].eval()
    before = statistics(norms(model)[0])
    held = calibrate_(model, IMAGES)
    assert held["0.2"] != free["0.2"]
    assert torch.equal(statistics(norms(model)[0]), before)
    inner = model[0][:2](IMAGES)
    assert held["0.2"] <= inner.max().item() + 1e-6
    assert (model[0][2](inner) - inner.relu()).square().mean() < 0.02 * inner.relu().square().mean()


def test_reestimation_leaves_them_alone() -> None:
    model = network()
    first, second = norms(model)
    first.eval()
    before = statistics(first), statistics(second)
    reestimate_(model, [IMAGES])
    assert torch.equal(statistics(first), before[0])
    assert not torch.equal(statistics(second), before[1])
    assert not first.training
    with torch.no_grad():
        mean = model[1](model[0](IMAGES)).mean((0, 2, 3))
    torch.testing.assert_close(second.running_mean, mean)
    model.eval()
    reestimate_(model, [IMAGES])
    assert not torch.equal(statistics(first), before[0])


def test_deploying_keeps_modes() -> None:
    model = network()
    quantize_(model, Plan.named("w4a4", alpha=2.0))
    norms(model)[0].eval()
    deployed = Deployed(model, IMAGES)
    assert deployed.training
    assert [norm.training for norm in norms(deployed)] == [False, True]
