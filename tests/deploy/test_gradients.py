"""Gradients against the definition, written as plain torch operations whose masks and roundings are constants."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit import models
from glassbit.deploy import Deployed
from glassbit.quant import LSQActivation, Plan, quantize_

from .networks import pictures

MEAN, STD = (0.4, 0.3), (0.2, 0.3)
ZERO = round(255 * 0.35)


class Small(nn.Module):
    """A layer of every kind whose gradient is special: the image's, one with and one without BatchNorm, a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 5, 3, stride=2, padding=1)
        self.bn1 = nn.BatchNorm2d(5)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(5, 5, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(5)
        self.relu2 = nn.ReLU()
        self.fc = nn.Linear(5 * 16, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu1(self.bn1(self.conv1(x)))
        x = self.relu2(self.bn2(self.conv2(x)) + x)
        return self.fc(x.flatten(1))


def small(weights: str, activations: str, bits: int) -> Deployed:
    torch.manual_seed(0)
    network = Small()
    with torch.no_grad():
        for norm in (network.bn1, network.bn2):
            norm.running_mean.normal_(0, 0.2)
            norm.running_var.uniform_(0.3, 1.5)
            norm.weight.copy_(torch.tensor([0.7, -0.9, 0.4, 1.3, -0.2]))
            norm.bias.normal_(0.3, 0.2)
    quantize_(network, Plan.named(f"w{bits}a{bits}", weights=weights, activations=activations, edges="same", alpha=1.5))
    return Deployed(models.Classifier(network, mean=MEAN, std=STD), pictures(2, 8, 8))


class _Rounded(torch.autograd.Function):
    """`exact` forward, `y` backward."""

    @staticmethod
    def forward(ctx, exact: Tensor, y: Tensor) -> Tensor:
        return exact.to(y.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[None, Tensor]:
        return None, grad


def rounded(exact: Tensor, y: Tensor) -> Tensor:
    return _Rounded.apply(exact.detach(), y)


def across(values: Tensor) -> Tensor:
    return values.view(1, -1, 1, 1)


def integer_weights(layer: nn.Module, weight: Tensor) -> tuple[Tensor, float]:
    """W and its step; the gradient is that of the quantizer, on the scale held constant."""
    quantizer = layer.quantizer
    step = quantizer.scale(weight).double().item() / (2 if quantizer.offset else 1)
    values = quantizer(weight).double() / step
    largest = 2**quantizer.bits - 1 if quantizer.offset else 2 ** (quantizer.bits - 1) - 1
    return rounded(values.round().clamp(-largest, largest), values), step


def batchnorm(norm: nn.BatchNorm2d, bias: Tensor | float) -> tuple[Tensor, Tensor]:
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return gain, norm.bias.double() + gain * (bias - norm.running_mean.double())


def requantized(
    acc: Tensor, gain: Tensor, shift: Tensor, step: float, activation: nn.Module | float, factor: Tensor, bias: Tensor
) -> Tensor:
    """Codes: PACT and LSQ as their papers say, of a value whose derivative by acc is that of the deployed factor."""
    signed = isinstance(activation, float)
    out = activation if signed else activation.scale().double().item()
    low, high = (-128, 127) if signed else activation.codes
    t = ((acc + across(bias)) * across(factor)).detach()
    codes = t.round().clamp(low, high)
    inside = (t > low - 0.5) & (t < high + 0.5) if signed else (t > low) & (t < high)
    ratio = acc * across(factor) + (across(gain) * acc.detach() * step + across(shift)) / out
    if signed:
        return rounded(codes, torch.where(inside, ratio, 0.0))
    if not isinstance(activation, LSQActivation):
        above = activation.alpha.double() / out
        return rounded(codes, torch.where(inside, ratio, torch.where(t >= high, above, 0.0)))
    slope = torch.where(inside, t.round() - t, t.clamp(low, high))
    scale = (acc[0].numel() * high) ** -0.5
    return rounded(codes, torch.where(inside, ratio, 0.0) + activation.step.double() * slope * scale / out)


def slow(model: Deployed, x: Tensor) -> Tensor:
    """The logits of `small`, float64, as differentiable as they are meant to be."""
    net = model.network
    numbers = {step.name: step for step in model.folding().run()}
    deviation = sum(STD) / 2
    pixel_step = 1 / (255 * deviation)
    pixels = rounded((255 * x).round(), 255 * x.double()) - ZERO
    scaled = net.conv1.layer.weight * torch.tensor([deviation / std for std in STD]).view(1, 2, 1, 1)
    weights, unit = integer_weights(net.conv1, scaled)
    missing = torch.tensor([(ZERO / 255 - m) / s * s / deviation for m, s in zip(MEAN, STD, strict=True)]).double()
    constant = (weights * unit * missing.view(1, 2, 1, 1)).sum((1, 2, 3))
    gain, shift = batchnorm(net.bn1, net.conv1.layer.bias.double() + constant)
    acc = F.conv2d(pixels, weights, stride=2, padding=1)
    one = numbers["relu1"].numbers
    codes = requantized(acc, gain, shift, unit * pixel_step, net.relu1, one.factor, one.bias)
    step = net.relu1.scale().double().item()
    weights, unit = integer_weights(net.conv2, net.conv2.layer.weight)
    gain, shift = batchnorm(net.bn2, 0.0)
    acc = F.conv2d(codes, weights, padding=1)
    j = int(model.shifts)
    assert j >= 0
    one = numbers["conv2.operand"].numbers
    operand = requantized(acc, gain, shift, unit * step, step * 2.0**-j, one.factor, one.bias)
    acc = operand + codes * 2**j
    one = numbers["relu2"].numbers
    zero = torch.zeros(1).double()
    codes = requantized(acc, torch.ones(1), zero, step * 2.0**-j, net.relu2, one.factor, one.bias)
    weights, unit = integer_weights(net.fc, net.fc.layer.weight)
    scale = unit * net.relu2.scale().double().item()
    bias = net.fc.layer.bias.double()
    acc = codes.flatten(1) @ weights.T
    return rounded((acc + (bias / scale).round()) * scale, acc * scale + bias)


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize(("weights", "activations"), [("sawb", "pact"), ("lsq", "lsq"), ("dorefa", "pact")])
def test_gradients_are_those_of_the_definition(weights: str, activations: str, bits: int):
    model = small(weights, activations, bits).train()
    x = (pictures(2, 8, 24, seed=3).float() / 255).requires_grad_()
    factors = torch.randn(24, 3, generator=torch.Generator().manual_seed(1))
    parameters = dict(model.named_parameters())
    logits, wanted_logits = model(x), slow(model, x)
    assert torch.allclose(logits.double(), wanted_logits, rtol=1e-6, atol=1e-6)
    found = torch.autograd.grad((logits * factors).sum(), [x, *parameters.values()])
    wanted = torch.autograd.grad((wanted_logits * factors).sum(), [x, *parameters.values()], allow_unused=True)
    for name, one, other in zip(["the image", *parameters], found, wanted, strict=True):
        assert one.abs().max() > 0, name
        assert one.dtype == torch.float32, name
        assert (one - other).abs().max() <= 1e-4 * other.abs().max(), name


def test_nothing_inside_the_range_reaches_alpha():
    model = small("sawb", "pact", 4).train()
    with torch.no_grad():
        for activation in (model.network.relu1, model.network.relu2):
            activation.alpha.fill_(12.0)
    model(pictures(2, 8, 8)).square().sum().backward()
    assert model.network.relu1.alpha.grad == 0
    assert model.network.relu2.alpha.grad == 0
    assert model.network.conv1.layer.weight.grad.abs().max() > 0


def test_evaluation_takes_its_masks_from_the_codes():
    model = small("sawb", "pact", 2)
    x = pictures(2, 8, 8).float() / 255
    maps = []
    for training in (True, False):
        model.train(training)
        x = x.detach().requires_grad_()
        maps.append(torch.autograd.grad(model(x)[:, 0].sum(), x)[0])
    assert (maps[0] != maps[1]).any()


def test_a_gamma_of_zero_moves_again():
    model = small("sawb", "pact", 4).train()
    with torch.no_grad():
        model.network.bn1.weight.zero_()
    model(pictures(2, 8, 8)).square().sum().backward()
    assert (model.network.bn1.weight.grad != 0).sum() >= 4
