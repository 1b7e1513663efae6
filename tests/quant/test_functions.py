"""Activations that are called as functions: which are seen, what they are called, and what is left alone."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from glassbit._errors import UsageError
from glassbit.quant import (
    PACT,
    Plan,
    QuantizedConv2d,
    QuantizedLinear,
    Rule,
    Sites,
    assign,
    calibrate_,
    cost,
    dequantize_,
    quantize_,
    quantizers,
)

from .shared import IMAGES, NETWORKS, RESNET, W2A2, FunctionalShared, bits, conv, given, made

W4A4 = Plan.named("w4a4")


class Net(nn.Module):
    """Two layers, and something between them."""

    def __init__(self, act: Callable[[Tensor], Any], **parts: nn.Module) -> None:
        super().__init__()
        self.c1, self.c2, self.act = conv(1), conv(), act
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.c2(self.act(self.c1(x)))


def quantized(model: nn.Module, plan: Plan = W4A4) -> nn.Module:
    quantize_(model, plan, example=IMAGES)
    return model


def acts(model: nn.Module) -> list[str]:
    return [name for name, module in quantizers(model) if isinstance(module, PACT)]


SEEN: dict[str, tuple[Callable[[Tensor], Any], nn.Module]] = {
    "F.relu": (F.relu, nn.ReLU()),
    "F.relu in place": (lambda x: F.relu(x, inplace=True), nn.ReLU()),
    "F.relu_": (F.relu_, nn.ReLU()),
    "torch.relu": (torch.relu, nn.ReLU()),
    "torch.relu_": (torch.relu_, nn.ReLU()),
    "relu": (lambda x: x.relu(), nn.ReLU()),
    "relu_": (lambda x: x.relu_(), nn.ReLU()),
    "by name": (lambda x: torch.relu(input=x), nn.ReLU()),
    "F.relu6": (F.relu6, nn.ReLU6()),
    "F.relu6 in place": (lambda x: F.relu6(x, True), nn.ReLU6()),
    "F.hardtanh": (lambda x: F.hardtanh(x, 0, 2), nn.Hardtanh(0, 2)),
    "F.hardtanh by name": (lambda x: F.hardtanh(x, min_val=0.0, max_val=2.0, inplace=True), nn.Hardtanh(0, 2)),
    "F.hardtanh_": (lambda x: F.hardtanh_(x, 0.0, 2.0), nn.Hardtanh(0, 2)),
    "torch.clamp": (lambda x: torch.clamp(x, 0, 2), nn.Hardtanh(0, 2)),
    "clamp": (lambda x: x.clamp(min=0), nn.ReLU()),
    "clamp_": (lambda x: x.clamp_(0, max=2), nn.Hardtanh(0, 2)),
    "clip": (lambda x: x.clip(0, 6), nn.ReLU6()),
    "clamp_min": (lambda x: x.clamp_min(0), nn.ReLU()),
    "torch.clamp_min": (lambda x: torch.clamp_min(x, 0.0), nn.ReLU()),
}
NOT_SEEN: dict[str, Callable[[Tensor], Any]] = {
    "F.hardtanh": F.hardtanh,
    "hardtanh from -1": lambda x: F.hardtanh(x, -1, 1),
    "clamp from 1": lambda x: x.clamp(1, 2),
    "clamp from above": lambda x: x.clamp(max=2),
    "clamp by tensors": lambda x: x.clamp(torch.zeros(()), torch.ones(())),
    "clamp_min 1": lambda x: x.clamp_min(1),
    "gelu": F.gelu,
    "a scalar": lambda x: x * x.mean().clamp(min=0),
    "integers": lambda x: x + x.int().clamp(min=0),
}


class TestSeen:
    @pytest.mark.parametrize("what", SEEN)
    def test_like_the_module(self, what: str) -> None:
        act, module = SEEN[what]
        torch.manual_seed(0)
        model, twin = Net(act), Net(torch.relu)
        twin.load_state_dict(model.state_dict())
        twin.act = module
        for each in (model, twin):
            each.eval()
            expected = each(IMAGES)
            quantized(each)
            calibrate_(each, 5 * IMAGES)
        assert acts(model) == ["relu"]
        assert model.relu.alpha == twin.act.alpha
        assert torch.equal(model(IMAGES), twin(IMAGES))
        dequantize_(model)
        assert torch.equal(model(IMAGES), expected)
        assert type(model) is Net
        assert [name for name, _ in model.named_children()] == ["c1", "c2"]

    @pytest.mark.filterwarnings("ignore::glassbit._errors.GlassbitWarning")
    @pytest.mark.parametrize("what", NOT_SEEN)
    def test_anything_else_is_left_alone(self, what: str) -> None:
        model = quantized(Net(NOT_SEEN[what]))
        assert acts(model) == []
        assert type(model) is Net

    def test_on_the_image_and_on_parameters_it_is_no_activation(self) -> None:
        class Prepared(Net):
            def __init__(self) -> None:
                super().__init__(torch.relu)
                self.gain = nn.Parameter(torch.full((1, 1), 2.0))

            def forward(self, x: Tensor) -> Tensor:
                return super().forward(x.clamp(0, 1)) * F.relu(self.gain)

        model = quantized(Prepared())
        assert bits(model) == {"c1": 8, "c2": 8, "relu.1": 8}
        assert [type(module) for module in model.relu.children()] == [nn.Hardtanh, PACT, nn.ReLU]
        inner = model.relu[1] if isinstance(model.relu, nn.Sequential) else model.relu.get_submodule("1")
        assert torch.equal(model(IMAGES), model.c2(inner(model.c1(IMAGES.clamp(0, 1)))) * 2)

    @pytest.mark.parametrize("function", ["functional", "functional resnet", "functional recurrent"])
    def test_each_level_is_used(self, function: str) -> None:
        model = made(function).eval()
        expected = model(IMAGES)
        for name, module in quantizers(model):
            if isinstance(module, PACT):
                twin = copy.deepcopy(model)
                twin.get_submodule(name).set_level_(0.01)
                assert not torch.equal(twin(IMAGES), expected), name


class TestNames:
    def test_as_if_it_had_a_relu(self) -> None:
        assert given(NETWORKS["functional"](), W2A2) == given(NETWORKS["shared"](), W2A2)
        assert bits(made("functional resnet")) == RESNET
        assert sorted(made("functional").state_dict()) == sorted(made("shared").state_dict())

    def test_a_block_that_is_used_several_times(self) -> None:
        assert bits(made("functional recurrent")) == {
            "stem.conv": 8, "stem.relu": 2, "block.conv": 2, "block.relu.0": 2, "block.relu.1": 2, "block.relu.2": 8,
            "fc": 8,
        }  # fmt: skip

    def test_a_name_that_is_taken(self) -> None:
        class Both(Net):
            def forward(self, x: Tensor) -> Tensor:
                return self.c2(self.relu(self.c2(F.relu(self.c1(x)))))

        model = quantized(Both(torch.relu, relu=nn.ReLU()))
        assert acts(model) == ["relu", "function_relu"]
        inner = model.c2(model.function_relu(model.c1(IMAGES)))
        assert torch.equal(model(IMAGES), model.c2(model.relu(inner)))

    @pytest.mark.parametrize(("rule", "expected"), [("relu.1", (4, 3, 8)), ("relu", (3, 3, 3)), ("c2", (4, 3, 8))])
    def test_rules(self, rule: str, expected: tuple[int, ...]) -> None:
        found = given(FunctionalShared(), Plan("mine", (Rule("*", 4, 4), Rule(rule, 4, 3))))
        assert tuple(found[f"relu.{index}"] for index in range(3)) == expected

    def test_assign_says_the_same_without_converting(self) -> None:
        model = NETWORKS["functional resnet"]()
        planned = assign(model, W2A2)
        assert "relu" not in dict(model.named_children())
        assert quantize_(model, W2A2) == planned

    def test_a_call_in_full_precision(self) -> None:
        model = quantized(FunctionalShared(), Plan("mine", (Rule("*", 4, 4), Rule("relu.1", 4, 32))))
        assert [type(module) for module in model.relu.children()] == [PACT, nn.ReLU, PACT]
        assert model(IMAGES).shape == (4, 3)
        assert [row.input_bits for row in cost(model, (1, 16, 16)).rows] == [8, 4, 32, 8]

    def test_all_in_full_precision_is_left_alone(self) -> None:
        model = quantized(FunctionalShared(), Plan("weights", (Rule("*", 4, 32),), edges="same"))
        assert type(model) is FunctionalShared
        assert "relu" not in dict(model.named_children())


class Residual(nn.Sequential):
    """A container with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x) + x)


class DenseLayer(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 4, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(4), conv()

    def forward(self, parts: list[Tensor]) -> Tensor:
        x = self.conv1(F.relu(self.norm1(torch.cat(parts, 1)), inplace=True))
        return self.conv2(F.relu(self.norm2(x), inplace=True))


class DenseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.layers = conv(1), nn.ModuleList(DenseLayer(4 * count) for count in (1, 2))
        self.norm, self.fc = nn.BatchNorm2d(12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        parts = [self.stem(x)]
        for layer in self.layers:
            parts.append(layer(parts))
        return self.fc(F.relu(self.norm(torch.cat(parts, 1))).mean((2, 3)))


class TestModules:
    def test_densenet(self) -> None:
        model = quantized(DenseNet())
        names = ["layers.0.relu.0", "layers.0.relu.1", "layers.1.relu.0", "layers.1.relu.1", "relu"]
        assert acts(model) == names
        assert list(calibrate_(model, IMAGES)) == names
        model(IMAGES).sum().backward()

    def test_a_container(self) -> None:
        model = nn.Sequential(conv(1), Residual(conv(), nn.ReLU(), conv()), conv())
        quantized(model, W2A2)
        assert acts(model) == ["1.1", "1.relu"]
        block = model[1]
        assert (len(block), list(block)) == (3, [block[0], block[1], block[-1]])
        x = torch.rand(2, 4, 8, 8)
        assert torch.equal(block(x), block.relu(block[2](block[1](block[0](x))) + x))

    def test_a_list_of_relus_by_index(self) -> None:
        class Listed(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.convs, self.relus = nn.ModuleList([conv(1), conv(), conv()]), nn.ModuleList([nn.ReLU(), nn.ReLU()])

            def forward(self, x: Tensor) -> Tensor:
                x = self.relus[0](self.convs[0](x))
                return self.convs[2](F.relu(self.relus[-1](self.convs[1](x))))

        assert acts(quantized(Listed())) == ["relus.0", "relus.1", "relu"]

    def test_relus_in_full_precision_keep_their_calls_to_themselves(self) -> None:
        class Mixed(Net):
            def forward(self, x: Tensor) -> Tensor:
                return self.c2(self.first(F.relu(self.c2(self.first(self.c1(x))))))

        plan = Plan("mine", (Rule("*", 4, 4), Rule("first", 4, 32)))
        model = quantized(Mixed(F.relu, first=nn.ReLU()), plan)
        assert acts(model) == ["relu"]
        assert model(IMAGES).shape == (4, 4, 16, 16)
        dequantize_(model)
        assert type(model.first) is nn.ReLU

    def test_quantizers_keep_their_calls_to_themselves(self) -> None:
        class Clamping(PACT):
            def quantize(self, x: Tensor) -> Tensor:
                return super().quantize(x.clamp(min=0).relu())

        class Mixed(Net):
            def forward(self, x: Tensor) -> Tensor:
                return self.c2(self.first(self.c2(F.relu(self.c1(x)))))

        model = quantized(Mixed(F.relu, first=nn.ReLU()), Plan("mine", (Rule("*", 4, 4),), activations=Clamping))
        assert acts(model) == ["first", "relu"]
        assert model(IMAGES).shape == (4, 4, 16, 16)

    def test_a_transformer_in_full_precision(self) -> None:
        class Encoded(Net):
            def forward(self, x: Tensor) -> Tensor:
                return F.relu(self.c2(F.relu(self.c1(self.layer(x[:, 0])[:, None]))))

        model = Encoded(F.relu, layer=nn.TransformerEncoderLayer(16, 2, 16, dropout=0.0, batch_first=True))
        with pytest.warns(UserWarning, match="MultiheadAttention"):
            quantized(
                model, Plan("mine", (Rule("*", 4, 4), Rule("layer.linear1", 32, 32), Rule("layer.linear2", 32, 32)))
            )
        assert acts(model) == ["relu.0", "relu.1"]
        assert model.train()(IMAGES).shape == model.eval()(IMAGES).shape

    def test_an_activation_module_of_the_user(self) -> None:
        class Clipped(nn.Module):
            def forward(self, x: Tensor) -> Tensor:
                return x.clamp(0, 3)

        class Steep(nn.ReLU):
            def forward(self, x: Tensor) -> Tensor:
                return 3 * super().forward(x)

        class Mine(nn.ReLU):
            pass

        model = quantized(nn.Sequential(conv(1), Clipped(), conv(), Steep(), conv(), Mine(), conv()))
        assert acts(model) == ["1.relu", "3.relu", "5"]
        x = torch.rand(2, 4, 8, 8)
        assert torch.equal(model[3](x), 3 * model[3].relu(x))
        dequantize_(model)
        assert [type(module) for module in model if not isinstance(module, nn.Conv2d)] == [Clipped, Steep, Mine]


class TestRefused:
    def test_another_number_of_calls(self) -> None:
        class Auxiliary(Net):
            def forward(self, x: Tensor) -> Tensor:
                y = super().forward(x)
                return F.relu(y) if self.training else y

        model = quantized(Auxiliary(F.relu))
        assert model.eval()(IMAGES).shape == (4, 4, 16, 16)
        with pytest.raises(UsageError, match=r"relu: must be called once .*; got call 2; .*mode \(train, eval\)"):
            model.train()(IMAGES)

    @pytest.mark.parametrize("act", [F.relu_, lambda x: F.relu(x, inplace=True), lambda x: x.clamp_(min=0)])
    def test_an_input_that_is_changed_and_read_again(self, act: Callable[[Tensor], Tensor]) -> None:
        class Statement(Net):
            def forward(self, x: Tensor) -> Tensor:
                x = self.c1(x)
                act(x)
                return self.c2(x)

        model = Statement(act)
        with pytest.raises(UsageError, match=r"the network: an activation in place .* read again; use its result, as"):
            quantized(model)
        assert type(model) is Statement
        assert not dict(quantizers(model))

    def test_a_checkpoint_of_a_part_of_the_owner(self) -> None:
        class Part(FunctionalShared):
            def forward(self, x: Tensor) -> Tensor:
                return checkpoint(super().forward, x, use_reentrant=False)

        loss = quantized(Part())(IMAGES).sum()
        with pytest.raises(Exception, match="saved"):
            loss.backward()

    def test_a_forward_that_is_set_on_the_object(self) -> None:
        model = FunctionalShared()
        model.forward = model.forward
        with pytest.raises(UsageError, match=r"the network: forward must be a method of its class"):
            quantized(model)


class Renamed(nn.Conv2d):
    pass


class Same(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


class Noisy(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.randn_like(x) if self.training else x)


class SameLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


class TestSubclasses:
    @pytest.mark.parametrize("kind", [Renamed, Same])
    def test_that_compute_the_same(self, kind: type[nn.Conv2d]) -> None:
        model = nn.Sequential(kind(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), SameLinear(256, 3))
        state = model.state_dict()
        quantized(model)
        assert [type(module) for module in model] == [QuantizedConv2d, PACT, nn.Flatten, QuantizedLinear]
        assert not model.load_state_dict(state, strict=False).unexpected_keys
        dequantize_(model)
        assert type(model[0]) is kind

    @pytest.mark.parametrize("kind", [Standardised, Noisy])
    def test_that_compute_something_else(self, kind: type[nn.Conv2d]) -> None:
        model = nn.Sequential(kind(1, 4, 3, stride=2), nn.ReLU(), conv(), nn.ReLU(), conv())
        before, rng = copy.deepcopy(model.state_dict()), torch.get_rng_state()
        with pytest.warns(UserWarning, match=rf"0: {kind.__name__} is a subclass and may compute something else"):
            quantized(model)
        assert type(model[0]) is kind
        assert torch.equal(torch.get_rng_state(), rng)
        assert torch.equal(model[0].weight, before["0.weight"])


def test_a_network_whose_functions_stay_counts_nothing() -> None:
    assert not any(isinstance(module, Sites) for module in FunctionalShared().modules())
