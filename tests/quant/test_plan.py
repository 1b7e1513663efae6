"""Plans as values, the bits that they give, and what these cost, counted by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from glassbit import models
from glassbit._errors import UsageError
from glassbit.quant import NAMED_PLANS, Plan, Rule, assign, cost, quantize_


def given(model: nn.Module, plan: Plan) -> dict[str, int]:
    return {layer.name: layer.bits for layer in assign(model, plan).layers}


def four() -> nn.Sequential:
    """Weights at 0, 2, 4 and 7, activations at 1, 3 and 5."""
    return nn.Sequential(
        *(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(8, 2)),
    )


class TestNamed:
    def test_the_names(self) -> None:
        assert sorted(NAMED_PLANS) == ["layers-4-2", "w2a2", "w2a4", "w3a3", "w4a2", "w4a4", "w8a8"]

    @pytest.mark.parametrize("name", ["w2a2", "w3a3", "w4a4", "w8a8", "w4a2", "w2a4"])
    def test_uniform_inside_eight_at_the_edges(self, name: str) -> None:
        weight, activation = int(name[1]), int(name[3])
        assert given(four(), Plan.named(name)) == {
            "0": 8, "1": activation, "2": weight, "3": activation, "4": weight, "5": 8, "7": 8,
        }  # fmt: skip

    def test_layers_4_2_splits_resnet20_in_the_middle(self) -> None:
        bits = given(models.resnet20(), Plan.named("layers-4-2"))
        weights = {name: value for name, value in bits.items() if "conv" in name or name == "fc"}
        assert list(weights.values()) == [8] + [4] * 9 + [2] * 9 + [8]
        assert [bits[f"layer2.{block}.relu{i}"] for block in range(3) for i in (1, 2)] == [4, 4, 4, 2, 2, 2]

    def test_the_network_inside_a_classifier_has_the_same_bits(self) -> None:
        bare = given(models.resnet20(), Plan.named("layers-4-2"))
        model = models.Classifier(models.resnet20(), mean=(0.5,) * 3, std=(0.5,) * 3)
        assert given(model, Plan.named("layers-4-2")) == {f"network.{name}": value for name, value in bare.items()}

    def test_options_are_kept(self) -> None:
        plan = Plan.named("w4a2", edges="same", weights="lsq", activations="lsq", alpha="data", signed=5)
        assert dataclasses.astuple(plan)[2:] == ("same", "lsq", "lsq", "data", 5)
        assert plan.name == "w4a2"

    @pytest.mark.parametrize("signed", [1, 9, 32, True, 4.0])
    def test_signed_bits(self, signed: object) -> None:
        with pytest.raises(UsageError, match=r"^Plan w4a2: signed must be 2\.\.8 bits; got .*; leave it out for 8$"):
            Plan.named("w4a2", signed=signed)

    def test_unknown(self) -> None:
        with pytest.raises(UsageError, match=r"plan must be one of w2a2, .*, layers-4-2; got 'w5a5'"):
            Plan.named("w5a5")


class TestEdges:
    @pytest.mark.parametrize(
        ("edges", "expected"),
        [("8", (8, 2, 2, 2, 2, 8, 8)), ("full", (32, 2, 2, 2, 2, 32, 32)), ("same", (2,) * 7)],
    )
    def test_first_and_last(self, edges: str, expected: tuple[int, ...]) -> None:
        assert tuple(given(four(), Plan.named("w2a2", edges=edges)).values()) == expected

    def test_one_layer_is_both(self) -> None:
        model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
        assert given(model, Plan.named("w2a2")) == {"1": 8}

    def test_a_layer_spelled_out_wins(self) -> None:
        plan = Plan("mine", (Rule("*", 4, 4), Rule("0", 2, 3), Rule("7", 5, 5)))
        assert given(four(), plan) == {"0": 2, "1": 3, "2": 4, "3": 4, "4": 4, "5": 8, "7": 5}

    def test_full_edges_convert_nothing_there(self) -> None:
        model = four()
        quantize_(model, Plan.named("w4a4", edges="full"))
        assert type(model[0]) is nn.Conv2d
        assert type(model[5]) is nn.ReLU
        assert type(model[7]) is nn.Linear


class TestRules:
    def test_the_last_match_wins(self) -> None:
        plan = Plan("mine", (Rule("*", 4, 4), Rule("[24]", 3, 2), Rule("4", 2, 5)), edges="same")
        assert given(four(), plan) == {"0": 4, "1": 4, "2": 3, "3": 2, "4": 2, "5": 5, "7": 4}

    def test_globs_cross_dots_and_an_activation_follows_its_layer(self) -> None:
        model = models.resnet20()
        plan = Plan("mine", (Rule("*", 4, 4), Rule("layer2.*", 2, 3), Rule("*.1.conv2", 5, 8)), edges="same")
        bits = given(model, plan)
        assert bits["layer1.0.conv1"] == bits["layer1.0.relu1"] == 4
        assert (bits["layer2.0.conv2"], bits["layer2.0.relu2"]) == (2, 3)
        assert (bits["layer1.1.conv2"], bits["layer1.1.relu2"]) == (5, 8)
        assert (bits["layer2.1.conv2"], bits["layer2.1.relu1"]) == (5, 3)

    def test_an_activation_by_its_own_name(self) -> None:
        assert given(four(), Plan("mine", (Rule("*", 4, 4), Rule("3", 2, 2)), edges="same"))["3"] == 2

    def test_depth(self) -> None:
        plan = Plan("mine", (Rule("*", 4, 4), Rule("*", 2, 3, depth=(0.5, 1.0))), edges="same")
        assert given(four(), plan) == {"0": 4, "1": 4, "2": 4, "3": 4, "4": 2, "5": 3, "7": 2}

    def test_no_match_is_full_precision(self) -> None:
        assert given(four(), Plan("mine", (Rule("2", 4, 4),), edges="same")) == {
            "0": 32, "1": 32, "2": 4, "3": 4, "4": 32, "5": 32, "7": 32,
        }  # fmt: skip


class TestValues:
    def test_frozen_equal_hashable(self) -> None:
        plan = Plan.named("w4a4")
        with pytest.raises(dataclasses.FrozenInstanceError):
            plan.edges = "same"  # type: ignore[misc]
        assert plan == Plan.named("w4a4")
        assert len({plan, Plan.named("w4a4"), Plan.named("w2a2")}) == 2

    @pytest.mark.parametrize(
        ("arguments", "text"),
        [
            (("*", 1, 4), "Rule: weight must be 2..8 bits, or 32 for full precision; got 1"),
            (("*", 4, 16), "Rule: activation must be 2..8 bits, or 32 for full precision; got 16"),
            (("*", 4, 4, (0.5, 0.5)), r"Rule: depth must be \[from, to\) with 0 <= from < to <= 1; got \(0.5, 0.5\)"),
            (("*", 4, 4, (-0.1, 0.5)), "Rule: depth must be"),
            (("*", 4, 4, (0.5, 1.5)), "Rule: depth must be"),
        ],
    )
    def test_odd_rules(self, arguments: tuple, text: str) -> None:
        with pytest.raises(UsageError, match=text):
            Rule(*arguments)

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"edges": "4"}, "Plan w4a4: edges must be one of 8, full, same; got '4'"),
            ({"weights": "apot"}, "weights must be one of sawb, .*; got 'apot'"),
            ({"activations": "relu"}, "activations must be one of pact, .*; got 'relu'"),
            ({"alpha": 0.0}, 'alpha must be a positive number or "data"; got 0.0'),
            ({"alpha": float("nan")}, 'alpha must be a positive number or "data"; got nan'),
            ({"alpha": "big"}, "alpha must be a positive number or \"data\"; got 'big'"),
        ],
    )
    def test_odd_options(self, options: dict, text: str, unchecked: None) -> None:
        with pytest.raises(UsageError, match=text):
            Plan.named("w4a4", **options)

    def test_no_rules(self) -> None:
        with pytest.raises(UsageError, match="Plan empty: rules must be one or more; got none"):
            Plan("empty", ())


def tiny() -> nn.Sequential:
    """On (1, 6, 6): 18 weights and 2 biases to 4x4, BatchNorm, 36 weights in 2 groups to 2x2, linear 16 -> 3."""
    return nn.Sequential(
        *(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()),
        *(nn.Conv2d(2, 4, 3, groups=2, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)),
    )


class TestCost:
    def test_float(self) -> None:
        counted = cost(tiny(), (1, 6, 6))
        assert [row.name for row in counted.rows] == ["0", "3", "6"]
        assert [row.kind for row in counted.rows] == ["Conv2d", "Conv2d", "Linear"]
        assert [row.macs for row in counted.rows] == [18 * 16, 36 * 4, 48]
        assert [(row.weight_bits, row.input_bits) for row in counted.rows] == [(32, 8), (32, 32), (32, 32)]
        assert [row.stored_bytes for row in counted.rows] == [4 * 20, 4 * 36, 4 * 51]
        assert counted.parameters == 20 + 4 + 36 + 51
        assert counted.stored_bytes == 4 * (20 + 36 + 51) + 4 * 4
        assert counted.macs == 288 + 144 + 48
        assert counted.bitops == 288 * 32 * 8 + (144 + 48) * 32 * 32

    def test_quantized(self) -> None:
        model = tiny()
        quantize_(model, Plan.named("w4a2"))
        counted = cost(model, (1, 6, 6))
        assert [row.name for row in counted.rows] == ["0", "3", "6"]
        assert [row.macs for row in counted.rows] == [288, 144, 48]
        assert [(row.weight_bits, row.input_bits) for row in counted.rows] == [(8, 8), (4, 2), (8, 8)]
        assert [row.stored_bytes for row in counted.rows] == [18 + 2 * 4, 36 / 2, 48 + 3 * 4]
        assert [row.bitops for row in counted.rows] == [288 * 64, 144 * 8, 48 * 64]
        assert counted.bitops == 288 * 64 + 144 * 8 + 48 * 64
        assert counted.stored_bytes == 26 + 18 + 60 + 4 * 4 + 2 * 4  # BatchNorm as scale and shift, two alphas
        assert counted.parameters == 20 + 4 + 36 + 51 + 2

    def test_resnet20(self) -> None:
        counted = cost(models.resnet20(), (3, 32, 32))
        assert counted.parameters == 269_722
        assert counted.macs == 442_368 + 6 * 2_359_296 + 2 * (1_179_648 + 5 * 2_359_296) + 640
        assert len(counted.rows) == 20

    def test_residual_sums_keep_the_bits_and_means_have_eight(self) -> None:
        model = models.resnet20()
        quantize_(model, Plan.named("w4a4", edges="same"))
        rows = {row.name: row.input_bits for row in cost(model, (3, 32, 32)).rows}
        assert rows.pop("conv1") == rows.pop("fc") == 8
        assert set(rows.values()) == {4}

    @pytest.mark.parametrize(
        ("act", "bits"),
        [(torch.relu, 4), (F.gelu, 8), (torch.sigmoid_, 8), (nn.Hardswish(), 8), (torch.abs, 8), (torch.exp, 32)],
    )
    def test_the_bits_behind_an_activation(self, act: Callable[[Tensor], Tensor], bits: int) -> None:
        class Functional(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv1, self.conv2, self.conv3 = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3)

            def forward(self, x: Tensor) -> Tensor:
                return self.conv3(torch.relu(self.conv2(act(self.conv1(x)))))

        model = Functional()
        assert [row.input_bits for row in cost(model, (1, 8, 8)).rows] == [8, 32, 32]
        quantize_(model, Plan.named("w4a4", edges="same"))
        assert [row.input_bits for row in cost(model, (1, 8, 8)).rows] == [8, bits, 4]

    def test_a_layer_called_twice_counts_twice_and_is_stored_once(self) -> None:
        conv = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        counted = cost(nn.Sequential(conv, nn.ReLU(), conv), (1, 4, 4))
        assert [(row.name, row.macs, row.stored_bytes) for row in counted.rows] == [("0", 2 * 9 * 16, 36)]
        assert counted.stored_bytes == 36

    def test_the_model_is_left_as_it_was(self) -> None:
        model = tiny().train()
        quantize_(model, Plan.named("w4a2"))
        model[1].eval()
        before = {name: value.clone() for name, value in model.state_dict().items()}
        modes = [module.training for module in model.modules()]
        cost(model, (1, 6, 6))
        assert [module.training for module in model.modules()] == modes
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert not any(module._forward_hooks for module in model.modules())
