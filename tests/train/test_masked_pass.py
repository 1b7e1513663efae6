"""The second pass against a slow twin: two networks that share everything but their BatchNorm."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit.deploy import Deployed
from glassbit.quant import Plan, quantize_
from glassbit.train import RandomMasking, SaliencyGuided

GENERATOR = torch.Generator().manual_seed(1)
IMAGES = torch.randint(256, (6, 2, 8, 8), dtype=torch.uint8, generator=GENERATOR)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def network() -> nn.Sequential:
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Flatten(), nn.Linear(6 * 36, 3),
    )  # fmt: skip
    nn.init.normal_(model[-1].weight, std=0.3)  # logits that differ, so that the divergence counts
    return model


def second(model: nn.Sequential) -> nn.Sequential:
    """The same layers, the very same, but for BatchNorm layers of its own."""
    own = (copy.deepcopy(layer) if isinstance(layer, nn.BatchNorm2d) else layer for layer in model)
    return nn.Sequential(*own)


def twin_loss(clean: nn.Sequential, masked: nn.Sequential, separate: bool) -> Tensor:
    """CE(f(x), y) + 0.7 KL(f(x) || f'(x~)), a pixel at a time; the mean fill leaves nothing to chance."""
    x = (IMAGES.float() / 255).requires_grad_()
    if separate:
        clean.eval()
        (gradient,) = torch.autograd.grad(clean(x)[torch.arange(6), LABELS].sum(), x)
        clean.train()
        logits = clean(x.detach())
    else:
        logits = clean(x)
        (gradient,) = torch.autograd.grad(logits[torch.arange(6), LABELS].sum(), x, retain_graph=True)
    replaced = x.detach().clone()
    for n in range(6):
        order = sorted(range(64), key=lambda p: float(gradient[n, :, p // 8, p % 8].abs().mean()))
        for p in order[:16]:
            replaced[n, :, p // 8, p % 8] = x[n].detach().mean((1, 2))
    p, q = logits.softmax(1), masked(replaced).softmax(1)
    return F.cross_entropy(logits, LABELS) + 0.7 * (p * (p / q).log()).sum() / 6


@pytest.mark.parametrize("gradient", ["shared", "separate"])
def test_split_is_a_second_network_with_batchnorm_of_its_own(gradient: str) -> None:
    model = network()
    objective = SaliencyGuided(model, k=0.25, weight=0.7, fill="mean", gradient=gradient, batchnorm="split")  # type: ignore[arg-type]
    slow = copy.deepcopy(model)
    slow_masked = second(slow)
    parameters = {id(p): p for p in (*slow.parameters(), *slow_masked.parameters())}
    steppers = [torch.optim.SGD(each, lr=0.1, momentum=0.9) for each in (objective.parameters(), parameters.values())]
    for _ in range(3):
        losses = objective(IMAGES, LABELS).total, twin_loss(slow, slow_masked, gradient == "separate")
        assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-4)
        for loss, stepper in zip(losses, steppers, strict=True):
            stepper.zero_grad()
            loss.backward()
            stepper.step()
    for name, value in slow.state_dict().items():
        assert torch.allclose(model.state_dict()[name], value, atol=1e-4), name
    norms = objective.masked_pass.norms
    for mine, theirs in zip(norms, (slow_masked[1], slow_masked[4]), strict=True):
        for name, value in theirs.state_dict().items():
            assert torch.allclose(mine.state_dict()[name], value, atol=1e-4), name
    assert (norms[0].weight - 1).abs().max() > 1e-3  # type: ignore[operator]
    assert not torch.allclose(norms[0].weight, model[1].weight, atol=1e-3)
    assert not torch.allclose(norms[0].running_mean, model[1].running_mean, atol=1e-3)


@pytest.mark.parametrize("kind", [RandomMasking, SaliencyGuided])
def test_the_second_set_is_no_part_of_the_network(kind: type[SaliencyGuided | RandomMasking]) -> None:
    model = network()
    plain = copy.deepcopy(model)
    objective = kind(model, batchnorm="split")
    objective(IMAGES, LABELS)
    assert model.state_dict().keys() == plain.state_dict().keys()
    plain(IMAGES.float() / 255)
    for name, value in plain.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    shared = {id(p) for p in model.parameters()}
    assert len([p for p in objective.parameters() if id(p) not in shared]) == 4


def test_a_layer_that_is_frozen_in_eval_mode_keeps_its_only_set() -> None:
    objective = SaliencyGuided(network(), fill="mean", batchnorm="split")
    objective.model[1].eval()  # type: ignore[index]
    before = copy.deepcopy(objective.masked_pass.norms[0].state_dict())
    nn.init.constant_(objective.masked_pass.norms[0].bias, torch.nan)  # type: ignore[arg-type]
    assert objective(IMAGES, LABELS).total.isfinite()
    assert torch.equal(objective.masked_pass.norms[0].running_mean, before["running_mean"])  # type: ignore[arg-type]


def test_in_deployed_arithmetic_every_option_is_eval() -> None:
    losses = {}
    for option in ("clean", "both", "eval", "split"):
        model = network()
        quantize_(model, Plan.named("w4a4", alpha=2.0))
        objective = SaliencyGuided(model, fill="mean", batchnorm=option)  # type: ignore[arg-type]
        objective.model = Deployed(model, IMAGES)
        losses[option] = objective(IMAGES, LABELS).total.item()
    assert len(set(losses.values())) == 1
