"""Methods that would be wrong, and that say so."""

import pytest
import torch
from torch import nn

from glassbit._errors import UsageError
from glassbit.explain import check_method, saliency
from glassbit.models import to_unit
from glassbit.quant import PACT, LSQActivation

REASONS = {
    "guided-backprop": "changes the backward pass of nn.ReLU and its subclasses only",
    "deconvolution": "changes the backward pass of nn.ReLU and its subclasses only",
    "deeplift": "takes a quantizer for linear",
    "lrp": "no rule for a quantized layer",
}


@pytest.mark.parametrize("method", REASONS)
def test_a_quantized_network_refuses_it_with_the_reason(make, images, method) -> None:
    with pytest.raises(
        UsageError,
        match=f"correct on quantized networks, as this one is; got {method}: .*{REASONS[method]}.*use one of gradient",
    ):
        check_method(make(quantized="w4a4"), method)


@pytest.mark.parametrize("method", REASONS)
@pytest.mark.parametrize("quantizer", [PACT(4), LSQActivation(4)])
def test_one_quantized_activation_is_enough(method, quantizer) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), quantizer, nn.Linear(3, 2))
    with pytest.raises(UsageError, match="method must be correct on quantized networks, as this one is"):
        check_method(model, method)


@pytest.mark.parametrize("method", REASONS)
def test_a_float_network_is_told_why_it_is_not_offered(make, method) -> None:
    with pytest.raises(UsageError, match=f"quantized networks too, so that maps can be compared; got {method}: "):
        check_method(make(), method)


def test_an_unknown_method_lists_the_known_ones(make) -> None:
    with pytest.raises(
        UsageError,
        match="method must be one of gradient, smoothgrad, integrated-gradients, grad-cam, occlusion; got 'magic'",
    ):
        check_method(make(), "magic")


def test_the_reasons_are_true(make, images) -> None:
    """What Captum does on a quantized network, so that a new release that repairs it is noticed."""
    from captum.attr import GuidedBackprop

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.flat, self.one, self.act, self.two = (
                nn.Flatten(),
                nn.Linear(16, 8),
                LSQActivation(4),
                nn.Linear(8, 2),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.two(self.act(self.one(self.flat(x))))

    x = torch.rand(3, 1, 4, 4, requires_grad=True)
    with pytest.warns(UserWarning, match="Setting backward hooks on ReLU"):
        guided = GuidedBackprop(Net()).attribute(x, target=0)
    torch.testing.assert_close(guided.abs().sum(1), saliency(Net(), x.detach(), 0))


def test_deeplift_takes_quantizers_for_linear(make, images) -> None:
    """On a float network its attributions add up to the change of the logit; here they are gradient times input."""
    from captum.attr import DeepLift

    model = nn.Sequential(nn.Flatten(), nn.Linear(240, 8), PACT(4, alpha=0.3), nn.Linear(8, 3))
    x = to_unit(images).requires_grad_()
    (slope,) = torch.autograd.grad(model(x)[:, 0].sum(), x)
    with pytest.warns(UserWarning, match="Setting forward, backward hooks"):
        found = DeepLift(model).attribute(x, torch.zeros_like(x), target=0)
    torch.testing.assert_close(found, slope * x)
