"""A quantizer per call of an activation: names, levels, bits, and what the mechanism survives."""

from __future__ import annotations

import copy
import io
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.utils.checkpoint import checkpoint

from glassbit import models
from glassbit._errors import GlassbitWarning, UsageError
from glassbit.quant import (
    PACT,
    LSQActivation,
    Plan,
    QuantizedConv2d,
    Rule,
    Sites,
    assign,
    calibrate_,
    cost,
    dequantize_,
    quantize_,
    quantizers,
)

from .shared import IMAGES, NETWORKS, RESNET, W2A2, Recurrent, ResNet, Shared, bits, conv, given, made


def by_hand(model: nn.Module, x: Tensor) -> Tensor:
    """What `Shared` computes with the quantizers of its three calls."""
    for layer, index in ((model.c1, 0), (model.c2, 1), (model.c3, 2)):
        x = model.relu.get_submodule(str(index))(layer(x))
        x = model.pool(x) if index < 2 else x
    return model.fc(x.flatten(1))


class TestNames:
    def test_one_relu_for_all_layers(self) -> None:
        model = Shared()
        conversion = quantize_(model, W2A2)
        expected = {"c1": 8, "c2": 2, "c3": 2, "relu.0": 2, "relu.1": 2, "relu.2": 8, "fc": 8}
        assert {layer.name: layer.bits for layer in conversion.layers} == expected
        assert bits(model) == expected
        assert [name for name in model.state_dict() if "alpha" in name] == [f"relu.{i}.alpha" for i in range(3)]

    def test_torchvisions_residual_network(self) -> None:
        model = ResNet()
        quantize_(model, W2A2)
        assert bits(model) == RESNET
        assert isinstance(model.relu, PACT), "a module that is called once keeps its name"

    def test_a_block_that_is_used_several_times(self) -> None:
        model = Recurrent()
        quantize_(model, W2A2)
        assert bits(model) == {
            "stem.0": 8, "stem.1": 2, "block.0": 2, "block.1.0": 2, "block.1.1": 2, "block.1.2": 8, "fc": 8,
        }  # fmt: skip

    def test_a_block_that_is_registered_twice(self) -> None:
        block = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU())
        model = nn.Sequential(block, block)
        quantize_(model, W2A2)
        assert model[0] is model[1]
        assert isinstance(model[0][0], QuantizedConv2d)
        assert [type(module) for module in model[0][1].children()] == [PACT, PACT]

    def test_a_relu_of_several_parents(self) -> None:
        relu = nn.ReLU()
        model = nn.Sequential(nn.Sequential(conv(1), relu, conv(), relu), nn.Sequential(conv(), relu, conv()))
        quantize_(model, W2A2)
        assert bits(model) == {"0.0": 8, "0.1": 2, "0.2": 2, "0.3": 2, "1.0": 2, "1.1": 8, "1.2": 8}
        assert len({id(module) for _, module in quantizers(model)}) == 7

    def test_another_name_for_a_relu_that_is_called_once(self) -> None:
        class Named(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.act = nn.ReLU()
                self.net = nn.Sequential(conv(1), self.act, conv())

            def forward(self, x: Tensor) -> Tensor:
                return self.net(x)

        model = Named()
        quantize_(model, W2A2)
        assert model.act is model.net[1]
        assert bits(model) == {"act": 8, "net.0": 8, "net.2": 8}

    def test_a_relu_that_another_module_calls(self) -> None:
        class Borrowing(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.first = nn.Sequential(conv(1), nn.ReLU())
                self.last = conv()

            def forward(self, x: Tensor) -> Tensor:
                return self.last(self.first[1].forward(self.first(x)))

        model = Borrowing()
        quantize_(model, W2A2)
        assert bits(model) == {"first.0": 8, "first.1.0": 2, "first.1.1": 8, "last": 8}
        assert model(IMAGES).shape == (4, 4, 16, 16)

    def test_assign_says_the_same_without_converting(self) -> None:
        model = ResNet()
        planned = assign(model, W2A2)
        assert type(model) is ResNet
        assert {layer.name: layer.bits for layer in planned.layers} == RESNET
        assert quantize_(model, W2A2) == planned

    def test_quantizers_of_the_plan(self) -> None:
        model = made("shared", Plan.named("w3a3", activations="lsq", edges="full"))
        assert [type(module) for module in model.relu.children()] == [LSQActivation, LSQActivation, nn.ReLU]
        assert isinstance(model.fc, nn.Linear)

    def test_all_in_full_precision_is_left_alone(self) -> None:
        model = Shared()
        relu = model.relu
        quantize_(model, Plan("weights", (Rule("*", 4, 32),), edges="same"))
        assert model.relu is relu
        assert type(model) is Shared


class TestRules:
    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            (Rule("relu", 4, 3), (3, 3, 3)),  # the module's name, spelled out: it wins over the edge
            (Rule("relu.1", 4, 3), (4, 3, 8)),  # a call's own name
            (Rule("relu.2", 4, 3), (4, 4, 3)),
            (Rule("c2", 4, 3), (4, 3, 8)),  # the layer in front
            (Rule("relu*", 4, 3), (3, 3, 8)),
        ],
    )
    def test_by_name(self, rule: Rule, expected: tuple[int, ...]) -> None:
        found = given(Shared(), Plan("mine", (Rule("*", 4, 4), rule)))
        assert tuple(found[f"relu.{i}"] for i in range(3)) == expected

    def test_depth_follows_the_calls(self) -> None:
        found = given(Shared(), Plan.named("layers-4-2", edges="same"))
        assert tuple(found[f"relu.{i}"] for i in range(3)) == (4, 4, 2)

    def test_order_of_calls_not_of_definition(self) -> None:
        class Reversed(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.fc, self.act2, self.unused = nn.Linear(4, 3), nn.ReLU(), nn.Linear(2, 2)
                self.c2, self.c1, self.act1 = conv(), conv(1), nn.ReLU()

            def forward(self, x: Tensor) -> Tensor:
                return self.fc(self.act2(self.c2(self.act1(self.c1(x)))).mean((2, 3)))

        assert given(Reversed(), Plan("mine", (Rule("*", 2, 2), Rule("c1", 8, 5)))) == {
            "fc": 8, "act2": 8, "unused": 2, "c2": 2, "c1": 8, "act1": 5,
        }  # fmt: skip


class TestLevels:
    def test_each_call_uses_its_own_quantizer(self) -> None:
        model = made("shared").eval()
        levels = [module.alpha.item() for module in model.relu.children()]
        assert len(set(levels)) == 3
        assert torch.equal(model(IMAGES), by_hand(model, IMAGES))

    def test_calibration_fits_each_to_its_own_inputs(self) -> None:
        torch.manual_seed(0)
        model = Shared()
        quantize_(model, Plan.named("w8a8"))
        with torch.no_grad():
            model.c2.layer.weight.mul_(100)
        levels = calibrate_(model, IMAGES)
        assert list(levels) == ["relu.0", "relu.1", "relu.2"]
        assert levels["relu.1"] > 20 * levels["relu.0"]
        assert levels == {f"relu.{i}": module.alpha.item() for i, module in enumerate(model.relu.children())}

    def test_cost_sees_the_bits_of_each_call(self) -> None:
        rows = {row.name: row.input_bits for row in cost(made("shared"), (1, 16, 16)).rows}
        assert rows == {"c1": 8, "c2": 2, "c3": 2, "fc": 8}

    @pytest.mark.parametrize("name", NETWORKS)
    def test_all_levels_learn(self, name: str) -> None:
        model = made(name, Plan.named("w4a4", alpha=1.0))
        model(5 * IMAGES).logsumexp(1).sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


class TestThereAndBack:
    def test_one_object_in_all_places(self) -> None:
        relu = nn.ReLU(inplace=True)
        model = nn.Sequential(nn.Sequential(conv(1), relu, conv(), relu), nn.Sequential(conv(), relu, conv()))
        before = list(model.modules())
        quantize_(model, W2A2)
        dequantize_(model)
        assert all(a is b for a, b in zip(model.modules(), before, strict=True))
        assert model[0][1] is model[0][3] is model[1][1] is relu

    @pytest.mark.parametrize("name", NETWORKS)
    def test_classes_and_modules(self, name: str) -> None:
        model = NETWORKS[name]()
        before, keys = [*model.modules()], [vars(module).keys() for module in model.modules()]
        classes = [type(module) for module in before]
        quantize_(model, W2A2)
        assert isinstance(model, classes[0])
        assert type(model).__name__ == classes[0].__name__
        dequantize_(model)
        after = [*model.modules()]
        assert all(a is b for a, b in zip(after, before, strict=True))
        assert [type(module) for module in after] == classes
        assert [vars(module).keys() for module in after] == keys

    @pytest.mark.parametrize("name", NETWORKS)
    def test_float_weights_load(self, name: str) -> None:
        model, pretrained = made(name), NETWORKS[name]()
        missing, unexpected = model.load_state_dict(pretrained.state_dict(), strict=False)
        assert not unexpected
        assert missing
        assert all(key.endswith(".alpha") for key in missing)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_quantized_weights_load(self, name: str) -> None:
        model, other = made(name).eval(), NETWORKS[name]()
        quantize_(other, W2A2)
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(other.eval()(IMAGES), model(IMAGES))


class TestSeeing:
    """What is seen, and that looking changes nothing."""

    @pytest.mark.parametrize("example", [None, IMAGES])
    def test_the_network_is_left_as_it_was(self, example: Tensor | None) -> None:
        model = nn.Sequential(conv(1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(1024, 3))
        seen: list[object] = []
        model[2].register_forward_hook(lambda *_: seen.append(1))
        hooks = dict(model[2]._forward_hooks)
        model[3].eval()
        state = {name: value.clone() for name, value in model.state_dict().items()}
        modes, rng = [module.training for module in model.modules()], torch.get_rng_state()
        assign(model, W2A2, example=example)
        assert not seen
        assert dict(model[2]._forward_hooks) == hooks
        assert [module.training for module in model.modules()] == modes
        assert torch.equal(torch.get_rng_state(), rng)
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert all("forward" not in vars(module) for module in model.modules())

    @pytest.mark.parametrize(
        ("first", "side"), [(conv(3), 20), (conv(2), 28), (conv(5), 97), (conv(1), 224), (conv(1), 5)]
    )
    def test_images_of_many_shapes_are_tried(self, first: nn.Conv2d, side: int) -> None:
        relu = nn.ReLU()
        model = nn.Sequential(first, relu, nn.Flatten(), nn.Linear(4 * side**2, 6), relu, nn.Linear(6, 2))
        assert [name for name in given(model, W2A2) if name in ("1", "4")] == ["1", "4"]

    @pytest.mark.parametrize("shape", [(12,), (3, 4, 4), (1, 6, 6)])
    def test_linear_networks(self, shape: tuple[int, ...]) -> None:
        model = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), 4), nn.ReLU(), nn.Linear(4, 2))
        assert given(model, W2A2) == {"1": 8, "2": 8, "3": 8}

    def test_another_precision(self) -> None:
        assert given(Shared().double(), W2A2)["relu.2"] == 8

    def test_a_network_that_reads_its_values(self) -> None:
        class Careful(Shared):
            def forward(self, x: Tensor) -> Tensor:
                if x.abs().max().item() > 1e6:
                    raise ValueError
                return super().forward(x)

        model = Careful()
        quantize_(model, W2A2)
        assert bits(model)["relu.2"] == 8

    def test_no_image_fits(self) -> None:
        class Odd(Shared):
            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x[:, :, :16, :16].reshape(-1, 1, 16, 16)) if x.shape[2:] == (16, 99) else x[9]

        model = Odd()
        with pytest.warns(GlassbitWarning, match="Odd could be run on no image of a likely size.*pass example=images"):
            quantize_(model, W2A2)
        assert bits(model)["relu"] == 8
        with pytest.raises(UsageError, match=r"relu: must be called once per forward pass.*got call 2; .*example=imag"):
            model(torch.zeros(2, 1, 16, 99))
        dequantize_(model)
        quantize_(model, W2A2, example=torch.zeros(2, 1, 16, 99))
        assert model(torch.zeros(2, 1, 16, 99)).shape == (2, 3)

    def test_an_example_that_does_not_fit(self) -> None:
        with pytest.raises(
            UsageError, match=r"example must be what the network takes; got \(2, 3, 16, 16\), on which it raised Runti"
        ):
            quantize_(Shared(), W2A2, example=torch.zeros(2, 3, 16, 16))

    def test_several_inputs(self) -> None:
        class Two(Shared):
            def forward(self, x: Tensor, y: Tensor) -> Tensor:
                return super().forward(x + y)

        model = Two()
        quantize_(model, W2A2, example=(IMAGES, IMAGES))
        assert bits(model)["relu.2"] == 8

    def test_a_forward_that_is_set_on_the_object(self) -> None:
        model = nn.Sequential(Shared(), nn.ReLU())
        model[0].forward = model[0].forward
        with pytest.raises(UsageError, match=r"0: forward must be a method of its class.*; define it in the class"):
            quantize_(model, W2A2)
        assert not bits(model)
        assert type(model) is nn.Sequential


class TestSurvives:
    @pytest.mark.parametrize("name", NETWORKS)
    def test_deep_copy(self, name: str) -> None:
        model = made(name).eval()
        expected = model(IMAGES)
        twin = copy.deepcopy(model)
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        assert torch.equal(twin(IMAGES), expected)
        dequantize_(twin)
        assert type(twin) is NETWORKS[name]

    @pytest.mark.parametrize("name", NETWORKS)
    def test_pickle_of_the_whole_network(self, name: str) -> None:
        model = made(name).eval()
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        loaded = torch.load(file, weights_only=False)
        assert torch.equal(loaded(IMAGES), model(IMAGES))
        assert type(loaded) is type(model)

    @pytest.mark.parametrize("name", NETWORKS)
    def test_functional_call_and_vmap(self, name: str) -> None:
        model = made(name).eval()
        state = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        assert torch.equal(functional_call(model, state, (IMAGES,)), model(IMAGES))
        stacked = vmap(lambda x: functional_call(model, state, (x[None],))[0])(IMAGES)
        torch.testing.assert_close(stacked, torch.cat([model(image[None]) for image in IMAGES]))

    @pytest.mark.slow
    def test_compile(self) -> None:
        script = [sys.executable, "-m", "tests.quant.shared"]
        done = subprocess.run(script, capture_output=True, text=True, cwd=Path(__file__).parents[2])
        assert done.returncode == 0, done.stderr

    @pytest.mark.parametrize("name", ["resnet", "functional resnet"])
    def test_checkpointed_blocks(self, name: str) -> None:
        gradients = []
        for checkpointed in (False, True):
            model = made(name)
            model.checkpointed = checkpointed
            model(IMAGES).logsumexp(1).sum().backward()
            gradients.append([parameter.grad for parameter in model.parameters()])
        assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))

    def test_a_checkpoint_of_a_part_of_the_owner_is_refused(self) -> None:
        class Part(Shared):
            def forward(self, x: Tensor) -> Tensor:
                return checkpoint(super().forward, x, use_reentrant=False)

        model = Part()
        quantize_(model, W2A2)
        loss = model(IMAGES).sum()
        with pytest.raises(
            UsageError, match=r"relu: must be called in the forward pass of the network.*checkpoint the"
        ):
            loss.backward()

    @pytest.mark.parametrize("name", ["shared", "functional"])
    def test_an_exception_in_the_middle(self, name: str) -> None:
        model = made(name).eval()
        expected = model(IMAGES)
        handle = model.c2.register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            model(IMAGES)
        handle.remove()
        assert torch.equal(model(IMAGES), expected)

    @pytest.mark.parametrize("name", ["shared", "functional"])
    def test_a_pass_inside_a_pass(self, name: str) -> None:
        model = made(name).eval()
        expected, inner = model(IMAGES), []

        def once(*_: object) -> None:
            handle.remove()
            inner.append(model(IMAGES))

        handle = model.c2.register_forward_hook(once)
        assert torch.equal(model(IMAGES), expected)
        assert torch.equal(inner[0], expected)

    @pytest.mark.parametrize("name", ["shared", "functional"])
    def test_passes_in_two_threads(self, name: str) -> None:
        model = made(name).eval()
        expected, both, found = model(IMAGES), threading.Barrier(2, timeout=30), []

        def wait(*_: object) -> None:
            both.wait()

        handles = [module.register_forward_hook(wait) for module in (model.c1, model.c2, model.c3)]
        threads = [threading.Thread(target=lambda: found.append(model(IMAGES))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for handle in handles:
            handle.remove()
        assert [torch.equal(result, expected) for result in found] == [True, True]

    def test_a_submodule_alone(self) -> None:
        model = made("resnet").eval()
        block = model.layer1[0]
        x = torch.rand(2, 4, 8, 8)
        inner = block.relu.get_submodule("0")(block.bn1(block.conv1(x)))
        assert torch.equal(block(x), block.relu.get_submodule("1")(block.bn2(block.conv2(inner)) + x))

    def test_a_recurrent_block_alone_is_refused(self) -> None:
        model = made("recurrent")
        with pytest.raises(UsageError, match=r"block\.1: must be called in the forward pass of the network, .*outside"):
            model.block(torch.rand(2, 4, 8, 8))

    def test_a_copy_beside_its_original(self) -> None:
        block = nn.Sequential(made("shared").eval(), nn.Linear(3, 3))
        both = nn.ModuleList([block, copy.deepcopy(block)]).eval()
        assert torch.equal(both[0](IMAGES), both[1](IMAGES))

    def test_a_slice_of_a_sequential(self) -> None:
        model = nn.Sequential(conv(1), nn.ReLU(), conv(), nn.ReLU()).eval()
        quantize_(model, W2A2)
        assert torch.equal(model[2:](model[:2](IMAGES)), model(IMAGES))

    def test_train_and_eval(self) -> None:
        model = made("resnet")
        assert all(module.training for module in model.modules())
        assert not any(module.training for module in model.eval().modules())


class TestCounts:
    @pytest.mark.parametrize(("steps", "got"), [(2, "2"), (1, "1"), (4, "call 4")])
    def test_another_number_of_calls_is_refused(self, steps: int, got: str) -> None:
        model = made("recurrent")
        model.steps = steps
        with pytest.raises(
            UsageError,
            match=rf"block\.1: must be called 3 times per forward pass, .*; got {got}; call dequantize_.*exa",
        ):
            model(IMAGES)

    def test_no_call_at_all_gives_nothing_to_the_wrong_quantizer(self) -> None:
        model = made("recurrent")
        model.steps = 0
        assert model(IMAGES).shape == (4, 3)

    def test_a_number_that_depends_on_the_input(self) -> None:
        class Adaptive(Recurrent):
            def forward(self, x: Tensor) -> Tensor:
                self.steps = 1 if bool((x == 0).all()) else 2
                return super().forward(x)

        model = Adaptive()
        quantize_(model, W2A2)
        assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
        with pytest.raises(UsageError, match=r"block\.1: must be called once per forward pass.*depends on the input"):
            model(IMAGES)

    @pytest.mark.parametrize("activations", ["pact", "lsq"])
    def test_a_number_that_depends_on_the_mode(self, activations: str) -> None:
        class Auxiliary(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.c, self.relu, self.fc = conv(1), nn.ReLU(), nn.Linear(4, 3)

            def forward(self, x: Tensor) -> Tensor:
                x = self.relu(self.c(x)).mean((2, 3))
                return self.fc(self.relu(x) if self.training else x)

        model = Auxiliary()
        quantize_(model, Plan.named("w4a4", activations=activations))
        assert model.eval()(IMAGES).shape == (4, 3)
        with pytest.raises(UsageError, match=r"relu: must be called once .*; got call 2; .*mode \(train, eval\)"):
            model.train()(IMAGES)

    def test_quantizers_built_by_hand_may_be_called_as_one_likes(self) -> None:
        quantizer = PACT(4)
        model = nn.Sequential(quantizer, quantizer)
        assert model(IMAGES).shape == IMAGES.shape


@pytest.mark.parametrize("build", [models.cnn, models.cnn_bn, models.resnet20])
def test_shipped_networks_call_each_activation_once(build: Callable[[], nn.Module]) -> None:
    model = build()
    quantize_(model, W2A2)
    assert not any(isinstance(module, Sites) for module in model.modules())
