"""Grad-CAM against its equations, and the choice of its layer."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from glassbit import models
from glassbit._errors import UsageError
from glassbit.explain import grad_cam
from glassbit.models import to_unit
from glassbit.quant import Plan, quantize_


@pytest.mark.parametrize("quantized", [None, "w4a4"])
def test_it_equals_its_equations(make, images, quantized) -> None:
    model = make(quantized=quantized).eval()
    x = to_unit(images)
    features = model.network[:5](model.normalize(x)).detach().requires_grad_()
    logits = model.network[5:](features)
    (slope,) = torch.autograd.grad(logits[:, 2].sum(), features)
    small = (slope.mean((2, 3), keepdim=True) * features).sum(1, keepdim=True).relu()
    expected = F.interpolate(small, (12, 10), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(grad_cam(model, images, 2), expected.detach())


@pytest.mark.parametrize("quantized", [None, "w4a4"])
@pytest.mark.parametrize(
    ("build", "last"),
    [
        (lambda: models.cnn(channels=1), "relu2"),
        (lambda: models.cnn_bn(channels=1), "stage4.relu"),
        (lambda: models.resnet20(channels=1), "layer3.2.relu2"),
    ],
)
def test_the_last_feature_maps_of_the_networks_that_come_along(build, last, quantized) -> None:
    network = build()
    if quantized:
        quantize_(network, Plan.named(quantized))
    model = models.Classifier(network, mean=(0.5,), std=(0.5,))
    images = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(grad_cam(model, images, 1), grad_cam(model, images, 1, layer=last))


def test_a_layer_can_be_named(make, images) -> None:
    assert not torch.equal(grad_cam(make(), images, 1, layer="2"), grad_cam(make(), images, 1))


def test_a_wrong_layer_lists_the_right_ones(make, images) -> None:
    with pytest.raises(UsageError, match="layer must be one of 0, 1, 2, 3, 4, 5, 6; got 'conv9'"):
        grad_cam(make(), images, 1, layer="conv9")
    with pytest.raises(UsageError, match="got '8'"):
        grad_cam(make(), images, 1, layer="8")


def test_weights_are_no_feature_maps() -> None:
    """A quantizer of one output channel's weights looks like the features of one image."""
    network = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(16, 2))
    quantize_(network, Plan.named("w4a4", edges="same"))
    images = torch.rand(2, 1, 8, 8)
    with pytest.raises(UsageError, match="layer must be one of 0, 1, 2; got 'x'"):
        grad_cam(network, images, 1, layer="x")
    assert grad_cam(network, images, 1).shape == (2, 8, 8)


def test_a_network_without_feature_maps_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    with pytest.raises(
        UsageError, match="must have a layer with feature maps larger than 1 x 1; got none; use gradient"
    ):
        grad_cam(model, torch.rand(2, 1, 8, 8))


def test_no_hook_stays(make, images) -> None:
    model = make()
    grad_cam(model, images, 1)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
