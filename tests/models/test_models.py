from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from glassbit import models
from glassbit._errors import UsageError

BUILDERS = {
    "cnn": models.cnn,
    "cnn_bn": models.cnn_bn,
    "resnet8": models.resnet8,
    "resnet20": models.resnet20,
    "resnet32": models.resnet32,
    "resnet56": models.resnet56,
    "ds_cnn": models.ds_cnn,
    "mobilenet_v1_025": models.mobilenet_v1_025,
    "mobilenet_v2_035": models.mobilenet_v2_035,
    "mobilenet_v3_small": models.mobilenet_v3_small,
    "squeezenet": models.squeezenet,
}
ACTIVATIONS = {nn.ReLU: "relu", nn.ReLU6: "hardtanh", nn.Hardswish: "hardswish", nn.Hardsigmoid: "hardsigmoid"}
"""The activations, and the operation that each runs."""
MOBILE = ["mobilenet_v1_025", "mobilenet_v2_035", "mobilenet_v3_small"]


class Operations(TorchDispatchMode):
    """Counts the operations that run, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.counts[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def runs(network, kinds):
    """The names of the modules of these kinds, a call at a time."""
    names = []
    for name, module in network.named_modules():
        if isinstance(module, kinds):
            module.register_forward_hook(lambda *_, name=name: names.append(name))
    shape = (network.channels, *getattr(network, "size", (32, 32)))
    with torch.no_grad(), Operations() as operations:
        network.eval()(torch.rand(2, *shape))
    return names, operations.counts


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (lambda: models.resnet8(), 78_186),
        (lambda: models.ds_cnn(), 23_756),
        (lambda: models.squeezenet(classes=1000), 1_235_496),
        (lambda: models.squeezenet(classes=1000, stem_stride=1), 1_235_496),
        (lambda: models.mobilenet_v2_035(classes=1000), 1_677_128),
        (lambda: models.mobilenet_v2_035(classes=1000, width=1), 3_504_872),
        (lambda: models.mobilenet_v3_small(classes=1000), 2_542_856),
        (lambda: models.mobilenet_v1_025(), 216_322),
        (lambda: models.resnet20(), 269_722),
        (lambda: models.resnet20(shortcut="B"), 272_474),
        (lambda: models.resnet20(channels=1), 269_722 - 2 * 16 * 9),
        (lambda: models.resnet20(classes=100), 269_722 + 90 * 65),
        (lambda: models.resnet32(), 464_154),
        (lambda: models.resnet56(), 853_018),
        (lambda: models.cnn(), 1_199_882),
        (lambda: models.cnn_bn(), 94_266),
    ],
)
def test_parameter_count(network, count):
    assert parameters(network()) == count


def multiply_adds(network: nn.Module, *shape: int) -> int:
    """Those of convolutions and linear layers, per image."""
    counts = []

    def count(module, _, out):
        counts.append(out[0].numel() // module.weight.shape[0] * module.weight.numel())

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, *shape))
    return sum(counts)


@pytest.mark.parametrize(
    ("network", "shape", "count"),
    [
        (lambda: models.resnet8(), (3, 32, 32), 12_501_632),
        (lambda: models.ds_cnn(), (1, 49, 10), 2_656_768),
        (lambda: models.mobilenet_v1_025(), (3, 96, 96), 7_489_664),
        (lambda: models.mobilenet_v2_035(classes=1000), (3, 224, 224), 59_285_808),
        (lambda: models.mobilenet_v2_035(classes=1000, width=1), (3, 224, 224), 300_774_272),
        (lambda: models.mobilenet_v3_small(classes=1000), (3, 224, 224), 56_510_400),
        (lambda: models.squeezenet(classes=1000), (3, 224, 224), 349_151_936),
    ],
)
def test_multiply_adds(network, shape, count):
    assert multiply_adds(network(), *shape) == count


@pytest.mark.parametrize(("name", "count"), [("resnet8", 78_666), ("ds_cnn", 24_908), ("mobilenet_v1_025", 221_794)])
def test_mlperf_tiny_counts_running_statistics_too(name, count):
    network = BUILDERS[name]()
    statistics = [buffer for key, buffer in network.named_buffers() if "running" in key]
    assert parameters(network) + sum(buffer.numel() for buffer in statistics) == count


@pytest.mark.parametrize("depth", [20, 32, 56])
def test_depth_counts_layers_with_weights(depth):
    network = BUILDERS[f"resnet{depth}"]()
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in network.modules()) == depth


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 33, 47), (4, 8, 8), (2, 9, 31)])
@pytest.mark.parametrize("name", ["cnn_bn", "resnet8", "resnet20", "ds_cnn", *MOBILE])
def test_any_size_and_channels(name, shape):
    network = BUILDERS[name](classes=7, channels=shape[0])
    assert network(torch.rand(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("stem_stride", [1, 2])
@pytest.mark.parametrize("name", [*MOBILE, "squeezenet"])
class TestStemStride:
    @pytest.mark.parametrize("side", [96, 224])
    def test_logits(self, name, stem_stride, side):
        network = BUILDERS[name](classes=7, stem_stride=stem_stride).eval()
        with torch.no_grad():
            assert network(torch.rand(2, 3, side, side)).shape == (2, 7)

    def test_height_and_width_of_the_last_map(self, name, stem_stride):
        network = BUILDERS[name](stem_stride=stem_stride).eval()
        sides = []
        network.pool.register_forward_hook(lambda _, images, __: sides.append(tuple(images[0].shape[2:])))
        with torch.no_grad():
            network(torch.rand(1, 3, 64, 96))
        unpadded = {1: (7, 11), 2: (3, 5)}
        assert sides == [unpadded[stem_stride] if name == "squeezenet" else (4 // stem_stride, 6 // stem_stride)]

    def test_smallest_images(self, name, stem_stride):
        least = {1: 10, 2: 17}[stem_stride] if name == "squeezenet" else 4
        network = BUILDERS[name](stem_stride=stem_stride).eval()
        assert network(torch.rand(1, 3, least, least)).isfinite().all()
        text = f"{name}: images must be at least {least} x {least} pixels; got"
        for shape in ((least - 1, 40), (40, least - 1)):
            with pytest.raises(UsageError, match=rf"{text} {shape[0]} x {shape[1]}"):
                network(torch.rand(1, 3, *shape))


@pytest.mark.parametrize("name", ["resnet8", "ds_cnn"])
def test_large_and_smallest_images_of_mlperf_tiny(name):
    network = BUILDERS[name](classes=7, channels=3).eval()
    with torch.no_grad():
        for side in (4, 96, 224):
            assert network(torch.rand(2, 3, side, side)).shape == (2, 7)
    with pytest.raises(UsageError, match=f"{name}: images must be at least 4 x 4 pixels; got 3 x 9"):
        network(torch.rand(2, 3, 3, 9))


def test_sides_that_squeezenet_takes():
    network = models.squeezenet(classes=3, channels=2).eval()
    for shape in ((17, 40), (28, 28), (33, 18)):
        assert network(torch.rand(2, 2, *shape)).shape == (2, 3)


@pytest.mark.parametrize("seed", range(3))
def test_few_classes_of_squeezenet_start_where_its_last_relu_is_0(seed):
    torch.manual_seed(seed)
    network = models.squeezenet().eval()
    with torch.no_grad():
        logits = network(torch.randn(32, 3, 32, 32))
    assert (logits > 0).any(0).sum() >= 9


@pytest.mark.parametrize(("width", "last"), [(0.1, 1280), (0.35, 1280), (1, 1280), (1.4, 1792)])
def test_widths_of_mobilenet_v2(width, last):
    network = models.mobilenet_v2_035(width=width)
    assert network.fc.in_features == last
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 52
    assert not any(module.out_channels % 8 for module in convolutions)


@pytest.mark.parametrize(("width", "last"), [(0.1, 104), (0.35, 360), (0.75, 768), (1, 1024), (1.25, 1280)])
def test_widths_of_mobilenet_v3(width, last):
    network = models.mobilenet_v3_small(width=width)
    assert network.fc2.in_features == last
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    assert not any(module.out_channels % 8 for module in convolutions)
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_activations_of_mobilenet_v3():
    kinds = Counter(type(module) for module in models.mobilenet_v3_small().modules())
    assert [kinds[kind] for kind in ACTIVATIONS] == [14, 0, 19, 9]


@pytest.mark.parametrize(("name", "count"), [("mobilenet_v2_035", 10), ("mobilenet_v3_small", 6)])
def test_blocks_that_keep_the_shape_add_their_input(name, count):
    network = BUILDERS[name]().eval()
    added = [block for block in network.blocks if block.residual]
    assert len(added) == count
    nn.init.zeros_(added[0].layers.bn3.weight)
    x = torch.randn(2, added[0].layers.bn3.num_features, 6, 6)
    assert torch.equal(added[0](x), x)


@pytest.mark.parametrize("name", BUILDERS)
def test_one_training_step(name):
    torch.manual_seed(0)
    network = BUILDERS[name](classes=5).train()
    first = next(network.parameters())
    before = first.detach().clone()
    images = torch.rand(8, network.channels, *getattr(network, "size", (32, 32)))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    loss = nn.functional.cross_entropy(network(images), torch.arange(8) % 5)
    loss.backward()
    optimizer.step()
    assert loss.isfinite()
    assert not torch.equal(first, before)
    for key, value in network.named_parameters():
        assert value.isfinite().all(), key
        assert value.grad.any(), key


@pytest.mark.parametrize("size", [6, 7, 28, (28, 40), (6, 33)])
@pytest.mark.parametrize("channels", [1, 3])
def test_cnn_takes_the_size_it_was_built_for(size, channels):
    height, width = (size, size) if isinstance(size, int) else size
    network = models.cnn(classes=5, channels=channels, size=size)
    assert network(torch.rand(2, channels, height, width)).shape == (2, 5)
    with pytest.raises(
        UsageError,
        match=rf"images must have {height} x {width} pixels; got 50 x 6; build the network with size=\(50, 6\)",
    ):
        network(torch.rand(2, channels, 50, 6))


@pytest.mark.parametrize("shape", [(1, 1), (4, 4), (5, 4)])
def test_smallest_images_of_resnet(shape):
    network = models.resnet20()
    if min(shape) >= 4:
        assert network(torch.rand(2, 3, *shape)).shape == (2, 10)
    else:
        with pytest.raises(UsageError, match="resnet20: images must be at least 4 x 4 pixels; got 1 x 1"):
            network(torch.rand(2, 3, *shape))


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: models.cnn(size=5), "cnn: size must be a side or .* 6\\.\\.65535 pixels; got 5"),
        (lambda: models.cnn(size=(28, 3)), r"6\.\.65535 pixels; got \(28, 3\)"),
        (lambda: models.cnn(size=(28, 28, 28)), "size must be a side or"),
        (lambda: models.cnn(classes=1), r"cnn: classes must be a whole number, 2\.\.65535; got 1"),
        (lambda: models.cnn_bn(channels=0), r"cnn_bn: channels must be a whole number, 1\.\.65535; got 0"),
        (
            lambda: models.mobilenet_v2_035(width=0),
            r"mobilenet_v2_035: width must be a number, 0\.1\.\.4; got 0; pass one, such as 1\.0",
        ),
        (lambda: models.mobilenet_v3_small(width=True), "mobilenet_v3_small: width must be a number, .*; got True"),
        (lambda: models.mobilenet_v3_small(stem_stride=3), r"stem_stride must be a whole number, 1\.\.2; got 3"),
        (lambda: models.squeezenet(stem_stride=0), r"squeezenet: stem_stride must be a whole number, 1\.\.2; got 0"),
        (lambda: models.cnn_bn(width=0), r"cnn_bn: width must be a whole number, 1\.\.65535; got 0"),
        (lambda: models.resnet20(classes=2.5), r"resnet20: classes must be a whole number, 2\.\.65535; got 2\.5"),
        (lambda: models.resnet56(shortcut="C"), 'resnet56: shortcut must be "A" .* or "B" .*; got \'C\''),
        (
            lambda: models.cnn_bn()(torch.rand(1, 3, 28, 28)),
            r"images must have 1 channel; got 3; build the network with channels=3",
        ),
        (lambda: models.cnn_bn()(torch.rand(1, 1, 7, 28)), "cnn_bn: images must be at least 8 x 8 pixels; got 7 x 28"),
        (lambda: models.resnet20()(torch.rand(32, 32)), "images must have the shape .*; got"),
    ],
)
def test_impossible_requests_say_what_is_possible(build, text, unchecked):
    with pytest.raises(UsageError, match=text):
        build()


@pytest.mark.parametrize("name", BUILDERS)
def test_every_activation_is_a_module_of_its_own(name):
    network = BUILDERS[name]()
    modules = list(network.named_modules(remove_duplicate=False))
    activations = [path for path, module in modules if isinstance(module, tuple(ACTIVATIONS))]
    called, operations = runs(network, tuple(ACTIVATIONS))
    assert sorted(called) == sorted(activations), "each activation runs exactly once"
    for kind, operation in ACTIVATIONS.items():
        assert operations[operation] == sum(type(module) is kind for _, module in modules)
    others = {"clamp", "clamp_min", "threshold", "sigmoid", "silu"}
    assert not operations.keys() & {*others, *(f"{name}_" for name in ACTIVATIONS.values())}


@pytest.mark.parametrize("name", BUILDERS)
def test_modules_are_listed_in_the_order_they_run(name):
    network = BUILDERS[name]()
    kinds = (nn.Conv2d, nn.Linear, *ACTIVATIONS, nn.MaxPool2d, nn.AdaptiveAvgPool2d)
    listed = [path for path, module in network.named_modules() if isinstance(module, kinds)]
    assert runs(network, kinds)[0] == listed


@pytest.mark.parametrize(("name", "shape"), [("cnn", (1, 28, 28)), ("cnn_bn", (1, 28, 28)), ("resnet20", (3, 32, 32))])
def test_channels_last_gives_the_same_logits_and_gradients(name, shape):
    torch.manual_seed(0)
    network = BUILDERS[name]().double().eval()
    twin = copy.deepcopy(network).to(memory_format=torch.channels_last)
    images = torch.rand(3, *shape, dtype=torch.float64)
    logits = network(images)
    swapped = twin(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(swapped, logits)
    logits.square().sum().backward()
    swapped.square().sum().backward()
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(theirs.grad, ours.grad)


def test_option_a_shortcut_subsamples_and_adds_channels_of_zeros():
    block = models.resnet20().layer2[0]
    x = torch.rand(2, 16, 5, 8)
    y = block.shortcut(x)
    assert y.shape == (2, 32, 3, 4)
    assert torch.equal(y[:, :16], x[:, :, ::2, ::2])
    assert not y[:, 16:].any()
    assert not list(block.shortcut.parameters())
    assert torch.equal(block.shortcut(x.contiguous(memory_format=torch.channels_last)), y)


def test_option_a_shortcut_stays_in_channels_last():
    x = torch.rand(2, 16, 6, 8).contiguous(memory_format=torch.channels_last)
    assert models.resnet20().layer2[0].shortcut(x).is_contiguous(memory_format=torch.channels_last)


def test_residual_sum_is_added_before_the_last_relu():
    block = models.resnet20().layer1[0].eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.randn(2, 16, 8, 8)
    torch.testing.assert_close(block(x), x.relu())


@pytest.mark.parametrize("name", BUILDERS)
def test_kaiming_weights(name):
    torch.manual_seed(0)
    network = BUILDERS[name]()
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in layers:
        gain = 1.0 if layer is layers[-1] and name != "squeezenet" else 2.0**0.5
        fan_in = layer.weight[0].numel()
        assert layer.weight.std().item() == pytest.approx(gain / fan_in**0.5, rel=0.2)
        before_relu = name == "squeezenet" and layer is layers[-1]
        assert layer.bias is None or torch.equal(layer.bias, torch.full_like(layer.bias, 2.0 * before_relu))


@pytest.mark.parametrize("name", BUILDERS)
def test_same_seed_same_weights(name):
    torch.manual_seed(3)
    first = BUILDERS[name]().state_dict()
    torch.manual_seed(3)
    second = BUILDERS[name]().state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


class TestToUnit:
    def test_bytes(self):
        images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
        unit = models.to_unit(images)
        assert unit.dtype == torch.float32
        assert torch.equal(unit, images.float() / 255)
        assert images.dtype == torch.uint8

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
    def test_floats_pass_through(self, dtype):
        images = torch.rand(1, 1, 4, 4).to(dtype)
        assert models.to_unit(images) is images

    def test_others_are_refused(self):
        with pytest.raises(UsageError, match=r"must be uint8 .* or floating point .*; got torch.int64"):
            models.to_unit(torch.zeros(1, 1, 4, 4, dtype=torch.int64))


class TestClassifier:
    def test_normalises_and_calls_the_network(self):
        model = models.Classifier(nn.Flatten(), mean=(0.5, 0.25), std=(0.5, 0.125))
        logits = model(torch.tensor([[[[0.0]], [[0.5]]], [[[1.0]], [[0.25]]]]))
        assert logits.tolist() == [[-1.0, 2.0], [1.0, 0.0]]

    def test_bytes_and_floats_agree(self):
        model = models.Classifier(models.cnn_bn(), mean=(0.3,), std=(0.2,)).eval()
        images = torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8)
        assert torch.equal(model(images), model(images / 255))

    def test_gradient_reaches_the_image(self):
        model = models.Classifier(models.cnn_bn(), mean=(0.3,), std=(0.2,)).eval()
        images = torch.rand(2, 1, 28, 28, requires_grad=True)
        (gradient,) = torch.autograd.grad(model(images)[:, 0].sum(), images)
        assert gradient.abs().sum() > 0

    def test_state_holds_the_normalisation(self):
        model = models.Classifier(models.cnn_bn(), mean=(0.3,), std=(0.2,))
        other = models.Classifier(models.cnn_bn(), mean=(0.0,), std=(1.0,))
        other.load_state_dict(model.state_dict())
        images = torch.rand(2, 1, 28, 28)
        assert torch.equal(other.eval()(images), model.eval()(images))

    @pytest.mark.parametrize(
        ("mean", "std", "text"),
        [
            ((0.5,), (0.5, 0.5), "one number per channel; got 1 and 2"),
            ((), (), "one number per channel; got 0 and 0"),
            ((0.5,), (0.0,), "every std must be a positive number"),
            ((0.5,), (float("nan"),), "every std must be a positive number"),
        ],
    )
    def test_odd_statistics(self, mean, std, text):
        with pytest.raises(UsageError, match=text):
            models.Classifier(models.cnn_bn(), mean=mean, std=std)

    def test_channels_are_not_broadcast(self):
        model = models.Classifier(models.cnn_bn(channels=3), mean=(0.5,), std=(0.5,))
        with pytest.raises(UsageError, match=r"Normalize: images must have 1 channel; got 3"):
            model(torch.rand(1, 3, 28, 28))


def test_public_names():
    assert sorted(models.__all__) == [
        "Classifier",
        "Normalize",
        "SubsampleAndPad",
        "cnn",
        "cnn_bn",
        "ds_cnn",
        "mobilenet_v1_025",
        "mobilenet_v2_035",
        "mobilenet_v3_small",
        "resnet20",
        "resnet32",
        "resnet56",
        "resnet8",
        "squeezenet",
        "to_unit",
    ]
