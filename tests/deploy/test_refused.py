"""What has no integer form is refused, all at once, by the name of its layer and with the reason."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit import models
from glassbit._errors import ExportError, GlassbitWarning, UsageError
from glassbit.deploy import Deployed, lower
from glassbit.quant import DoReFa, Plan, Rule, quantize_

IMAGES = torch.zeros(2, 1, 8, 8, dtype=torch.uint8)


def conv(inputs: int = 4, **options: object) -> nn.Conv2d:
    return nn.Conv2d(inputs, 4, 3, **{"padding": 1, **options})


class Net(nn.Module):
    """A convolution and an activation, `middle` as the case says, then the head."""

    def __init__(self, middle: Callable[..., Tensor], features: int = 4 * 64, **layers: nn.Module) -> None:
        super().__init__()
        self.stem = conv(1)
        self.relu = nn.ReLU()
        self.middle = middle
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.fc = nn.Linear(features, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.middle(self, self.relu(self.stem(x))).flatten(1))


def sequence(net: Net, x: Tensor) -> Tensor:
    for name in ("a", "b", "c", "d"):
        x = getattr(net, name, nn.Identity())(x)
    return x


def both(net: Net, x: Tensor) -> Tensor:
    y = net.a(x)
    return net.c(net.b(y) + y)


class Standardised(nn.Conv2d):
    """Its weight is computed anew in every pass."""

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias, padding=self.padding)


CASES = [
    (
        Net(sequence, a=Standardised(4, 4, 3, padding=1)),
        "a: this Standardised computes something else than a Conv2d; a layer that computes its weight must be",
    ),
    (Net(lambda net, x: x.softmax(1)), "Net: the function softmax has no integer form"),
    (
        Net(lambda net, x: x * torch.rand(1, 1, 8, 8)),
        "Net: a constant beside a map must be a finite number, or a parameter",
    ),
    (Net(lambda net, x: x * torch.tensor(2.0)), "Net: a constant beside a map must be a finite number, or a parameter"),
    (Net(lambda net, x: x * net.fc.layer.bias[0].exp()), "Net: a constant beside a map must be a finite number, or a"),
    (Net(lambda net, x: x * float(net.fc.bias[0])), "Net: it reads a number out of a parameter"),
    (Net(lambda net, x: x * float("inf")), "Net: a constant beside a map must be a finite number, or a parameter"),
    (Net(lambda net, x: 1 / x), "Net: the function __rdiv__ has no integer form"),
    (Net(lambda net, x: x.clamp(min=-1)), "Net: it must clip between two numbers"),
    (Net(lambda net, x: torch.cat([x, x], 2), features=512), "Net: a concatenation must be along the channels"),
    (Net(lambda net, x: net.a(x.transpose(2, 3)), a=conv()), "Net|a: the elements of relu must keep their pixels"),
    (Net(lambda net, x: F.interpolate(x, scale_factor=2), features=1024), "Net: the function interpolate has no integ"),
    (Net(lambda net, x: x if x.max() > -1 else -x), "Net: the function max has no integer form"),
    (Net(lambda net, x: F.dropout(x)), "Net: dropout acts in eval mode; use an nn.Dropout module, or pass training="),
    (Net(sequence, a=nn.GroupNorm(2, 4)), "a: GroupNorm has no integer form"),
    (Net(lambda net, x: net.a(x).permute(0, 3, 1, 2), a=nn.LayerNorm(8)), "a: LayerNorm has no integer form"),
    (Net(sequence, a=nn.MaxPool2d(2, 1, dilation=2), features=144), "a: a max pool must have dilation=1"),
    (
        Net(sequence, a=nn.AvgPool2d(3, 1, 1, divisor_override=-2)),
        "a: divisor_override must be at least 1; got -2; leave it out to divide by the size of the window",
    ),
    (
        Net(lambda net, x: x.mean(1, keepdim=True), features=64),
        r"a mean must be over height and width, the axes \(2, 3\)",
    ),
    (
        Net(sequence, a=conv(padding_mode="circular"), b=nn.ReLU()),
        "a: padding must be of zeros; got padding_mode='circ",
    ),
    (
        Net(sequence, a=conv(), b=nn.BatchNorm2d(4, track_running_stats=False), c=nn.ReLU()),
        "b: it needs running statistics; build it with track_running_stats=True",
    ),
    (Net(lambda net, x: net.a(torch.add(x, x, alpha=2)), a=nn.ReLU()), "Net: a sum must have alpha=1; got 2"),
    (
        Net(lambda net, x: net.a(x + x.mean((2, 3), keepdim=True)), a=nn.ReLU()),
        r"a sum needs two maps of one shape; got \(2, 4, 8, 8\) and \(2, 4, 1, 1\)",
    ),
    (
        Net(lambda net, x: net.a(x), a=nn.Linear(8, 8)),
        r"a: a linear layer reads flat features \(n, c\); got \(2, 4, 8, 8",
    ),
]


@pytest.mark.filterwarnings("ignore::glassbit._errors.GlassbitWarning", "ignore:Using padding='same'")
@pytest.mark.parametrize(("network", "reason"), CASES, ids=[reason[:40] for _, reason in CASES])
def test_the_reason_is_given(network: nn.Module, reason: str):
    quantize_(network, Plan.named("w4a4"))
    with pytest.raises(UsageError, match=r"deploy: 1 thing has no form in integer arithmetic\n  - .*" + reason):
        Deployed(network, IMAGES)


class Heads(nn.Module):
    """What comes out is not logits of a linear layer."""

    def __init__(self, head: Callable[..., object]) -> None:
        super().__init__()
        self.stem = conv(1)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(256, 3)
        self.head = head

    def forward(self, x: Tensor) -> object:
        return self.head(self, self.relu(self.stem(x)))


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (lambda net, x: x.flatten(1), "the logits .* must come straight from a quantized linear layer"),
        (lambda net, x: (net.fc(x.flatten(1)), x), "its output must be the logits, one tensor"),
        (lambda net, x: torch.zeros(2, 3), "its output must be the logits, one tensor"),
        (lambda net, x: net.fc(x.flatten(1)).softmax(1), "the function softmax has no integer form"),
    ],
)
def test_the_end_must_be_logits(head: Callable[..., object], reason: str):
    network = Heads(head)
    quantize_(network, Plan.named("w4a4"))
    with pytest.raises(UsageError, match=reason):
        Deployed(network, IMAGES)


def test_everything_is_reported_at_once():
    network = Net(sequence, a=nn.Softmax(1), b=conv(), c=nn.BatchNorm2d(4, track_running_stats=False), d=nn.Tanh())
    with pytest.warns(GlassbitWarning):
        quantize_(network, Plan("mixed", (Rule("*", 4, 4),), edges="full"))
    with pytest.raises(UsageError) as caught:
        Deployed(network, IMAGES)
    assert "stem: this Conv2d stays in full precision; give it bits in the plan" in str(caught.value)
    network = Net(lambda net, x: net.c(net.a(x).cos()) + net.b(x).cos(), a=conv(), b=nn.Softmax(1), c=nn.ReLU())
    with pytest.warns(GlassbitWarning):
        quantize_(network, Plan.named("w4a4"))
    with pytest.raises(UsageError) as caught:
        Deployed(network, IMAGES)
    assert str(caught.value).splitlines() == [
        "deploy: 2 things have no form in integer arithmetic",
        "  - Net: the function cos has no integer form (2 times)",
        "  - b: Softmax has no integer form",
    ]


@pytest.mark.parametrize(
    ("call", "side", "reason"),
    [
        (lambda net, x: net.relu(x), 8, "relu: an activation cannot read the image"),
        (lambda net, x: net.relu(net.stem(x) + x), 8, "a sum cannot read the image"),
        (lambda net, x: net.relu(net.stem(F.avg_pool2d(x, 2))), 4, "an average pool cannot read the image"),
        (
            lambda net, x: net.relu(net.stem(F.max_pool2d(x, 3, 1, 1))),
            8,
            "a max pool of the image must have no padding",
        ),
    ],
)
def test_the_image_is_special(call: Callable[..., Tensor], side: int, reason: str):
    network = Heads(lambda net, x: x)
    network.forward = lambda x: network.fc(call(network, x).flatten(1))
    network.stem, network.fc = nn.Conv2d(1, 1, 1), nn.Linear(side * side, 3)
    quantize_(network, Plan.named("w4a4"))
    with pytest.raises(UsageError, match=reason):
        Deployed(network, IMAGES)


def test_sums_of_windows_that_float32_cannot_hold_are_refused():
    """Windows of 4, 5, 6 and 7 pixels per side: the weights of one add up to 420 on each axis."""
    network = Net(sequence, a=nn.AvgPool2d(7, 1, padding=3, count_include_pad=False))
    quantize_(network, Plan.named("w8a8", edges="same"))
    with pytest.raises(UsageError) as caught:
        Deployed(network, IMAGES)
    assert str(caught.value).splitlines()[1] == (
        "  - a: the sums of an average pool must be at most 255 x 2^16, so that float32 rounds as integers do; "
        "got up to 176400 x 255; make its windows smaller or of one size, or give the activation before it fewer bits"
    )
    network = Net(sequence, a=nn.AvgPool2d(7, 1, padding=3, count_include_pad=False))
    quantize_(network, Plan.named("w4a4", edges="same"))
    assert Deployed(network, IMAGES)(IMAGES).shape == (2, 3)


REASONS = [
    (
        Net(lambda net, x: net.b(net.a(x).sin()), a=nn.Sequential(conv(), nn.ReLU()), b=conv(padding_mode="circular")),
        ["Net: the function sin has no integer form", "b: padding must be of zeros; got padding_mode='circular'"],
    ),
    (
        Net(sequence, a=nn.Conv2d(4, 4, 1, padding=1), b=nn.ReLU(), features=400),
        [r"a: padding must be below the kernel \(1, 1\); got \(1, 1\)"],
    ),
    (
        Net(sequence, a=nn.Conv2d(4, 4, 2, padding=2, dilation=2, padding_mode="reflect"), b=nn.ReLU(), features=400),
        [
            "a: padding must be of zeros; got padding_mode='reflect'",
        ],
    ),
    (Net(lambda net, x: net.a(x)[0], a=nn.MaxPool2d(2, return_indices=True), features=64), [
        "a: a max pool must have dilation=1 and return_indices=False",
    ]),
    (Net(lambda net, x: (x.narrow(1, 0, 2).add_(x.narrow(1, 2, 2)), x)[1]), [
        "Net: the function add_ changes a tensor in place that is read again under another name",
    ]),
    (Net(lambda net, x: x if (x > 1).any().item() else -x), [
        "Net: the function gt has no integer form", "Net: the function any has no integer form",
    ]),
    (Net(lambda net, x: x if x.tolist() else -x), ["Net: tolist reads values out of a tensor; what a network"]),
    (Net(sequence, a=nn.LSTM(8, 8)), ["a: .* it raised"]),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::glassbit._errors.GlassbitWarning")
@pytest.mark.parametrize(("network", "reasons"), REASONS, ids=[reasons[0][:40] for _, reasons in REASONS])
def test_all_reasons_are_given_and_no_others(network: nn.Module, reasons: list[str]):
    quantize_(network, Plan.named("w4a4"))
    with pytest.raises(ExportError) as caught:
        Deployed(network, IMAGES)
    found = caught.value.problems
    assert len(found) == len(reasons), found
    for problem, reason in zip(found, reasons, strict=True):
        assert re.match(reason, problem), problem


@pytest.mark.filterwarnings("ignore::glassbit._errors.GlassbitWarning")
@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        ((nn.Conv2d(4, 3, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten()),
         "Sequential: the logits .*; what comes last are codes; an nn.Linear at the end makes another network"),
        ((nn.Flatten(), nn.Linear(256, 1)), "Sequential: there must be 2 classes or more; got 1"),
    ],
)  # fmt: skip
def test_heads_are_told_what_they_are(tail: tuple[nn.Module, ...], reason: str):
    network = nn.Sequential(conv(1), nn.ReLU(), *tail)
    quantize_(network, Plan.named("w4a4"))
    with pytest.raises(ExportError) as caught:
        Deployed(network, IMAGES)
    assert len(caught.value.problems) == 1
    assert re.match(reason, caught.value.problems[0]), caught.value


def test_sums_that_could_overflow_name_their_layer():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(2 * 220 * 220, 2, bias=False))
    quantize_(network, Plan.named("w8a8"))
    with torch.no_grad():
        network[3].layer.weight.fill_(0.01)
    with pytest.raises(
        ExportError, match=r"3: its sums, with the bias, must stay below 2\^31; they can reach 3\d{9}; "
    ):
        Deployed(network, torch.zeros(1, 1, 220, 220, dtype=torch.uint8))


def test_what_passes_here_passes_the_rules_of_a_graph():
    """Kernels, strides and paddings at the edge of what is allowed, in NumPy's integers too."""
    two = np.int64(2)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=2, stride=(np.int64(1), np.int64(1))), nn.ReLU(), nn.MaxPool2d(two, two, padding=1),
        nn.Conv2d(4, 4, (1, 3), padding=(0, 2), groups=4), nn.ReLU(), nn.AvgPool2d(1, 2), nn.AvgPool2d(two),
        nn.Flatten(), nn.Linear(8, 2),
    )  # fmt: skip
    quantize_(network, Plan.named("w4a4"))
    lower(network, images=IMAGES)


def test_dorefa_weights_of_8_bits_are_refused():
    network = Net(sequence)
    quantize_(network, Plan.named("w4a4"))
    network.stem.quantizer = DoReFa(8)
    with pytest.raises(
        UsageError, match="stem: DoReFa weights of 8 bits do not fit int8; use sawb or lsq, or fewer bits"
    ):
        Deployed(network, IMAGES)


def test_arguments():
    network = models.cnn_bn()
    with pytest.raises(
        UsageError,
        match=r"deploy: the network must be quantized; got one that is not; call quantize_\(model.network, plan\)",
    ):
        Deployed(network, torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
    quantize_(network, Plan.named("w4a4"))
    with pytest.raises(UsageError, match=r"Deployed: images must be .*; got none; pass at least one image"):
        Deployed(network, torch.zeros(0, 1, 28, 28, dtype=torch.uint8))
    deployed = Deployed(network, torch.zeros(1, 1, 28, 28, dtype=torch.uint8))
    with pytest.raises(UsageError, match=r"Deployed: images must be \(n, 1, 28, 28\).*\(1, 1, 27, 28\); resize"):
        deployed(torch.zeros(1, 1, 27, 28))
    with pytest.raises(
        UsageError, match=r"Deployed: images must be .*; got int64 from 0 to 0; use images.to\(torch.uint8\)"
    ):
        deployed(torch.zeros(1, 1, 28, 28, dtype=torch.int64))
