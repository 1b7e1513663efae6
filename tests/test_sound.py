"""Networks that nothing can be done with are refused by the names of their layers and tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from glassbit._errors import ExportError, UsageError
from glassbit.deploy import Deployed, export_problems, lower
from glassbit.quant import Plan, calibrate_, dequantize_, quantize_

IMAGES = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(0))
W4A4 = Plan.named("w4a4")
DIVERGED = "holds values that are not finite; its training diverged"


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu, self.fc = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(64, 3)

    def middle(self, x: Tensor) -> Tensor:
        return self.conv(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.relu(self.norm(self.middle(x))).flatten(1))


def script(net: Net) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates it, and people have it
        net.norm = torch.jit.script(net.norm)


def spoil(tensor: str, value: float) -> Callable[[Net], None]:
    def change(net: Net) -> None:
        net.state_dict()[tensor].view(-1)[0] = value

    return change


UNSOUND = [
    (script, "norm: a module of torch.jit has no forward in Python"),
    (spoil("conv.weight", float("nan")), f"conv.weight: {DIVERGED}"),
    (spoil("fc.bias", float("inf")), f"fc.bias: {DIVERGED}"),
    (spoil("norm.running_var", float("inf")), f"norm.running_var: {DIVERGED}"),
    (spoil("norm.running_mean", float("nan")), f"norm.running_mean: {DIVERGED}"),
]


@pytest.mark.parametrize(("change", "text"), UNSOUND)
def test_a_float_network_is_refused_and_left_alone(change: Callable[[Net], None], text: str):
    net = Net()
    change(net)
    with pytest.raises(UsageError, match=r"^quantize_: the network must be of plain modules") as caught:
        quantize_(net, W4A4)
    assert f"  - {text}" in str(caught.value)
    assert type(net.conv) is nn.Conv2d


@pytest.mark.parametrize(("change", "text"), UNSOUND)
def test_a_quantized_network_is_refused(change: Callable[[Net], None], text: str):
    net = Net()
    quantize_(net, W4A4)
    inner = {"conv": net.conv, "fc": net.fc}
    net.conv, net.fc = net.conv.layer, net.fc.layer  # the names of the float network
    change(net)
    net.conv, net.fc = inner["conv"], inner["fc"]
    text = text.replace("conv.weight", "conv.layer.weight").replace("fc.bias", "fc.layer.bias")
    with pytest.raises(UsageError, match=r"^calibrate_: the network must be of plain modules") as caught:
        calibrate_(net, IMAGES)
    assert f"  - {text}" in str(caught.value)
    for export in (lambda: lower(net, images=IMAGES), lambda: Deployed(net, IMAGES)):
        with pytest.raises(ExportError) as refused:
            export()
        assert [problem.startswith(text) for problem in refused.value.problems] == [True]
    if change is not script:  # a scripted module cannot always be copied
        assert export_problems(net, IMAGES)[0].startswith(text)


def test_all_reasons_come_at_once():
    net = Net()
    for change, _ in UNSOUND[1:]:
        change(net)
    with pytest.raises(UsageError, match="got 4 things that are not"):
        quantize_(net, W4A4)


def test_buffers_of_the_users_may_be_infinite():
    net = Net()
    net.register_buffer("mask", torch.tensor(float("-inf")))
    quantize_(net, W4A4)
    calibrate_(net, IMAGES)


def test_a_network_without_values_may_be_quantized_and_no_more():
    net = Net().to("meta")
    quantize_(net, W4A4)
    with pytest.raises(
        UsageError, match=r"conv.layer.weight: is on the meta device and holds no values.*and 8 tensors"
    ):
        calibrate_(net, IMAGES)
    with pytest.raises(ExportError, match=r"conv.layer.weight: is on the meta device"):
        Deployed(net, IMAGES)


class Negated(Net):
    def middle(self, x: Tensor) -> Tensor:
        return self.conv._conv_forward(x, -self.conv.weight, self.conv.bias)


class Asking(Net):
    def middle(self, x: Tensor) -> Tensor:
        assert self.relu.max_val
        return self.conv(x)

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.Hardtanh(0, 4)


def test_the_private_pieces_of_a_layer_are_refused_with_what_to_do():
    net = Negated()
    quantize_(net, W4A4)
    text = r"QuantizedConv2d: _conv_forward must be asked of the float layer, .* call the layer"
    with pytest.raises(UsageError, match=text):
        net(IMAGES)
    with pytest.raises(UsageError, match=text):
        calibrate_(net, IMAGES)
    with pytest.raises(ExportError, match=text):
        Deployed(net, IMAGES)
    dequantize_(net)
    net(IMAGES)


def test_settings_of_a_replaced_activation_are_refused_with_what_to_do():
    net = Asking()
    quantize_(net, W4A4)
    with pytest.raises(UsageError, match=r"^calibrate_: forward must ask .* got PACT\.max_val; keep that value"):
        calibrate_(net, IMAGES)
    with pytest.raises(ExportError, match="raised AttributeError"):
        Deployed(net, IMAGES)


def test_an_attribute_error_of_the_networks_own_stays():
    net = Net()
    quantize_(net, W4A4)
    net.middle = lambda x: net.nothing  # type: ignore[method-assign]
    with pytest.raises(AttributeError, match="nothing"):
        calibrate_(net, IMAGES)
