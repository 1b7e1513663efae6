"""What a network does besides calling layers: hooks, memory between passes, errors of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit._errors import ExportError
from glassbit.deploy import Deployed, export_problems
from glassbit.quant import Plan, QuantizedConv2d, quantize_

IMAGES = torch.randint(0, 256, (2, 1, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Two layers; `extra` runs at the start of each pass."""

    def __init__(self, extra: Callable[[Net, Tensor], object] = lambda net, x: None) -> None:
        super().__init__()
        self.extra = extra
        self.conv, self.relu, self.pool = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2)
        self.drop, self.fc = nn.Dropout(0.5), nn.Linear(16, 3)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("grid", None)
        self.calls = 0
        self.total = torch.zeros(2)

    def forward(self, x: Tensor) -> Tensor:
        self.extra(self, x)
        return self.fc(self.drop(self.pool(self.relu(self.conv(x)))).flatten(1))


def quantized(extra: Callable[[Net, Tensor], object] = lambda net, x: None) -> Net:
    torch.manual_seed(0)
    net = Net(extra)
    quantize_(net, Plan.named("w4a4"))
    return net


def problems(net: nn.Module) -> list[str]:
    with pytest.raises(ExportError) as caught:
        Deployed(net, IMAGES)
    return list(caught.value.problems)


def kept(what: str) -> str:
    return (
        f"Net: its forward changes {what} in eval mode too, and an exported network keeps nothing from one image to "
        "the next; change it only `if self.training`"
    )


def count_on(net: Net, x: Tensor) -> None:
    net.count = net.count + 1


def count_calls(net: Net, x: Tensor) -> None:
    net.calls += 1


def change_weights(net: Net, x: Tensor) -> None:
    getattr(net.conv, "layer", net.conv).weight.data.mul_(0.9)


def make_grid_once(net: Net, x: Tensor) -> None:
    if net.grid is None:
        net.grid = torch.zeros(3)


class TestMemory:
    @pytest.mark.parametrize(
        ("extra", "what"),
        [
            (lambda net, x: net.count.add_(1), "count, a parameter or buffer,"),
            (count_on, "count, a parameter or buffer,"),
            (count_calls, "calls"),
            (lambda net, x: net.total.add_(1), "total"),
        ],
    )
    def test_what_changes_with_every_pass_is_refused(self, extra: Callable[[Net, Tensor], object], what: str):
        net = quantized(extra)
        assert kept(what).partition(" in eval")[0].partition(": ")[2] in problems(net)[-1]

    def test_weights_that_change_are_named_with_their_layer(self):
        assert problems(quantized(change_weights))[-1].startswith("conv.layer: its forward changes weight, a parameter")

    def test_what_is_made_once_is_not_refused(self):
        Deployed(quantized(make_grid_once), IMAGES)

    def test_the_networks_own_input_is_refused_and_the_callers_images_stay(self):
        images = IMAGES / 255
        before = images.clone()
        with pytest.raises(
            ExportError, match="Net: the image must be read by a convolution or a linear layer before it is scaled"
        ):
            Deployed(quantized(lambda net, x: x.sub_(0.5)), images)
        assert torch.equal(images, before)

    def test_calls_that_change_from_pass_to_pass_are_refused(self):
        state = {"odd": False}

        class Fickle(Net):
            def forward(self, x: Tensor) -> Tensor:
                state["odd"] = not state["odd"]
                x = self.pool(self.relu(self.conv(x)))
                return self.fc((F.max_pool2d(x, 1) if state["odd"] else x).flatten(1))

        net = Fickle()
        quantize_(net, Plan.named("w4a4"))
        assert problems(net)[0].startswith("Fickle: two passes do not call the same layers and functions")


class TestHooks:
    @pytest.mark.parametrize(
        "hook",
        [lambda module, args, output: output * 2, lambda module, args, output: output.mul_(2) and None],
        ids=["another output", "in place"],
    )
    def test_one_that_changes_the_output_is_refused(self, hook: Callable[..., Tensor | None]):
        net = quantized()
        net.relu.register_forward_hook(lambda *given: hook(*given) if hook(*given) is not None else None)
        assert "relu: a forward hook of its own changes what it computes" in problems(net)[0]

    def test_one_that_changes_the_input_is_refused(self):
        net = quantized()
        net.conv.register_forward_pre_hook(lambda module, args: (args[0].clone(),))
        assert "conv: a forward hook of its own changes what it computes" in problems(net)[0]

    def test_one_that_changes_the_input_in_place_is_followed(self):
        def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            args[0].add_(0.1)

        net = quantized()
        net.pool.register_forward_pre_hook(hook)
        Deployed(net, IMAGES)  # what is changed is seen, and part of the integer network

    def test_one_that_looks_on_may_stay(self):
        net, seen = quantized(), []
        net.relu.register_forward_hook(lambda module, args, output: seen.append(output.shape))
        net.conv.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape))
        Deployed(net, IMAGES)
        assert seen[:2] == [IMAGES.shape, (2, 4, 4, 4)]

    def test_those_of_ours_are_gone_afterwards(self):
        net = quantized()
        Deployed(net, IMAGES)
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
        with pytest.raises(ExportError):
            Deployed(quantized(lambda net, x: x.sigmoid()), IMAGES)

    def test_a_forward_that_was_replaced_is_refused(self):
        net = quantized()
        net.conv.forward = lambda x: x[:, :, ::2, ::2]
        assert problems(net)[0] == "conv: its forward was replaced on the object; make it a module of its own instead"

    def test_a_subclass_of_a_quantized_layer_is_looked_into(self):
        class Doubled(QuantizedConv2d):
            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x) * 2

        net = quantized()
        net.conv = Doubled(net.conv.layer, net.conv.quantizer)
        assert problems(net) == [
            "conv: the function conv2d has no bits; use an nn.Conv2d or nn.Linear module",
        ]


class TestErrors:
    def test_what_a_forward_raises_names_the_layer(self):
        class Broken(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x[{}]

        net = quantized()
        net.pool = nn.Sequential(nn.Softmax(1), Broken())
        found = problems(net)
        assert found[0] == "pool.0: Softmax has no integer form"
        assert found[1].startswith("pool.1: in eval mode, on images of 1 x 6 x 6, it raised IndexError: ")

    def test_images_that_do_not_fit_name_the_layer(self):
        net = quantized()
        with pytest.raises(
            ExportError, match=r"fc: in eval mode, on images of 1 x 9 x 9, it raised RuntimeError: mat1"
        ):
            Deployed(net, torch.zeros(1, 1, 9, 9, dtype=torch.uint8))

    def test_an_error_that_the_network_catches_leaves_no_trace(self):
        def attempt(net: Net, x: Tensor) -> None:
            for layer in (net.fc, net.pool):
                with contextlib.suppress(RuntimeError, IndexError):
                    layer(x[0, 0] if layer is net.pool else torch.zeros(2, 5))

        net = quantized(lambda net, x: attempt(net, torch.zeros(1, 1, 2, 2)))
        Deployed(net, IMAGES)

    def test_layers_in_training_mode_are_refused(self):
        net = quantized(lambda net, x: net.drop.train())
        assert "drop: this Dropout is in training mode in spite of eval()" in problems(net)


class TestBeforeTraining:
    def test_a_network_that_can_be_exported_has_no_problems_and_stays(self):
        net = quantized()
        before = {name: value.clone() for name, value in net.state_dict().items()}
        assert export_problems(net.train(), IMAGES) == ()
        assert net.training
        assert all(torch.equal(value, net.state_dict()[name]) for name, value in before.items())

    def test_counters_of_a_network_stay(self):
        net = quantized(lambda net, x: net.count.add_(1))
        assert len(export_problems(net, IMAGES)) == 1
        assert net.count == 0

    def test_full_precision(self):
        assert export_problems(Net(), IMAGES) == ("the network is in full precision; choose a bit plan",)
        net = Net()
        quantize_(net, Plan.named("w4a4", edges="full"))
        assert export_problems(net, IMAGES) == ("the network is in full precision; choose a bit plan",)
        net.drop = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.ReLU(), nn.Dropout(0.5))
        net.relu = nn.ReLU()
        quantize_(net, Plan.named("w4a4", edges="full"))
        assert [problem.split(";")[0] for problem in export_problems(net, IMAGES)] == [
            "conv: this Conv2d stays in full precision",
            "drop.2: this ReLU stays in full precision",
            "fc: this Linear stays in full precision",
        ]

    def test_what_cannot_be_copied(self):
        net = quantized()
        net.lock = (value for value in ())
        assert export_problems(net, IMAGES)[0].startswith("Net: cannot be copied; got TypeError (")
