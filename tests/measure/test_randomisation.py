"""Parameter randomisation against networks that were re-drawn by hand."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit._random import derive
from glassbit.explain import gradient
from glassbit.measure import TorchSubject, _randomisation, randomisation
from glassbit.models import Classifier, cnn_bn, to_unit
from glassbit.quant import SAWB, Plan, Rule, calibrate_, dequantize_, quantize_

from .mlp import MEAN, SHAPE, STD, Twin, artifact, classes, deployed, mlp, pictures

LSQ_PLAN = Plan("lsq", (Rule("*", 4, 4),), edges="same", weights="lsq", activations="lsq", alpha=2.0)


def plain(model: nn.Module, shape: tuple[int, int, int] = SHAPE) -> TorchSubject:
    return TorchSubject(model, name="net", image_shape=shape)


def slow_spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Ranks by counting: the mean place of the pixels that are equal."""

    def ranks(x: np.ndarray) -> np.ndarray:
        return (x[:, None] > x).sum(1) + ((x[:, None] == x).sum(1) + 1) / 2

    return float(np.corrcoef(ranks(a.reshape(-1)), ranks(b.reshape(-1)))[0, 1])


def redrawn_(layer: nn.Module, name: str, seed: int = 0) -> None:
    """A new layer of the same kind, made under the seed of its name."""
    with torch.random.fork_rng([]):
        torch.manual_seed(derive("randomisation", seed, name))
        new = (
            nn.Linear(layer.in_features, layer.out_features)
            if isinstance(layer, nn.Linear)
            else nn.Conv2d(layer.in_channels, layer.out_channels, 3, padding=1)
        )
    layer.load_state_dict(new.state_dict())


def plain_network(depth: int, width: int) -> Classifier:
    """Convolution, BatchNorm, ReLU, again and again; statistics of the images."""
    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        layers: list[nn.Module] = []
        for place in range(depth):
            layers += [nn.Conv2d(width if place else 2, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
        layers += [nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, 3)]
    model = Classifier(nn.Sequential(*layers), mean=MEAN, std=STD)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    model(pictures(30))
    return model.eval()


def test_it_equals_the_formula_on_a_float_network() -> None:
    model, images, targets = mlp(), pictures(), classes()
    found = randomisation(plain(model), images, targets, seed=5)
    assert found.layers == ("network.3", "network.1")
    assert found.spearman.shape == (2, 7)
    twins = [Twin(model)]
    for name in found.layers:
        redrawn_(model.get_submodule(name), name, seed=5)
        twins.append(Twin(model))
    for place, (image, target) in enumerate(zip(images.numpy(), targets.tolist(), strict=True)):
        own, *others = (twin.saliency(image, target) for twin in twins)
        wanted = [slow_spearman(own, other) for other in others]
        np.testing.assert_allclose(found.spearman[:, place], wanted, atol=1e-12)


@pytest.mark.parametrize("bits", [4, 2])
def test_what_is_not_redrawn_yet_stays_exactly_as_it_was(bits) -> None:
    """The first clipping level is trained, and far from where `calibrate_` would put it; the second one goes along with
    the layer in front of it.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(4)
        net = nn.Sequential(nn.Flatten(), nn.Linear(60, 60), nn.ReLU(), nn.Linear(60, 60), nn.ReLU())
        model = Classifier(nn.Sequential(net, nn.Linear(60, 3)), mean=MEAN, std=STD)
    quantize_(model.network, Plan.named(f"w{bits}a{bits}", edges="same", alpha=0.3))
    images, targets = pictures(), classes()
    found = randomisation(plain(model), images, targets)
    assert found.layers == ("network.1", "network.0.3", "network.0.1")
    maps = [gradient(model, images, targets).numpy()]
    for name in found.layers[:2]:
        redrawn_(model.get_submodule(f"{name}.layer"), name)
        if name == "network.0.3":
            model.network[0][4].alpha.data.fill_(calibrate_(model, to_unit(images))["network.0.4"])
            model.network[0][2].alpha.data.fill_(0.3)
        maps.append(gradient(model, images, targets).numpy())
    for step in (1, 2):
        wanted = [slow_spearman(a, b) for a, b in zip(maps[0], maps[step], strict=True)]
        np.testing.assert_allclose(found.spearman[step - 1], wanted, atol=1e-12)


@pytest.mark.parametrize("plan", [Plan.named("w4a4", alpha=0.3), Plan.named("w2a2", edges="same", alpha=0.3), LSQ_PLAN])
def test_the_last_step_is_a_network_that_was_never_trained(plan) -> None:
    """Re-drawn as a float network, then quantized and calibrated as new ones are."""
    model, images, targets = mlp(), pictures(), classes()
    quantize_(model.network, plan)
    found = randomisation(plain(model), images, targets)
    before = gradient(model, images, targets).numpy()
    dequantize_(model.network)
    for name in ("network.1", "network.3"):
        redrawn_(model.get_submodule(name), name)
    quantize_(model.network, plan)
    calibrate_(model, to_unit(images))
    after = gradient(model, images, targets).numpy()
    wanted = [slow_spearman(a, b) for a, b in zip(before, after, strict=True)]
    np.testing.assert_allclose(found.spearman[-1], wanted, atol=1e-12)


def test_statistics_of_redrawn_batch_norms_are_those_of_the_images() -> None:
    model, images, targets = plain_network(2, 5), pictures(30), classes(30)
    norms = [model.network[1], model.network[4]]
    with torch.no_grad():
        for norm in norms:
            norm.weight.uniform_(0.2, 2.0)
            norm.running_mean.add_(0.3)
            norm.running_var.mul_(1.7)
    found = randomisation(plain(model), images, targets)
    assert found.layers == ("network.8", "network.4", "network.3", "network.1", "network.0")
    before = gradient(model, images, targets).numpy()
    redrawn_(model.network[8], "network.8")
    norms[1].reset_parameters()
    redrawn_(model.network[3], "network.3")
    inputs: list[Tensor] = []
    model.network[4].register_forward_pre_hook(lambda _, x: inputs.append(x[0]))
    with torch.no_grad():
        copied = copy.deepcopy(model)
        copied.network[1].train()  # while statistics are taken, every BatchNorm works as in training
        copied(images)
    norms[1].running_mean.copy_(inputs[0].mean((0, 2, 3)))
    norms[1].running_var.copy_(inputs[0].var((0, 2, 3)))
    after = gradient(model, images, targets).numpy()
    wanted = [slow_spearman(a, b) for a, b in zip(before, after, strict=True)]
    np.testing.assert_allclose(found.spearman[2], wanted, atol=1e-12)


def test_a_deep_quantized_network_keeps_a_map_only_through_its_statistics(monkeypatch) -> None:
    monkeypatch.setattr(SAWB, "_version", 1)  # a clip that cuts 8-bit weights off, under which every map vanishes
    model = plain_network(9, 4)
    quantize_(model.network, Plan.named("w2a2"))
    calibrate_(model, to_unit(pictures(30)))
    found = randomisation(plain(model), pictures(30), classes(30))
    assert np.isfinite(found.spearman).all()
    monkeypatch.setattr(_randomisation, "reestimate_", lambda *_: None)
    without = randomisation(plain(model), pictures(30), classes(30))
    assert np.isnan(without.spearman[-1]).all()


@pytest.mark.parametrize("bits", [None, 4])
def test_a_map_that_rests_on_the_first_layer_falls_with_it(bits) -> None:
    model = mlp(hidden=64)
    with torch.no_grad():
        model.network[1].weight *= torch.logspace(-1, 1, 30).repeat(2)
    if bits is not None:
        quantize_(model.network, Plan.named(f"w{bits}a{bits}"))
    values = randomisation(plain(model), pictures(40), classes(40)).spearman
    assert values[0].mean() > 0.6
    assert abs(values[-1].mean()) < 0.15


def test_layers_have_the_same_names_in_a_quantized_network() -> None:
    images = torch.randint(256, (4, 1, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    names = []
    for quantized in (False, True):
        model = Classifier(cnn_bn(width=2), mean=(0.3,), std=(0.3,))
        if quantized:
            quantize_(model.network, Plan.named("w4a4"))
        done: list[int] = []
        names.append(randomisation(plain(model, (1, 28, 28)), images, classes(4), progress=done.append).layers)
        assert done == [1] * 9
    assert names[0] == names[1]
    assert names[0][:3] == ("network.fc", "network.stage4.bn", "network.stage4.conv")
    assert names[0][-1] == "network.stage1.conv"


@pytest.mark.parametrize("plan", [None, Plan.named("w4a4"), LSQ_PLAN])
def test_the_network_is_left_as_it_was(plan) -> None:
    model = plain_network(2, 5).train()
    if plan is not None:
        quantize_(model.network, plan)
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    randomisation(plain(model), pictures(), classes())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in model.modules())
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_seed_decides_and_not_the_global_state() -> None:
    subject = plain(mlp(4))
    first = randomisation(subject, pictures(), classes())
    torch.manual_seed(5)
    assert np.array_equal(randomisation(subject, pictures(), classes()).spearman, first.spearman)
    assert np.array_equal(randomisation(subject, pictures() / 255, classes()).spearman, first.spearman)
    assert (randomisation(subject, pictures(), classes(), seed=1).spearman != first.spearman).all()


class Gain(nn.Module):
    """Parameters beside a layer, and a way to draw them."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(60))
        self.inner = plain_network(1, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x * self.gain.view(SHAPE))

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.gain)


def test_a_module_of_ones_own_is_redrawn_by_its_own_method() -> None:
    model = Gain()
    quantize_(model.inner.network, Plan.named("w4a4"))
    found = randomisation(plain(model), pictures(), classes())
    assert found.layers == ("inner.network.5", "inner.network.1", "inner.network.0", "Gain")
    assert (found.spearman[3] != found.spearman[2]).all()


def test_a_constant_map_has_no_correlation() -> None:
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(1, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x.mean((1, 2, 3))[:, None])

    assert np.isnan(randomisation(plain(Mean()), pictures(), classes()).spearman).all()


class Fixed(nn.Module):
    """Parameters without a way to draw them."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))
        self.inner = mlp()
        self.inner.network[2] = nn.ParameterList([torch.ones(1)])  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner.network[1](self.inner.network[0](x * self.gain))
        return self.inner.network[3](x * self.inner.network[2][0])


CANNOT = (
    r"net must be able to re-draw all its parameters; got modules that cannot: "
    r"Fixed \(Fixed\), inner\.network\.2 \(ParameterList\); "
    r"give each one a method reset_parameters\(\) that draws its parameters anew$"
)
DEPLOYED = (
    "net must be the quantized network; got deployed arithmetic, whose ranges were set for the trained weights; "
    r"measure the network that it was made from \(`deployed\.classifier`\)$"
)


class Bare(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)).relu()


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (Fixed, CANNOT),
        (Bare, "net must have parameters to re-draw; got none$"),
        (deployed, DEPLOYED),
        (lambda: nn.Sequential(deployed()), "net must be the quantized network; got deployed arithmetic"),
    ],
)
def test_a_network_that_it_cannot_redraw_is_refused(model, text) -> None:
    with pytest.raises(UsageError, match=f"^randomisation: {text}"):
        randomisation(plain(model()), pictures(2), torch.tensor([0, 1]))


def test_a_file_is_refused(tmp_path) -> None:
    text = (
        "randomisation: shop must be a network with weights to re-draw; got a file, whose weights are fixed; "
        "measure the network that it was made from"
    )
    with pytest.raises(UsageError, match=f"^{text}$"):
        randomisation(artifact(tmp_path), pictures(), classes())


def test_a_single_image_has_no_statistics() -> None:
    with pytest.raises(UsageError, match="images must be two or more; got 1"):
        randomisation(plain(mlp()), pictures(1), classes(1))
