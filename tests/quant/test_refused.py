"""Layers that carry more than a weight and a bias work, or are refused with layer, reason and repair."""

from __future__ import annotations

import copy
import functools
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

from glassbit._errors import GlassbitWarning, UsageError
from glassbit.quant import (
    LSQ,
    PACT,
    Plan,
    QuantizedConv2d,
    QuantizedLinear,
    Rule,
    calibrate_,
    dequantize_,
    quantize_,
    quantizers,
)

W4A4 = Plan.named("w4a4")
IMAGES = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))


def nothing(*_: Any) -> None:
    return None


def patch(module: nn.Module) -> None:
    module.forward = type(module).forward.__get__(module)  # type: ignore[method-assign]


def weight_norm(module: nn.Module) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated in torch, and used
        nn.utils.weight_norm(module)


class Doubled(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * x


def extra(module: nn.Module) -> None:
    module.gain = nn.Parameter(torch.ones(1))


COMPUTED = "which a quantized layer would not run"
HOOKED = "which would not be called; remove it"
CARRIED: dict[str, tuple[Callable[[nn.Module], Any], str]] = {
    "pruning": (
        lambda m: prune.l1_unstructured(m, "weight", 0.5),
        rf"its weight is computed by a hook \(pruning\), {COMPUTED}; torch.nn.utils.prune.remove\(layer, 'weight'\)",
    ),
    "pruned bias": (lambda m: prune.random_unstructured(m, "bias", 0.5), r"its bias is computed by a hook \(pruning\)"),
    "spectral_norm": (
        nn.utils.spectral_norm,
        rf"\(spectral norm\), {COMPUTED}; torch.nn.utils.remove_spectral_norm\(layer, 'weight'\)",
    ),
    "weight_norm": (weight_norm, rf"\(weight norm\), {COMPUTED}; torch.nn.utils.remove_weight_norm\(layer, 'weight'\)"),
    "parametrized spectral_norm": (
        parametrizations.spectral_norm,
        rf"its weight is computed by torch.nn.utils.parametrize, {COMPUTED}; .*tions\(layer, 'weight'\)",
    ),
    "parametrized weight_norm": (parametrizations.weight_norm, "its weight is computed by torch.nn.utils.parametrize"),
    "parametrized": (
        lambda m: parametrize.register_parametrization(m, "bias", Doubled()),
        "its bias is computed by torch.nn.utils.parametrize",
    ),
    "forward hook": (lambda m: m.register_forward_hook(nothing), f"it has a forward hook, {HOOKED}"),
    "forward pre-hook": (lambda m: m.register_forward_pre_hook(nothing), f"it has a forward pre-hook, {HOOKED}"),
    "backward hook": (lambda m: m.register_full_backward_hook(nothing), f"it has a backward hook, {HOOKED}"),
    "backward pre-hook": (
        lambda m: m.register_full_backward_pre_hook(nothing),
        f"it has a backward pre-hook, {HOOKED}",
    ),
    "state_dict hook": (lambda m: m.register_state_dict_post_hook(nothing), f"it has a state_dict hook, {HOOKED}"),
    "state_dict pre-hook": (lambda m: m.register_state_dict_pre_hook(nothing), f"it has a state_dict hook, {HOOKED}"),
    "load hook": (lambda m: m.register_load_state_dict_pre_hook(nothing), f"it has a load_state_dict hook, {HOOKED}"),
    "load post-hook": (
        lambda m: m.register_load_state_dict_post_hook(nothing),
        f"it has a load_state_dict hook, {HOOKED}",
    ),
    "own forward": (patch, "its forward was replaced on the instance and would not be called"),
    "parameter": (extra, "it also holds gain; keep that in a module of its own"),
    "buffer": (lambda m: m.register_buffer("seen", torch.zeros(1)), "it also holds seen"),
    "child": (lambda m: m.add_module("norm", nn.BatchNorm2d(4)), "it also holds norm"),
    "no parameter": (
        lambda m: (m.__delattr__("weight"), m.__setattr__("weight", torch.ones(4, 4, 3, 3))),
        "its weight is not a parameter of its own; assign torch.nn.Parameter",
    ),
    "complex": (
        lambda m: m.to(torch.complex64),
        "its weights are complex64; quantizers take real floating-point numbers",
    ),
}
ON_ACTIVATIONS = [name for name in CARRIED if "hook" in name or name in ("own forward", "parameter", "buffer", "child")]
KEPT = [name for name in ON_ACTIVATIONS if "state_dict" in name or "load" in name]
ON_LAYERS = [name for name in CARRIED if name not in KEPT]


class TestCarried:
    @pytest.mark.filterwarnings("ignore:Complex modules are a new feature")
    @pytest.mark.parametrize("what", ON_LAYERS)
    def test_on_a_layer(self, what: str) -> None:
        net = network()
        carry, reason = CARRIED[what]
        carry(net[2])
        types = [type(module) for module in net]
        with pytest.raises(UsageError, match=rf"got 1 thing that would be lost\n  - 2: .*{reason}") as caught:
            quantize_(net, W4A4)
        assert 'Rule("LAYER", 32, 32) at the end of the plan' in str(caught.value)
        assert [type(module) for module in net] == types, "something was changed"
        assert not dict(quantizers(net))

    @pytest.mark.parametrize("what", ON_ACTIVATIONS)
    def test_on_an_activation(self, what: str) -> None:
        net = network()
        carry, reason = CARRIED[what]
        carry(net[3])
        with pytest.raises(UsageError, match=rf"  - 3: .*{reason}"):
            quantize_(net, W4A4)

    @pytest.mark.filterwarnings("ignore::glassbit._errors.GlassbitWarning")
    @pytest.mark.parametrize("what", CARRIED)
    def test_in_full_precision_it_may_stay(self, what: str) -> None:
        if what == "complex":
            return
        net = network()
        carry, _ = CARRIED[what]
        carry(net[2])
        handled = net[2]
        quantize_(net, Plan("mine", (Rule("*", 4, 4), Rule("2", 32, 4))))
        assert net[2] is handled
        assert isinstance(net[5], QuantizedLinear)
        net(IMAGES).sum().backward()

    def test_hooks_of_the_state_of_a_layer_keep_firing(self) -> None:
        net = network()
        seen: list[str] = []
        net[0].register_state_dict_post_hook(lambda *_: seen.append("saved"))
        net[0].register_state_dict_pre_hook(lambda *_: seen.append("saving"))
        net[0].register_load_state_dict_pre_hook(lambda *_: seen.append("loading"))
        net[0].register_load_state_dict_post_hook(lambda *_: seen.append("loaded"))
        quantize_(net, W4A4)
        net.load_state_dict(net.state_dict())
        assert seen == ["saving", "saved", "loading", "loaded"]

    def test_all_of_them_at_once(self) -> None:
        net = network()
        prune.l1_unstructured(net[0], "weight", 0.5)
        net[1].register_forward_hook(nothing)
        parametrizations.weight_norm(net[2])
        net[5].register_forward_hook(nothing)
        net[5].register_full_backward_hook(nothing)
        with pytest.raises(UsageError, match="got 4 things that would be lost") as caught:
            quantize_(net, W4A4)
        lines = [line[4:].split(":")[0] for line in str(caught.value).splitlines() if line.startswith("  - ")]
        assert sorted(lines) == ["0", "1", "2", "5"]
        assert "5: it has a forward hook and a backward hook," in str(caught.value)

    def test_the_repairs_repair(self) -> None:
        net = network()
        prune.l1_unstructured(net[0], "weight", 0.5)
        parametrizations.weight_norm(net[2])
        nn.utils.spectral_norm(net[5])
        hook = net[1].register_forward_hook(nothing)
        prune.remove(net[0], "weight")
        parametrize.remove_parametrizations(net[2], "weight")
        nn.utils.remove_spectral_norm(net[5])
        hook.remove()
        quantize_(net, W4A4)
        before = [
            module.layer.weight.clone() for module in net if isinstance(module, QuantizedConv2d | QuantizedLinear)
        ]
        net(IMAGES).square().sum().backward()
        torch.optim.SGD(net.parameters(), 0.1).step()
        after = [module.layer.weight for module in net if isinstance(module, QuantizedConv2d | QuantizedLinear)]
        assert all((a != b).any() for a, b in zip(before, after, strict=True))

    def test_hooks_of_other_modules_are_left_alone(self) -> None:
        net = network()
        seen: list[int] = []
        net.register_forward_hook(lambda *_: seen.append(0))
        net[4].register_forward_hook(lambda *_: seen.append(4))
        quantize_(net, W4A4)
        net(IMAGES)
        assert seen == [4, 0]

    def test_hooks_of_a_parameter_keep_firing(self) -> None:
        net = network()
        seen: list[Tensor] = []
        net[0].weight.register_hook(seen.append)
        quantize_(net, W4A4)
        net(IMAGES).sum().backward()
        assert len(seen) == 1

    def test_hooks_that_dequantize_would_lose(self) -> None:
        net = network()
        quantize_(net, W4A4)
        handles = [net[0].register_forward_hook(nothing), net[1].register_forward_hook(nothing)]
        with pytest.raises(
            UsageError, match=r"got 2 things that would be lost\n  - 0: a forward hook\n  - 1: a forward"
        ):
            dequantize_(net)
        assert isinstance(net[0], QuantizedConv2d)
        for handle in handles:
            handle.remove()
        dequantize_(net)
        assert type(net[0]) is nn.Conv2d


class TestPlaces:
    @pytest.mark.parametrize(
        ("hold", "owner"),
        [
            (lambda net: net.__dict__.update(acts=[net[1]]), "acts"),
            (lambda net: net.__dict__.update(acts={"relu": (net[1],)}), "acts"),
            (lambda net: net.__dict__.update(run=net[1].forward), "run"),
            (lambda net: net.__dict__.update(run=functools.partial(net[1])), "run"),
            (lambda net: net.__dict__.update(run=lambda x, act=None, relu=net[1]: relu(x)), None),
            (lambda net: net[4].__dict__.update(before=net[1]), "4.before"),
        ],
    )
    def test_a_reference_that_cannot_be_replaced(self, hold: Callable[[nn.Module], None], owner: str | None) -> None:
        net = network()
        hold(net)
        if owner is None:  # a default argument of a function is beyond what is looked through
            quantize_(net, W4A4)
            return
        with pytest.raises(
            UsageError, match=rf"  - 1: the attribute {owner} refers to it too, where it would stay in full"
        ):
            quantize_(net, W4A4)

    def test_a_closure(self) -> None:
        net = network()
        relu = net[1]
        net.__dict__["run"] = lambda x: relu(x)
        with pytest.raises(UsageError, match="1: the attribute run refers to it too"):
            quantize_(net, W4A4)

    def test_a_tied_weight(self) -> None:
        """Two layers on one parameter: each quantizes it with its own bits, and both train it."""
        net = nn.Sequential(nn.Flatten(), nn.Linear(36, 36), nn.ReLU(), nn.Linear(36, 36), nn.ReLU(), nn.Linear(36, 3))
        net[3].weight = net[1].weight
        quantize_(net, W4A4)
        assert net[3].layer.weight is net[1].layer.weight
        assert len([parameter for parameter in net.parameters() if parameter.shape == (36, 36)]) == 1
        before = net[1].layer.weight.clone()
        net(IMAGES).square().sum().backward()
        torch.optim.SGD(net.parameters(), 0.1).step()
        assert not torch.equal(net[3].layer.weight, before)
        dequantize_(net)
        assert net[3].weight is net[1].weight


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Linear(6, 8)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1, enable_nested_tensor=False
        )
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.encoder(self.patches(x[:, 0])).mean(1))


class TestReaders:
    def test_a_transformer_reads_weights_itself(self) -> None:
        with pytest.raises(UsageError) as caught:
            quantize_(Encoder(), W4A4)
        assert (
            "encoder.layers.0: TransformerEncoderLayer in eval mode reads the weights of linear1 and linear2 itself, "
            'past any quantizer; leave them in full precision with Rule("encoder.layers.0.linear1", 32, 32) and '
            'Rule("encoder.layers.0.linear2", 32, 32)'
        ) in str(caught.value)

    @pytest.mark.filterwarnings("ignore::glassbit._errors.GlassbitWarning")
    def test_in_full_precision_it_works(self) -> None:
        net = Encoder().eval()
        rules = (
            Rule("*", 4, 4),
            Rule("encoder.layers.0.linear1", 32, 32),
            Rule("encoder.layers.0.linear2", 32, 32),
        )
        quantize_(net, Plan("mine", rules))
        assert isinstance(net.patches, QuantizedLinear)
        with torch.no_grad():
            fast = net(IMAGES)
        torch.testing.assert_close(fast, net(IMAGES))

    def test_the_weight_of_a_quantized_layer(self) -> None:
        net = network()
        bias = net[0].bias
        quantize_(net, W4A4)
        assert not hasattr(net[0], "weight")
        with pytest.raises(UsageError, match="QuantizedConv2d: weight must be asked for by what it means"):
            F.conv2d(IMAGES, net[0].weight)
        with pytest.raises(UsageError, match="QuantizedLinear: weight must be asked for"):
            prune.l1_unstructured(net[5], "weight", 0.5)
        assert net[0].bias is bias
        assert (net[0].in_channels, net[0].stride, net[5].in_features) == (1, (1, 1), 16)
        with pytest.raises(AttributeError, match="'QuantizedConv2d' object has no attribute 'nothing'"):
            _ = net[0].nothing
        with pytest.raises(AttributeError):
            _ = net[5].in_channels
        for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert torch.equal(twin(IMAGES), net(IMAGES))

    @pytest.mark.parametrize("what", ["pruning", "spectral_norm", "weight_norm"])
    def test_an_inner_layer_that_computes_its_weight_later(self, what: str) -> None:
        net = network()
        quantize_(net, W4A4)
        CARRIED[what][0](net[2].layer)
        with pytest.raises(UsageError, match="QuantizedConv2d: the weight must be a parameter; got one that a hook of"):
            net(IMAGES)


class TestKinds:
    @pytest.mark.parametrize("lazy", [nn.LazyConv2d(4, 3), nn.LazyLinear(3)], ids=["conv", "linear"])
    def test_lazy_layers(self, lazy: nn.Module) -> None:
        body = [lazy, nn.ReLU()] if isinstance(lazy, nn.LazyConv2d) else [nn.Flatten(), lazy]
        net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), *body)
        with pytest.raises(
            UsageError, match=r"Lazy(Conv2d|Linear) has no weights yet; run the network once on an example"
        ):
            quantize_(net, W4A4)
        net(IMAGES)
        quantize_(net, W4A4)
        assert isinstance(net[2] if isinstance(net[3], PACT) else net[3], QuantizedConv2d | QuantizedLinear)
        net(IMAGES).sum().backward()

    @pytest.mark.parametrize("only", [nn.LazyLinear(3), parametrizations.weight_norm(nn.Linear(36, 3))])
    def test_where_there_is_nothing_else(self, only: nn.Module) -> None:
        with pytest.raises(UsageError, match=r"1: (LazyLinear has no weights yet|its weight is computed)"):
            quantize_(nn.Sequential(nn.Flatten(), only), W4A4)
        with pytest.raises(UsageError, match=r"wrap a bare layer in nn.Sequential"):
            quantize_(only, W4A4)

    @pytest.mark.parametrize("options", [{}, {"weights": "lsq", "activations": "lsq"}, {"weights": "dorefa"}])
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
    def test_other_precisions(self, dtype: torch.dtype, options: dict[str, Any]) -> None:
        net = network().to(dtype)
        quantize_(net, Plan.named("w4a4", **options))
        calibrate_(net, IMAGES.to(dtype))
        logits = net(IMAGES.to(dtype))
        assert logits.dtype == dtype
        logits.sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())

    @pytest.mark.parametrize("weights", ["sawb", "dorefa", "lsq"])
    def test_frozen_weights_stay_frozen(self, weights: Any) -> None:
        net = network()
        net[2].requires_grad_(False)
        quantize_(net, Plan.named("w4a4", weights=weights))
        before = net[2](torch.ones(1, 4, 4, 4))
        optimizer = torch.optim.SGD(net.parameters(), 0.1, weight_decay=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            net(IMAGES).square().sum().backward()
            optimizer.step()
        assert torch.equal(net[2](torch.ones(1, 4, 4, 4)), before)
        assert not net[2].layer.weight.requires_grad
        if isinstance(net[2].quantizer, LSQ):
            assert not net[2].quantizer.step.requires_grad
            assert net[5].quantizer.step.requires_grad

    def test_distributed_data_parallel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Wrapped(nn.Module):
            def __init__(self, module: nn.Module) -> None:
                super().__init__()
                self.module = module

            def forward(self, x: Tensor) -> Tensor:
                return self.module(x)

        monkeypatch.setattr("glassbit.quant._refused.DistributedDataParallel", Wrapped)
        with pytest.raises(UsageError, match=r"the model: DistributedDataParallel .* wrap the network after quantize_"):
            quantize_(Wrapped(network()), W4A4)


class Bare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(F.gelu(self.conv(x)).flatten(1))


class TestWithoutActivations:
    def test_said_at_once(self) -> None:
        with pytest.warns(
            GlassbitWarning,
            match=r"quantize_: no activation is quantized: Bare calls no ReLU, ReLU6 or Hardtanh\(0, c\)",
        ):
            quantize_(Bare(), W4A4)

    @pytest.mark.filterwarnings("ignore::glassbit._errors.GlassbitWarning")
    def test_calibration_says_what_to_do(self) -> None:
        net = Bare()
        with pytest.raises(UsageError, match="must be quantized; got one that is not; call quantize_ first"):
            calibrate_(net, IMAGES)
        quantize_(net, Plan.named("w4a4", alpha="data"))
        assert calibrate_(net, IMAGES) == {}

    def test_not_where_the_plan_wants_weights_only(self) -> None:
        quantize_(Bare(), Plan("weights", (Rule("*", 4, 32),)))

    def test_not_of_one_layer(self) -> None:
        quantize_(nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), W4A4)
