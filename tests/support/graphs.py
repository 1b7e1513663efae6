"""Random integer networks that are valid, and images for them.

random_graph(seed)        one of everything that a network can be: strides, paddings, groups, sums, pools, ...
graphs()                  the same for hypothesis, which can make it smaller
tie_graph(seed)           every second rounding is a tie, in both kinds of 8-bit windows
resnet_graph(bits)        ResNet-20, with random weights
uneven_graph(...)         a mean over windows of several sizes
extreme_graph(...)        the largest codes, biases, multipliers and accumulators
images_for(graph, n)      random images, blank ones, and flat areas where maxima are equal
first_version(model)      an ONNX file with a saliency map as Glassbit wrote it before
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from glassbit.intgraph import (
    About,
    Add,
    AveragePool,
    Conv,
    Flatten,
    Grid,
    Input,
    IntGraph,
    Linear,
    Logits,
    MaxPool,
    Node,
    Preprocessing,
    Requantize,
    Subsample,
    SumPool,
    TensorInfo,
    Weights,
    Window,
    inputs,
)
from glassbit.intgraph._infer import infer
from glassbit.intgraph._run import compute

Choose = Callable[[Sequence[Any]], Any]
BITS = tuple(range(2, 9))
GRIDS: tuple[Grid, ...] = ("odd", "signed")


@cache
def random_graph(
    seed: int,
    *,
    bits: tuple[int, ...] = BITS,
    grids: tuple[Grid, ...] = GRIDS,
    blocks: tuple[int, ...] = (0, 1, 2, 3),
) -> IntGraph:
    """A valid network that the seed decides.

    Args:
        seed: any number.
        bits: widths to choose from, for weights and activations (8 bits are on the signed grid always).
        grids: of the weights below 8 bits.
        blocks: how many blocks of layers there may be before the head.
    """
    generator = np.random.default_rng([seed, 0])
    return _build(lambda options: options[generator.integers(len(options))], generator, bits, grids, blocks)


@st.composite
def graphs(
    draw: st.DrawFn, *, bits: Sequence[int] = BITS, grids: Sequence[Grid] = GRIDS, blocks: Sequence[int] = (0, 1, 2, 3)
) -> IntGraph:
    """`random_graph` as a strategy: its structure shrinks."""
    generator = np.random.default_rng(draw(st.integers(0, 2**16)))
    state = random.getstate()
    try:
        return _build(lambda options: draw(st.sampled_from(options)), generator, bits, grids, blocks)
    finally:
        random.setstate(state)  # the type checker draws from it, which hypothesis forbids strategies


def images_for(graph: IntGraph, count: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Images of the network's shape: random pixels, black, white, the zero, flat areas, two colours, faint noise."""
    image = graph.nodes[0]
    assert isinstance(image, Input)
    generator = np.random.default_rng([seed, 1])
    shape = (image.channels, image.height, image.width)
    flat = generator.integers(0, 256, (image.channels, -(-image.height // 3), -(-image.width // 3)))
    kinds = [
        lambda: generator.integers(0, 256, shape),
        lambda: np.zeros(shape),
        lambda: np.full(shape, 255),
        lambda: np.full(shape, image.zero),
        lambda: flat.repeat(3, 1).repeat(3, 2)[:, : image.height, : image.width],
        lambda: generator.choice([0, 255], shape),
        lambda: 128 + generator.integers(-2, 3, shape),
    ]
    pixels = [kinds[0 if i >= 2 * len(kinds) else i % len(kinds)]() for i in range(count)]
    return np.array(pixels, np.uint8).reshape(count, *shape)


def tie_graph(seed: int) -> IntGraph:
    """m is 1 and weights and biases are multiples of `2^(e - 1)`: about every second accumulator is a tie."""
    build = _Builder(lambda options: options[0], np.random.default_rng([seed, 2]), [8], ["signed"])

    def layer(read: str, out: int, size: int, exponent: int, low: int = 0) -> str:
        shape = (out, build.shape(read)[0], *[size] * (len(build.shape(read)) - 1))
        codes = 128 + build.generator.integers(-2, 3, shape) * 2 ** (exponent - 1)
        weights = Weights(codes.astype(np.uint8), 8, "signed")
        name = build.name("layer")
        flat = len(shape) == 2
        node = Linear(name, read, weights) if flat else Conv(name, read, weights, padding=(size // 2, size // 2))
        return build.halve(build.add(node), low, exponent=exponent)

    image = build.image(channels=2, height=7, width=6, zero=0)
    first = layer(image, 4, 1, exponent=5)
    left, right = layer(first, 4, 3, exponent=4, low=-128), layer(first, 4, 1, exponent=3, low=-128)
    total = build.halve(build.add(Add(build.name("sum"), left, right)), 0, exponent=1)
    pool = build.halve(build.add(AveragePool(build.name("mean"), total, (1, 2), (1, 2))), 0, exponent=1)
    pool = build.halve(build.add(SumPool(build.name("uneven"), pool, uneven(7, 5), uneven(3, 2))), 0, exponent=1)
    pool = build.add(MaxPool(build.name("max"), pool, (2, 2), (1, 1)))
    return build.finish(layer(build.flat(pool), 6, 1, exponent=6), classes=4)


def extreme_graph(
    grid: Grid, bits: int, *, lowest: bool, multiplier: int = 255, exponent: int = 0, bias: int = 2**30
) -> IntGraph:
    """All weights at one end of their grid, biases at theirs (in turn positive and negative), images of 12 x 12 x 3."""
    build = _Builder(lambda options: options[0], np.random.default_rng(0), [bits], [grid])
    code = 0 if lowest else 2**bits - 1

    def same(*shape: int) -> Weights:
        return Weights(np.full(shape, code, np.uint8), bits, grid)

    def window(name: str, low: int, high: int, size: int) -> str:
        signs = np.resize([1, -1, 0, 0], size).astype(np.int64)
        many = [np.full(size, value, np.int32) for value in (multiplier, exponent)]
        return build.add(Requantize(build.name("q"), name, (signs * bias).astype(np.int32), *many, low, high))

    image = build.image(channels=3, height=12, width=12, zero=0)
    first = window(build.add(Conv("conv", image, same(8, 3, 5, 5), padding=(2, 2))), 0, 255, 8)
    left = window(build.add(Conv("left", first, same(8, 8, 3, 3), padding=(1, 1))), -128, 127, 8)
    right = window(build.add(Conv("right", first, same(8, 4, 1, 1), groups=2)), -128, 127, 8)
    total = window(build.add(Add("sum", left, right, left_shift=16)), 0, 255, 8)
    flat = build.add(Flatten("flat", total))
    last = build.add(Linear("fc", flat, same(4, 8 * 12 * 12)))
    build.add(
        Logits(
            "logits",
            last,
            np.array([bias, -bias, 0, 1], np.int32),
            np.array([1, 2.0**-100, 2.0**80, 0.1], np.float32),
        )
    )
    return build.graph()


def resnet_graph(
    bits: int, *, seed: int = 0, size: int = 32, blocks: int = 3, widths: Sequence[int] = (16, 32, 64)
) -> IntGraph:
    """A ResNet of `6 blocks + 2` layers with shortcuts without parameters; first and last weights have 8 bits."""
    build = _Builder(lambda options: options[0], np.random.default_rng([seed, 3]), [bits], GRIDS[bits == 8 :])
    build.bits = [8]
    x = build.conv(build.image(channels=3, height=size, width=size, zero=121), widths[0], (3, 3), padding=(1, 1))
    build.bits = [bits]
    x = build.requantize(x)
    for width in widths:
        for _ in range(blocks):
            more = width - build.shape(x)[0]
            stride = (2, 2) if more else (1, 1)
            y = build.requantize(build.conv(x, width, (3, 3), stride, (1, 1)))
            y = build.requantize(build.conv(y, width, (3, 3), padding=(1, 1)), signed=True)
            shortcut = build.add(Subsample(build.name("sub"), x, stride, more)) if more else x
            x = build.requantize(build.add(Add(build.name("sum"), y, shortcut, 0, 3)))
    whole = build.shape(x)[1:]
    build.bits = [8]
    x = build.requantize(build.add(AveragePool(build.name("mean"), x, (whole[0], whole[1]), (whole[0], whole[1]))))
    return build.finish(build.flat(x), classes=10)


def whole_graph() -> IntGraph:
    """A small one with every kind of node: images of 1 x 4 x 4, two channels inside, three classes."""

    def weights(*shape: int, bits: int = 4, grid: Grid = "odd") -> Weights:
        return Weights((np.arange(math.prod(shape)) % 2**bits).astype(np.uint8).reshape(shape), bits, grid)

    def requantize(name: str, read: str, channels: int, low: int, high: int, exponent: int) -> Requantize:
        one = np.ones(channels, np.int32)
        return Requantize(name, read, 0 * one, 5 * one, exponent * one, low, high)

    nodes = (
        Input("image", 1, 4, 4, zero=0),
        Conv("conv", "image", weights(2, 1, 3, 3), padding=(1, 1)),
        requantize("relu", "conv", 2, 0, 15, 10),
        Conv("branch", "relu", weights(2, 2, 1, 1, bits=3, grid="signed")),
        requantize("signed", "branch", 2, -128, 127, 2),
        Subsample("same", "relu", (1, 1), 0),
        Add("sum", "signed", "same", right_shift=2),
        requantize("after", "sum", 1, 0, 15, 5),
        MaxPool("max", "after", (2, 2), (1, 1)),
        AveragePool("mean", "max", (3, 3), (3, 3)),
        requantize("even", "mean", 2, 0, 255, 2),
        Flatten("flat", "even"),
        Linear("fc", "flat", weights(3, 2)),
        Logits("logits", "fc", np.array([1, 2, 3], np.int32), np.array([0.5, 0.25, 2], np.float32)),
    )
    return IntGraph(nodes, ("a", "b", "c"), Preprocessing(1, 4, 4))


def uneven_graph(
    bits: int, *, pixels: tuple[int, int] = (7, 5), windows: tuple[int, int] = (4, 3), seed: int = 0
) -> IntGraph:
    """A convolution, a mean over overlapping windows of two sizes on each axis, and a linear layer.

    Args:
        bits: of weights and codes.
        pixels: the height and width of the images, of two channels.
        windows: rows and columns of the means.
        seed: of the weights.
    """
    build = _Builder(lambda options: options[0], np.random.default_rng([seed, 4]), [bits], GRIDS[bits == 8 :])
    x = build.requantize(build.conv(build.image(channels=2, height=pixels[0], width=pixels[1], zero=9), 3, (1, 1)))
    rows, columns = (uneven(*axis) for axis in zip(pixels, windows, strict=True))
    x = build.requantize(build.add(SumPool("mean", x, rows, columns)))
    return build.finish(build.flat(x), classes=3)


def uneven(pixels: int, count: int) -> tuple[Window, ...]:
    """The windows of an adaptive pool, window i from `floor(i n / o)` to `ceil((i + 1) n / o)`."""
    spans = [(math.floor(i * pixels / count), math.ceil((i + 1) * pixels / count)) for i in range(count)]
    common = math.lcm(*(stop - first for first, stop in spans))
    return tuple((first, stop, common // (stop - first)) for first, stop in spans)


class _Builder:
    """Adds nodes and follows a few images through them, so that requantizers can fit what arrives."""

    def __init__(
        self, choose: Choose, generator: np.random.Generator, bits: Sequence[int], grids: Sequence[Grid]
    ) -> None:
        self.choose, self.generator, self.bits, self.grids = choose, generator, bits, grids
        self.nodes: list[Node] = []
        self.infos: dict[str, TensorInfo] = {}
        self.values: dict[str, np.ndarray[Any, Any]] = {}

    def name(self, kind: str) -> str:
        return f"{kind}{len(self.nodes)}"

    def shape(self, name: str) -> tuple[int, ...]:
        return self.infos[name].shape

    def add(self, node: Node) -> str:
        names = inputs(node)
        self.nodes.append(node)
        self.infos[node.name] = infer(node, [self.infos[name] for name in names])
        if not isinstance(node, Input):
            zero = self.infos[names[0]].zero
            self.values[node.name] = compute(node, [self.values[name] for name in names], zero)
        return node.name

    def image(self, *, channels: int, height: int, width: int, zero: int) -> str:
        self.values["image"] = self.generator.integers(0, 256, (4, channels, height, width))
        return self.add(Input("image", channels, height, width, zero))

    def weights(self, *shape: int) -> Weights:
        bits = self.choose(self.bits)
        grid = "signed" if bits == 8 else self.choose(self.grids)
        return Weights(self.generator.integers(0, 2**bits, shape).astype(np.uint8), bits, grid)

    def conv(
        self,
        read: str,
        out: int,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int] = (0, 0),
        groups: int = 1,
    ) -> str:
        weights = self.weights(out, self.shape(read)[0] // groups, *kernel)
        return self.add(Conv(self.name("conv"), read, weights, stride, padding, groups))

    def linear(self, read: str, out: int) -> str:
        return self.add(Linear(self.name("fc"), read, self.weights(out, self.shape(read)[0])))

    def flat(self, read: str) -> str:
        return read if len(self.shape(read)) == 1 else self.add(Flatten(self.name("flat"), read))

    def halve(self, read: str, low: int, *, exponent: int) -> str:
        """m is 1; the bias is a multiple of `2^(e - 1)` and brings the median to the middle of the 8-bit window."""
        rows = self.values[read].swapaxes(0, 1).reshape(self.shape(read)[0], -1)
        step = 2 ** (exponent - 1)
        bias = step * np.round(((low + 128) * 2**exponent - np.median(rows, axis=1)) / step)
        ones = np.ones(len(bias), np.int32)
        name = self.name("q")
        return self.add(Requantize(name, read, bias.astype(np.int32), ones, exponent * ones, low, low + 255))

    def requantize(self, read: str, *, signed: bool = False) -> str:
        """What arrives spreads over the window, and past its ends."""
        low, high = (-128, 127) if signed else (0, 2 ** self.choose(self.bits) - 1)
        alone = self.choose([True, True, False])
        values = self.values[read]
        rows = values.swapaxes(0, 1).reshape(values.shape[1] if alone else 1, -1)
        start, end = np.quantile(rows, [self.choose([0.1, 0.4]), 0.95], axis=1)
        ratio = (high - low) / np.maximum(end - start, 1)
        pairs = [_dyadic(value, max(-low, high), self.choose([False, False, True])) for value in ratio]
        bias = np.round(low / ratio - start) + self.generator.integers(-1, 2, len(ratio))
        multiplier, exponent = np.array(pairs, np.int32).T
        return self.add(
            Requantize(self.name("q"), read, bias.astype(np.int32), multiplier.copy(), exponent.copy(), low, high)
        )

    def finish(self, read: str, *, classes: int) -> IntGraph:
        last = self.linear(read, classes)
        spread = max(int(self.infos[last].bound), 1)
        bias = self.generator.integers(-spread // 2, spread // 2 + 1, classes).astype(np.int32)
        scale = np.exp(self.generator.uniform(-9, 0, classes)).astype(np.float32)
        self.add(Logits(self.name("logits"), last, bias, scale))
        return self.graph()

    def graph(self) -> IntGraph:
        image, logits = self.nodes[0], self.nodes[-1]
        assert isinstance(image, Input)
        assert isinstance(logits, Logits)
        return IntGraph(
            nodes=tuple(self.nodes),
            classes=tuple(f"class {number}" for number in range(len(logits.bias))),
            preprocessing=Preprocessing(image.channels, image.height, image.width, self.choose(["crop", "pad"])),
            about=About(plan="random", network="random", notes=("made up",)),
        )


def _dyadic(ratio: float, bound: int, power_of_two: bool) -> tuple[int, int]:
    """An odd m of at most 255 and an e with `m 2^-e` near the ratio, within the 24-bit rule."""
    limit = int(math.log2(2**24 / (bound + 1)))
    if power_of_two:
        return 1, int(np.clip(round(-math.log2(ratio)), 0, limit))
    exponent = int(np.clip(math.floor(math.log2(255 / ratio)), 0, limit))
    return int(np.clip(round(ratio * 2**exponent) | 1, 1, 255)), exponent


def _build(
    choose: Choose, generator: np.random.Generator, bits: Sequence[int], grids: Sequence[Grid], blocks: Sequence[int]
) -> IntGraph:
    build = _Builder(choose, generator, bits, grids)
    height, width = choose([5, 7, 8, 11]), choose([5, 6, 9])
    zero = choose([0, 0, 1, 127, 255])
    x = build.image(channels=choose([1, 2, 3]), height=height, width=width, zero=zero)
    count = choose(blocks)
    for number in range(count):
        makers = [_conv_block, _conv_block, _grouped_block, _max_pool]
        if zero == 0 or (number and build.infos[x].zero == 0):
            makers += [_residual_block, _residual_block, _average_pool, _sum_pool, _subsample]
        x = choose(makers)(build, x)
    if count and build.infos[x].zero == 0 and choose([True, False]):
        whole = build.shape(x)[1:]
        x = build.requantize(build.add(AveragePool(build.name("mean"), x, whole, whole)))
    x = build.flat(x)
    for _ in range(choose([0, 0, 1, 2])):
        x = build.requantize(build.linear(x, choose([3, 8, 13])))
    return build.finish(x, classes=choose([2, 3, 10]))


def _kernel(build: _Builder, read: str, options: Sequence[tuple[int, int]]) -> tuple[int, int]:
    _, height, width = build.shape(read)
    fitting = [(h, w) for h, w in options if h <= height and w <= width]
    return build.choose(fitting or [(1, 1)])


def _conv_block(build: _Builder, x: str, groups: int = 1) -> str:
    kernel = _kernel(build, x, [(1, 1), (3, 3), (2, 2), (1, 3), (5, 4)])
    padding = tuple(build.choose(sorted({0, size // 2, size - 1})) for size in kernel)
    stride = build.choose([(1, 1), (2, 2), (1, 2), (3, 1)])
    out = groups * build.choose([1, 2, 3]) if groups > 1 else build.choose([1, 4, 6])
    return build.requantize(build.conv(x, out, kernel, stride, (padding[0], padding[1]), groups))


def _grouped_block(build: _Builder, x: str) -> str:
    channels = build.shape(x)[0]
    groups = build.choose([size for size in range(1, channels + 1) if channels % size == 0][::-1])
    return _conv_block(build, x, groups)


def _max_pool(build: _Builder, x: str) -> str:
    kernel = _kernel(build, x, [(2, 2), (3, 3), (3, 2)])
    stride = build.choose([kernel, (1, 1), (2, 1)])
    halves = [0] if build.infos[x].zero else [0, 1]
    padding = (build.choose(halves) * (kernel[0] // 2), build.choose(halves) * (kernel[1] // 2))
    return build.add(MaxPool(build.name("max"), x, kernel, stride, padding))


def _average_pool(build: _Builder, x: str) -> str:
    kernel = _kernel(build, x, [(2, 2), (3, 3), (1, 2)])
    stride = build.choose([kernel, (1, 1), (2, 1)])
    return build.requantize(build.add(AveragePool(build.name("mean"), x, kernel, stride)))


def _sum_pool(build: _Builder, x: str) -> str:
    """Windows anywhere, of any size and weight, in any number: some pixels are in many, some in none."""

    def windows(pixels: int) -> tuple[Window, ...]:
        count = build.choose([2, 1, 4, 9])
        if build.choose([True, False]):
            return uneven(pixels, count)
        spans = build.generator.integers(0, pixels, (count, 2))
        return tuple((int(min(span)), int(max(span)) + 1, build.choose([1, 2, 3, 19])) for span in spans)

    _, height, width = build.shape(x)
    return build.requantize(build.add(SumPool(build.name("sums"), x, windows(height), windows(width))))


def _subsample(build: _Builder, x: str) -> str:
    stride = build.choose([(2, 2), (1, 1), (2, 1)])
    return build.add(Subsample(build.name("sub"), x, stride, build.choose([0, 2])))


def _residual_block(build: _Builder, x: str) -> str:
    channels = build.shape(x)[0]
    stride = build.choose([(1, 1), (2, 2)])
    more = build.choose([0, 3]) if stride == (2, 2) else 0
    inner = build.requantize(build.conv(x, 4, (1, 1)))
    left = build.requantize(build.conv(inner, channels + more, (3, 3), stride, (1, 1)), signed=True)
    kind = build.choose(["projection", "requantized"] + (["identity"] if stride == (1, 1) else ["subsample"]) * 2)
    if kind == "projection":
        right = build.requantize(build.conv(x, channels + more, (1, 1), stride), signed=True)
    elif kind == "identity":
        right = x
    else:
        right = build.add(Subsample(build.name("sub"), x, stride, more))
        if kind == "requantized":
            right = build.requantize(right, signed=build.choose([True, False]))
    shifts = build.choose([(0, 0), (3, 0), (0, 1)])
    pair = build.choose([(left, right), (right, left)])
    return build.requantize(build.add(Add(build.name("sum"), *pair, *shifts)))


def first_version(model: Any) -> Any:
    """An ONNX file with a saliency map as Glassbit wrote it before: its `target` has a default."""
    import onnx

    old = onnx.ModelProto()
    old.CopyFrom(model)
    old.graph.initializer.append(onnx.helper.make_tensor("target", onnx.TensorProto.INT64, [1], [-1]))
    for entry in list(old.metadata_props):
        if entry.key == "format_version":
            entry.value = "1"
        elif entry.key == "onnxruntime":
            old.metadata_props.remove(entry)
    return old
