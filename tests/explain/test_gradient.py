"""The gradient, against NumPy and finite differences; its average over noise."""

import numpy as np
import pytest
import torch
from torch import nn

from glassbit._errors import UsageError
from glassbit.explain import gradient, saliency, smoothgrad
from glassbit.models import to_unit


def test_gradient_equals_central_differences_on_a_smooth_network(make, images) -> None:
    model = make(smooth=True).double().eval()
    x, step = to_unit(images[:2]).double(), 1e-5
    with torch.no_grad():
        expected = np.zeros((2, 12, 10))
        for channel, row, column in np.ndindex(2, 12, 10):
            up, down = x.clone(), x.clone()
            up[:, channel, row, column] += step
            down[:, channel, row, column] -= step
            expected[:, row, column] += ((model(up) - model(down))[:, 1] / (2 * step)).abs().numpy()
    np.testing.assert_allclose(saliency(model, x, 1).numpy(), expected, rtol=1e-6, atol=1e-9)


def test_gradient_equals_its_formula_on_two_layers_in_numpy() -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * 4 * 3, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    x = torch.rand(4, 2, 4, 3, dtype=torch.float64)
    target = torch.tensor([2, 0, 1, 2])
    first, bias, second = (p.detach().numpy() for p in (model[1].weight, model[1].bias, model[3].weight))
    hidden = np.tanh(x.numpy().reshape(4, -1) @ first.T + bias)
    slope = ((1 - hidden**2) * second[target.numpy()]) @ first
    expected = np.abs(slope.reshape(4, 2, 4, 3)).sum(1)
    np.testing.assert_allclose(gradient(model, x, target).numpy(), expected, rtol=1e-12)


def test_smoothgrad_of_a_linear_network_is_its_gradient(images) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(240, 3))
    torch.testing.assert_close(smoothgrad(model, images, 1), gradient(model, images, 1))


def test_smoothgrad_without_noise_is_the_gradient(make, images) -> None:
    torch.testing.assert_close(smoothgrad(make(), images, 1, noise=0.0, samples=3), gradient(make(), images, 1))


def test_smoothgrad_of_a_quadratic_averages_the_signed_gradient() -> None:
    """f = sum of x^2 / 2 has the gradient x, so the mean over noise is x + s mean(e): close to x, not to |noise|."""

    class Quadratic(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x.square().sum((1, 2, 3)) / 2, x.sum((1, 2, 3))], 1)

    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 0, 0] = 1.0
    maps = smoothgrad(Quadratic(), x, 0, samples=400, noise=0.2)
    assert (maps - x[:, 0]).abs().max() < 5 * 0.2 / 400**0.5


def test_smoothgrad_depends_on_its_seed_only(make, images) -> None:
    first = smoothgrad(make(), images, 0, samples=4)
    torch.manual_seed(99)
    assert torch.equal(first, smoothgrad(make(), images, 0, samples=4))
    assert not torch.equal(first, smoothgrad(make(), images, 0, samples=4, seed=1))


@pytest.mark.parametrize("option", [{"samples": 0}, {"noise": -0.1}, {"noise": float("nan")}])
def test_smoothgrad_refuses_impossible_options(make, images, option) -> None:
    with pytest.raises(UsageError, match=r"samples must be 1\.\.10000 and noise a number in \[0, 100\]"):
        smoothgrad(make(), images, 0, **option)
