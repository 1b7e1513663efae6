"""Converting networks in place and back, and saying what was left alone."""

from __future__ import annotations

import copy
import io
import warnings

import pytest
import torch
from torch import Tensor, nn

from glassbit import models
from glassbit._errors import GlassbitWarning, UsageError
from glassbit.quant import (
    LSQ,
    PACT,
    SAWB,
    DoReFa,
    LSQActivation,
    Plan,
    QuantizedConv2d,
    QuantizedLinear,
    Rule,
    assign,
    calibrate_,
    dequantize_,
    quantize_,
    quantizers,
)

SHIPPED = {
    "cnn": (models.cnn, (1, 28, 28)),
    "cnn_bn": (models.cnn_bn, (1, 28, 28)),
    "resnet20": (models.resnet20, (3, 32, 32)),
    "resnet20 B": (lambda: models.resnet20(shortcut="B"), (3, 32, 32)),
}
W4A4 = Plan.named("w4a4")


def small() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 6, 3, stride=2, bias=False),
        nn.ReLU6(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6, 5),
        nn.Hardtanh(0.0, 4.0),
        nn.Dropout(),
        nn.Linear(5, 3),
    )


IMAGES = torch.rand(4, 2, 6, 6, generator=torch.Generator().manual_seed(1))


def bits(model: nn.Module) -> dict[str, int]:
    return {name: module.bits for name, module in quantizers(model)}


def converted(model: nn.Module, plan: Plan = W4A4) -> tuple[nn.Module, dict[str, str]]:
    """The model after conversion, and what was left with its reason; the warning must say the same."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        left = quantize_(model, plan).left
    caught = [warning for warning in caught if "could be run on no image" not in str(warning.message)]
    assert len(caught) == (1 if left else 0)
    for name, reason in left:
        assert f"{name}: {reason}" in str(caught[0].message)
        assert caught[0].category is GlassbitWarning
    return model, dict(left)


class Residual(nn.Module):
    """Two branches that meet in a sum, and a third that skips."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 3, 3, padding=1)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(3, 3, 3, padding=1)
        self.side = nn.Conv2d(3, 3, 1)
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu2(self.conv2(self.relu1(self.conv1(x))) + self.side(x) + x)


class TestShipped:
    @pytest.mark.parametrize("plan", ["w2a2", "w4a2", "layers-4-2"])
    @pytest.mark.parametrize("name", SHIPPED)
    def test_every_layer_is_converted(self, name: str, plan: str) -> None:
        build, shape = SHIPPED[name]
        model = build()
        kinds = (nn.Conv2d, nn.Linear, nn.ReLU)
        expected = [path for path, module in model.named_modules() if isinstance(module, kinds)]
        conversion = quantize_(model, Plan.named(plan))
        assert [layer.name for layer in conversion.layers] == expected
        assert conversion.left == ()
        assert bits(model) == {layer.name: layer.bits for layer in conversion.layers}
        assert not any(type(module) is nn.ReLU for module in model.modules())
        logits = model(torch.rand(2, *shape))
        logits.logsumexp(1).sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())

    @pytest.mark.parametrize("name", SHIPPED)
    def test_there_and_back(self, name: str) -> None:
        build, shape = SHIPPED[name]
        model = build().eval()
        x = torch.rand(2, *shape)
        before, names, logits = list(model.parameters()), list(model.state_dict()), model(x)
        quantize_(model, W4A4)
        assert not torch.equal(model(x), logits)
        dequantize_(model)
        assert torch.equal(model(x), logits)
        assert list(model.state_dict()) == names
        assert all(a is b for a, b in zip(model.parameters(), before, strict=True))
        assert not dict(quantizers(model))


class TestSequential:
    def test_what_becomes_what(self) -> None:
        model, left = converted(small())
        assert not left
        assert [type(module) for module in model] == [
            *(QuantizedConv2d, nn.BatchNorm2d, PACT, QuantizedConv2d, PACT),
            *(nn.MaxPool2d, nn.Flatten, QuantizedLinear, PACT, nn.Dropout, QuantizedLinear),
        ]
        assert bits(model) == {"0": 8, "2": 4, "3": 4, "4": 4, "7": 4, "8": 8, "10": 8}
        assert model(IMAGES).shape == (4, 3)

    @pytest.mark.parametrize(
        ("options", "weight", "activation"),
        [
            ({}, SAWB, PACT),
            ({"weights": "dorefa"}, DoReFa, PACT),
            ({"weights": "lsq", "activations": "lsq"}, LSQ, LSQActivation),
        ],
    )
    def test_the_quantizers_of_the_plan(self, options: dict[str, str], weight: type, activation: type) -> None:
        model = small()
        quantize_(model, Plan.named("w3a3", edges="same", **options))
        assert {type(model[i].quantizer) for i in (0, 3, 7, 10)} == {weight}
        assert {type(model[i]) for i in (2, 4, 8)} == {activation}
        model(IMAGES).sum().backward()

    def test_eight_bit_dorefa_gives_way_to_sawb(self) -> None:
        model = small()
        quantize_(model, Plan.named("w4a4", weights="dorefa"))
        assert [type(model[i].quantizer) for i in (0, 3, 7, 10)] == [SAWB, DoReFa, DoReFa, SAWB]

    def test_alpha_of_the_plan(self) -> None:
        model = small()
        quantize_(model, Plan.named("w4a4", alpha=2.5))
        assert [model[i].alpha.item() for i in (2, 4, 8)] == [2.5] * 3

    def test_output_is_the_one_of_quantized_weights_and_activations(self) -> None:
        model = small().eval()
        twin = copy.deepcopy(model)
        quantize_(model, Plan.named("w4a4", alpha=1.0))
        x = IMAGES
        for module, quantized in zip(twin, model, strict=True):
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.weight.data = quantized.quantizer(module.weight.data)
                x = module(x)
            elif isinstance(module, nn.ReLU | nn.ReLU6 | nn.Hardtanh):
                x = PACT(quantized.bits, alpha=1.0)(x)
            else:
                x = module(x)
        torch.testing.assert_close(model(IMAGES), x)

    @pytest.mark.parametrize("training", [True, False])
    def test_mode_is_kept(self, training: bool) -> None:
        model = small().train(training)
        quantize_(model, W4A4)
        assert {module.training for module in model.modules()} == {training}
        dequantize_(model)
        assert {module.training for module in model.modules()} == {training}

    def test_dequantize_restores_the_activations_that_were_there(self) -> None:
        model = small()
        before = list(model)
        quantize_(model, W4A4)
        dequantize_(model)
        assert all(a is b for a, b in zip(model, before, strict=True))
        assert model[2].inplace

    def test_what_is_learned_while_quantized_stays(self) -> None:
        model = small()
        quantize_(model, W4A4)
        nn.init.constant_(model[3].layer.weight, 0.25)
        dequantize_(model)
        assert (model[3].weight == 0.25).all()

    def test_padding_modes_and_groups(self) -> None:
        model = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular", groups=2), nn.ReLU())
        quantize_(model, Plan.named("w8a8"))
        x = torch.rand(2, 4, 7, 7)
        layer = copy.deepcopy(model[0].layer)
        layer.weight.data = model[0].quantizer(layer.weight.data)
        torch.testing.assert_close(model[0](x), layer(x))


class TestResidual:
    def test_sum_of_unquantized_branches_is_quantized_once(self) -> None:
        torch.manual_seed(0)
        model = Residual()
        names = [layer.name for layer in quantize_(model, Plan.named("w4a4", edges="same", alpha=2.0)).layers]
        assert names == ["conv1", "relu1", "conv2", "side", "relu2"]
        x = torch.rand(2, 3, 6, 6)
        inner = model.conv2(model.relu1(model.conv1(x))) + model.side(x) + x
        assert torch.equal(model(x), PACT(4, alpha=2.0)(inner))
        assert len(model(x).unique()) <= 16


class TestShared:
    def test_a_relu_used_twice_in_one_parent(self) -> None:
        relu = nn.ReLU()
        model = nn.Sequential(nn.Conv2d(1, 2, 3), relu, nn.Conv2d(2, 2, 3), relu, nn.Flatten(), nn.Linear(8, 2))
        quantize_(model, W4A4)
        assert isinstance(model[1], PACT)
        assert isinstance(model[3], PACT), "the second place keeps the float ReLU"
        dequantize_(model)
        assert model[1] is relu
        assert model[3] is relu

    def test_a_relu_used_by_two_parents(self) -> None:
        relu = nn.ReLU()
        model = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), relu), nn.Sequential(nn.Conv2d(2, 2, 3), relu))
        quantize_(model, W4A4)
        assert isinstance(model[0][1], PACT)
        assert isinstance(model[1][1], PACT)

    def test_a_convolution_used_twice(self) -> None:
        conv = nn.Conv2d(2, 2, 3, padding=1)
        model = nn.Sequential(nn.Conv2d(1, 2, 3), conv, nn.ReLU(), conv, nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
        quantize_(model, W4A4)
        assert isinstance(model[1], QuantizedConv2d)
        assert model[3] is model[1]
        assert model(torch.rand(2, 1, 6, 6)).shape == (2, 2)


class Doubling(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


class SquaredReLU(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return x * x * (x > 0)


class Scaled(nn.Module):
    """A parent with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(3))
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x * self.gain)


class TestLeft:
    """Nothing is skipped in silence."""

    @pytest.mark.parametrize(
        ("odd", "reason"),
        [
            (nn.Threshold(0.1, 0.0), "Threshold is not ReLU-like: no quantizer has a step at its threshold"),
            (nn.Softmax(1), "Softmax is not ReLU-like: it divides by a sum over its input"),
            (nn.LogSoftmax(1), "LogSoftmax is not ReLU-like: it divides by a sum over its input"),
            (nn.ConvTranspose2d(3, 3, 3), "ConvTranspose2d is not supported; Conv2d and Linear are"),
            (nn.Conv1d(3, 3, 3), "Conv1d is not supported; Conv2d and Linear are"),
            (nn.LayerNorm(3), "LayerNorm has parameters and no quantizer"),
            (nn.Embedding(3, 3), "Embedding has parameters and no quantizer"),
            (nn.LSTM(3, 3), "LSTM has parameters and no quantizer"),
            (Doubling(3, 3, 3), "Doubling is a subclass"),
            (SquaredReLU(), "SquaredReLU is a subclass"),
            (Scaled(), "Scaled has parameters"),
            (nn.MultiheadAttention(4, 2), "MultiheadAttention has parameters"),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
    )
    def test_reported_by_name_and_reason(self, odd: nn.Module, reason: str) -> None:
        model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU())
        model.add_module("odd", nn.Sequential(odd))
        _, left = converted(model)
        assert "odd.0" in left, f"{type(odd).__name__} was skipped in silence"
        assert reason in left["odd.0"]
        assert type(model.odd[0]) is type(odd)

    @pytest.mark.parametrize(
        "harmless",
        [
            nn.BatchNorm2d(3),
            nn.Dropout(),
            nn.MaxPool2d(2),
            nn.AdaptiveAvgPool2d(1),
            nn.Identity(),
            nn.Flatten(),
            nn.Sequential(),
            *(nn.GELU(), nn.LeakyReLU(), nn.PReLU(), nn.Tanh(), nn.SiLU(), nn.Sigmoid(), nn.Softplus(), nn.ELU()),
            *(nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(-1.0, 1.0)),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_float_by_design_is_no_news(self, harmless: nn.Module) -> None:
        _, left = converted(nn.Sequential(nn.Conv2d(3, 3, 3), harmless))
        assert not left

    def test_a_parent_with_parameters_is_reported_and_its_layers_are_converted(self) -> None:
        model, left = converted(nn.Sequential(Scaled(), nn.ReLU(), nn.Linear(3, 2)))
        assert list(left) == ["0"]
        assert isinstance(model[0].linear, QuantizedLinear)

    def test_activations_alone(self) -> None:
        model, left = converted(nn.Sequential(nn.ReLU()))
        assert isinstance(model[0], PACT)
        assert not left

    def test_nothing_is_left_on_a_layer_that_the_plan_wants_in_full_precision(self) -> None:
        plan = Plan("mine", (Rule("*", 4, 4), Rule("0", 32, 32)))
        model, left = converted(small(), plan)
        assert type(model[0]) is nn.Conv2d
        assert type(model[2]) is nn.ReLU
        assert not left

    def test_assign_says_the_same_without_converting(self) -> None:
        model = nn.Sequential(small(), nn.Threshold(0.1, 0.0))
        planned = assign(model, W4A4)
        assert not dict(quantizers(model))
        with pytest.warns(GlassbitWarning, match="1: Threshold is not ReLU-like"):
            assert quantize_(model, W4A4) == planned


class TestRefused:
    def test_twice(self) -> None:
        model = small()
        quantize_(model, W4A4)
        with pytest.raises(
            UsageError, match=r"the model must not be quantized yet; got one that is; call dequantize_\(model\) first"
        ):
            quantize_(model, W4A4)

    @pytest.mark.parametrize("bare", [nn.Conv2d(3, 3, 3), nn.ReLU(), nn.Sequential(nn.Flatten())])
    def test_nothing_to_convert(self, bare: nn.Module) -> None:
        with pytest.raises(UsageError, match="must contain a Conv2d, Linear or ReLU; got "):
            quantize_(bare, W4A4)

    def test_bits_that_the_quantizer_lacks_change_nothing(self) -> None:
        model = small()
        with pytest.raises(UsageError, match="SAWB: bits must be one of 2, 3, 4, 5, 8; got 6"):
            quantize_(model, Plan("mine", (Rule("*", 6, 6),)))
        assert not dict(quantizers(model))
        assert [type(module) for module in model] == [type(module) for module in small()]


class TestState:
    @pytest.mark.parametrize("weights", ["sawb", "dorefa", "lsq"])
    def test_round_trip(self, weights: str) -> None:
        plan = Plan.named("w4a4", weights=weights)
        model, other = small(), small()
        quantize_(model, plan)
        for parameter in model.parameters():
            nn.init.uniform_(parameter, 0.1, 0.9)
        quantize_(other, plan)
        file = io.BytesIO()
        torch.save(model.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(other.eval()(IMAGES), model.eval()(IMAGES))

    def test_deep_copy(self) -> None:
        model = small().eval()
        quantize_(model, W4A4)
        twin = copy.deepcopy(model)
        assert torch.equal(twin(IMAGES), model(IMAGES))
        nn.init.constant_(twin[2].alpha, 0.1)
        assert model[2].alpha.item() == 10.0
        dequantize_(twin)
        assert isinstance(twin[2], nn.ReLU)
        assert twin[2] is not model[2].replaced[0]

    @pytest.mark.parametrize("wrap", [False, True])
    def test_float_weights_load(self, wrap: bool) -> None:
        def make() -> nn.Module:
            return models.Classifier(models.cnn_bn(), mean=(0.5,), std=(0.5,)) if wrap else models.resnet20()

        pretrained, model = make(), make()
        quantize_(model, W4A4)
        state = pretrained.state_dict()
        names = list(state)
        missing, unexpected = model.load_state_dict(state, strict=False)
        assert not unexpected
        assert all(name.endswith(".alpha") for name in missing)
        assert list(state) == names, "the caller's dictionary was changed"
        dequantize_(model)
        for name, value in model.state_dict().items():
            assert torch.equal(value, state[name])

    def test_new_parameters_live_where_the_model_does(self) -> None:
        model = small().to("meta")
        quantize_(model, W4A4)
        assert {parameter.device.type for parameter in model.parameters()} == {"meta"}

    def test_parameters_are_those_of_the_float_model_and_one_alpha_a_layer(self) -> None:
        model = small()
        before = {id(parameter) for parameter in model.parameters()}
        quantize_(model, W4A4)
        new = [name for name, parameter in model.named_parameters() if id(parameter) not in before]
        assert new == ["2.alpha", "4.alpha", "8.alpha"]
        assert before <= {id(parameter) for parameter in model.parameters()}


class TestCalibrate:
    def test_least_squared_error(self) -> None:
        model = nn.Sequential(nn.Identity(), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2))
        quantize_(model, Plan.named("w2a2", edges="same"))
        images = torch.randn(500, 1, 1, 2, generator=torch.Generator().manual_seed(0))
        levels = calibrate_(model, images)
        assert levels == {"1": pytest.approx(model[1].alpha.item())}

        def error(alpha: float) -> float:
            return (PACT(2, alpha=alpha)(images) - images.relu()).square().sum().item()

        best = min(error(float(alpha)) for alpha in torch.linspace(0.1, 6, 300))
        assert error(levels["1"]) <= 1.02 * best

    def test_the_network_is_otherwise_left_as_it_was(self) -> None:
        model = small()
        quantize_(model, W4A4)
        before = {name: value.clone() for name, value in model.state_dict().items() if not name.endswith("alpha")}
        assert sorted(calibrate_(model, IMAGES)) == ["2", "4", "8"]
        for name, value in before.items():
            assert torch.equal(model.state_dict()[name], value)

    def test_same_images_same_levels(self) -> None:
        levels = []
        for _ in range(2):
            model = small()
            quantize_(model, W4A4)
            levels.append(calibrate_(model, IMAGES))
        assert levels[0] == levels[1]

    def test_a_silent_layer_keeps_its_level(self) -> None:
        model = nn.Sequential(nn.Identity(), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2))
        quantize_(model, Plan.named("w2a2", alpha=3.0))
        assert calibrate_(model, torch.full((4, 1, 1, 2), -1.0)) == {"1": 3.0}

    def test_needs_a_quantized_activation(self) -> None:
        with pytest.raises(UsageError, match="must be quantized; got one that is not; call quantize_ first"):
            calibrate_(small(), IMAGES)
