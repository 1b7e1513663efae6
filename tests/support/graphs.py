"""Random integer networks that are valid, and images for them.

random_graph(seed)        one of everything that a network can be: strides, paddings, groups, sums, pools, ...
graphs()                  the same for hypothesis, which can make it smaller
tie_graph(seed)           every second rounding is a tie, in 8-bit windows
resnet_graph(bits)        ResNet-20, with random weights
uneven_graph(...)         a mean over windows of several sizes
joined_graph(seed)        codes that are joined, picked, multiplied and looked up
product_graph(...)        every second rounding of a product is a tie, in windows that begin anywhere
head_graph(...)           logits that sum maps
extreme_product(...)      products of the largest codes
corner_graph(...)         a convolution whose kernel depends on its weights and codes
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
    AveragePool,
    Concat,
    Conv,
    Flatten,
    Grid,
    Input,
    IntGraph,
    Linear,
    Logits,
    Lookup,
    MaxPool,
    Multiply,
    Node,
    Pads,
    Preprocessing,
    Requantize,
    Select,
    Subsample,
    Sum,
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


def tie_graph(seed: int, *, multipliers: tuple[int, ...] = (1,), low: int = 0) -> IntGraph:
    """About every second accumulator is a tie: weights and biases are multiples of `2^(e - 1)`.

    Args:
        seed: of the weights.
        multipliers: m, of the channels in turn.
        low: of the windows.
    """
    build = _Builder(lambda options: options[0], np.random.default_rng([seed, 2]), [8], ["signed"])
    build.multipliers = multipliers

    def layer(read: str, out: int, size: int, exponent: int, low: int = low) -> str:
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
    total = build.halve(build.add(Sum(build.name("sum"), (left, right), (0, 0))), low, exponent=1)
    pool = build.halve(build.add(AveragePool(build.name("mean"), total, (1, 2), (1, 2))), low, exponent=1)
    pool = build.halve(build.add(SumPool(build.name("uneven"), pool, uneven(7, 5), uneven(3, 2))), low, exponent=1)
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
    total = window(build.add(Sum("sum", (left, right), (16, 0))), 0, 255, 8)
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


def corner_graph(weights: Sequence[int], *, multipliers: Sequence[int] = (1,), high: int = 127, deep: bool) -> IntGraph:
    """A 3 x 3 convolution of signed codes, -128..127, or of codes 0..high.

    Args:
        weights: to choose from, -128..127.
        multipliers: of the channels in turn.
        high: of the codes that it reads; their window begins at -128 if it is 127, else at 0.
        deep: whether it is depthwise.
    """
    generator, one = np.random.default_rng([0, 8]), np.ones(1, np.int32)
    channels = 16  # as many as a vector of ARM's depthwise kernel holds
    codes = 128 + generator.choice(weights, (channels, 1 if deep else channels, 3, 3))
    multiplier = np.resize(multipliers, channels).astype(np.int32)
    low, exponent = (-128, 0) if high == 127 else (0, 8 - high.bit_length())
    nodes = (
        Input("image", channels, 6, 5, 128 if low else 0),
        Requantize("codes", "image", 0 * one, one, exponent * one, low, high),
        Conv("conv", "codes", Weights(codes.astype(np.uint8), 8, "signed"), (1, 1), (1, 1), channels if deep else 1),
        Requantize("q", "conv", np.arange(channels, dtype=np.int32), multiplier, 0 * multiplier + 11, -100, 120),
        Flatten("flat", "q"),
        Linear("fc", "flat", Weights(generator.integers(0, 16, (3, channels * 30)).astype(np.uint8), 4, "odd")),
        Logits("logits", "fc", np.zeros(3, np.int32), np.ones(3, np.float32)),
    )
    return IntGraph(nodes, ("a", "b", "c"), Preprocessing(channels, 6, 5))


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
            x = build.requantize(build.add(Sum(build.name("sum"), (y, shortcut), (0, 3))))
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
        Sum("sum", ("signed", "same"), (0, 2)),
        requantize("after", "sum", 1, 0, 15, 5),
        MaxPool("max", "after", (2, 2), (1, 1)),
        AveragePool("mean", "max", (3, 3), (3, 3)),
        requantize("even", "mean", 2, 0, 255, 2),
        Flatten("flat", "even"),
        Linear("fc", "flat", weights(3, 2)),
        Logits("logits", "fc", np.array([1, 2, 3], np.int32), np.array([0.5, 0.25, 2], np.float32)),
    )
    return IntGraph(nodes, ("a", "b", "c"), Preprocessing(1, 4, 4))


def joined_graph(seed: int) -> IntGraph:
    """One of each block that joins, picks, multiplies or looks up codes, behind a convolution."""
    generator = np.random.default_rng([seed, 5])
    choose: Choose = lambda options: options[generator.integers(len(options))]  # noqa: E731
    build = _Builder(choose, generator, BITS, GRIDS)
    x = _conv_block(build, build.image(channels=2, height=8, width=6, zero=0))
    makers = [_joined_block, _gated_block, _product_block, _pick, _curve]
    for place in generator.permutation(len(makers)):
        x = makers[place](build, x)
    return build.finish(build.flat(x), classes=3)


def product_graph(seed: int, *, low: int) -> IntGraph:
    """Products of two factors and of a gate, halved: m is 1 and e is 1, so odd ones are ties.

    Args:
        seed: of tables and weights.
        low: where the windows of the factors begin, -4..0.
    """
    build = _Builder(lambda options: options[0], np.random.default_rng([seed, 6]), [8], ["signed"])

    def table(read: str, low: int, high: int) -> str:
        info = build.infos[read]
        codes = build.generator.integers(low, high + 1, info.high - info.low + 1).astype(np.int32)
        slopes = build.generator.normal(0, 1, len(codes)).astype(np.float32)
        return build.add(Lookup(build.name("table"), read, codes, slopes, low, high))

    image = build.image(channels=3, height=5, width=4, zero=0)
    left = table(image, low, low + 255)
    product = build.halve(build.add(Multiply(build.name("product"), left, table(image, low, low + 4))), 0, exponent=1)
    mean = build.add(AveragePool(build.name("mean"), table(image, 0, 15), (5, 4), (5, 4)))
    means = build.halve(mean, 0, exponent=1)
    for read in (means, build.add(Flatten(build.name("flat"), means))):
        gate = table(read, low, low + 3)
        product = build.halve(build.add(Multiply(build.name("gated"), product, gate)), 0, exponent=1)
    return build.finish(build.flat(product), classes=4)


def extreme_product(*, multiplier: int, exponent: int, bias: int) -> IntGraph:
    """255 times 255, -128 times -128 and 255 times -128, requantized with one multiplier, exponent and bias."""
    build = _Builder(lambda options: options[0], np.random.default_rng([0, 7]), [8], ["signed"])

    def window(read: str, low: int, numbers: tuple[int, int, int]) -> str:
        arrays = (np.array([number], np.int32) for number in numbers)
        return build.add(Requantize(build.name("q"), read, *arrays, low, low + 255))

    image = build.image(channels=3, height=5, width=4, zero=0)
    factors = [window(image, 0, (0, 1, 0)), window(image, -128, (-128, 1, 0))]
    codes = []
    for number, (left, right) in enumerate([(0, 0), (1, 1), (0, 1), (1, 0)]):
        product = build.add(Multiply(build.name("product"), factors[left], factors[right]))
        codes.append(window(product, 0, ((-1) ** number * bias, multiplier, exponent)))
    return build.finish(build.flat(build.add(Concat("all", tuple(codes)))), classes=3)


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
        self.multipliers: tuple[int, ...] = (1,)
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
            low = self.infos[names[0]].low
            self.values[node.name] = compute(node, [self.values[name] for name in names], low)
        return node.name

    def image(self, *, channels: int, height: int, width: int, zero: int) -> str:
        self.values["image"] = self.generator.integers(0, 256, (4, channels, height, width)) - zero
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
        padding: Pads = (0, 0),
        groups: int = 1,
        dilation: tuple[int, int] = (1, 1),
    ) -> str:
        weights = self.weights(out, self.shape(read)[0] // groups, *kernel)
        return self.add(Conv(self.name("conv"), read, weights, stride, padding, groups, dilation))

    def linear(self, read: str, out: int) -> str:
        return self.add(Linear(self.name("fc"), read, self.weights(out, self.shape(read)[0])))

    def flat(self, read: str) -> str:
        return read if len(self.shape(read)) == 1 else self.add(Flatten(self.name("flat"), read))

    def halve(self, read: str, low: int, *, exponent: int) -> str:
        """The bias is a multiple of `2^(e - 1)` and brings the median to the middle of the 8-bit window."""
        rows = self.values[read].swapaxes(0, 1).reshape(self.shape(read)[0], -1)
        step = 2 ** (exponent - 1)
        multiplier = np.resize(self.multipliers, len(rows)).astype(np.int32)
        bias = step * np.round(((low + 128) * 2**exponent / multiplier - np.median(rows, axis=1)) / step)
        exponents = np.full(len(rows), exponent, np.int32)
        return self.add(Requantize(self.name("q"), read, bias.astype(np.int32), multiplier, exponents, low, low + 255))

    def requantize(self, read: str, *, signed: bool = False) -> str:
        """What arrives spreads over the window, and past its ends."""
        return self.fit(read, *((-128, 127) if signed else (0, 2 ** self.choose(self.bits) - 1)))

    def any_window(self, read: str) -> str:
        """Codes of some bits in one of all kinds of windows, and multipliers of both signs."""
        bits = self.choose(self.bits)
        most = 2**bits - 1
        low = self.choose([0, 0, 0, 2 ** (bits - 1), 7, most])
        return self.fit(read, -min(low, most), most - min(low, most), negative=self.choose([False, True, True]))

    def fit(self, read: str, low: int, high: int, *, negative: bool = False) -> str:
        """What arrives spreads over the window, and past its ends; some channels are turned around if any may be."""
        alone = self.choose([True, True, False])
        values = self.values[read]
        rows = values.swapaxes(0, 1).reshape(values.shape[1] if alone else 1, -1)
        signs = self.generator.choice([1, -1], len(rows)) if negative else np.ones(len(rows), int)
        start, end = np.quantile(signs[:, None] * rows, [self.choose([0.1, 0.4]), 0.95], axis=1)
        ratio = (high - low) / np.maximum(end - start, 1)
        pairs = [_dyadic(value, max(-low, high), self.choose([False, False, True])) for value in ratio]
        bias = signs * np.round(low / ratio - start) + self.generator.integers(-1, 2, len(ratio))
        multiplier, exponent = np.array(pairs, np.int32).T
        multiplier = (signs * multiplier).astype(np.int32)
        return self.add(Requantize(self.name("q"), read, bias.astype(np.int32), multiplier, exponent.copy(), low, high))

    def finish(self, read: str, *, classes: int) -> IntGraph:
        return self.read_out(self.linear(read, classes))

    def read_out(self, last: str) -> IntGraph:
        classes, spread = self.shape(last)[0], max(int(np.abs(self.values[last]).max()), 1)
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
    for _ in range(count):
        makers = [_conv_block, _conv_block, _grouped_block, _max_pool, _rescale]
        makers += [_residual_block, _residual_block, _average_pool, _sum_pool, _subsample]
        makers += [_joined_block, _gated_block, _product_block, _pick, _curve]
        x = choose(makers)(build, x)
    if count and choose([True, False]):
        whole = build.shape(x)[1:]
        x = build.any_window(build.add(AveragePool(build.name("mean"), x, whole, whole)))
    if choose([False, False, False, True]):
        return build.read_out(_head(build, x))
    x = build.flat(x)
    for _ in range(choose([0, 0, 1, 2])):
        x = build.any_window(build.linear(x, choose([3, 8, 13])))
    return build.finish(x, classes=choose([2, 3, 10]))


def _kernel(build: _Builder, read: str, options: Sequence[tuple[int, int]]) -> tuple[int, int]:
    _, height, width = build.shape(read)
    fitting = [(h, w) for h, w in options if h <= height and w <= width]
    return build.choose(fitting or [(1, 1)])


def _conv_block(build: _Builder, x: str, groups: int = 1) -> str:
    kernel = _kernel(build, x, [(1, 1), (3, 3), (2, 2), (1, 3), (5, 4)])
    dilation = (1, 1)
    if build.choose([False, False, True]):
        fits = [
            (0 if size == 1 else (pixels - 1) // (size - 1))
            for size, pixels in zip(kernel, build.shape(x)[1:], strict=True)
        ]
        dilation = tuple(build.choose([1, most, min(2, most)]) if most else 1 for most in fits)
    reach = [(size - 1) * step + 1 for size, step in zip(kernel, dilation, strict=True)]
    padding = tuple(build.choose(sorted({0, size // 2, size - 1})) for size in reach)
    if build.choose([False, False, True]):
        padding += tuple(build.choose(sorted({0, size // 2, size - 1})) for size in reach)
    stride = build.choose([(1, 1), (2, 2), (1, 2), (3, 1)])
    out = groups * build.choose([1, 2, 3]) if groups > 1 else build.choose([1, 4, 6, 9])
    return build.any_window(build.conv(x, out, kernel, stride, padding, groups, dilation))


def _rescale(build: _Builder, x: str) -> str:
    """Codes to codes, as a BatchNorm of its own does."""
    return build.any_window(x)


def _grouped_block(build: _Builder, x: str) -> str:
    channels = build.shape(x)[0]
    groups = build.choose([size for size in range(1, channels + 1) if channels % size == 0][::-1])
    return _conv_block(build, x, groups)


def _max_pool(build: _Builder, x: str) -> str:
    kernel = _kernel(build, x, [(2, 2), (3, 3), (3, 2)])
    stride = build.choose([kernel, (1, 1), (2, 1)])
    padding = (build.choose([0, 1]) * (kernel[0] // 2), build.choose([0, 1]) * (kernel[1] // 2))
    if build.choose([False, False, True]):
        padding += (build.choose([0, 1]) * (kernel[0] - 1), build.choose([0, 1]) * (kernel[1] - 1))
    return build.add(MaxPool(build.name("max"), x, kernel, stride, padding))


def _average_pool(build: _Builder, x: str) -> str:
    kernel = _kernel(build, x, [(2, 2), (3, 3), (1, 2)])
    stride = build.choose([kernel, (1, 1), (2, 1)])
    return build.any_window(build.add(AveragePool(build.name("mean"), x, kernel, stride)))


def _sum_pool(build: _Builder, x: str) -> str:
    """Windows anywhere, of any size and weight, in any number: some pixels are in many, some in none."""

    def windows(pixels: int) -> tuple[Window, ...]:
        count = build.choose([2, 1, 4, 9])
        if build.choose([True, False]):
            return uneven(pixels, count)
        spans = build.generator.integers(0, pixels, (count, 2))
        return tuple((int(min(span)), int(max(span)) + 1, build.choose([1, 2, 3, 19])) for span in spans)

    _, height, width = build.shape(x)
    return build.any_window(build.add(SumPool(build.name("sums"), x, windows(height), windows(width))))


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
    more = build.choose([(), (), (left,), (right, left)])
    return build.any_window(build.add(Sum(build.name("sum"), (*pair, *more), (*shifts, *(2, 0)[: len(more)]))))


def _head(build: _Builder, x: str) -> str:
    """Accumulators whose maps are summed by the logits."""
    kinds = ["points", "windows"]
    if build.shape(x)[0] > 1:
        kinds += ["pool", "sum", "product"]
    kind = build.choose(kinds)
    if kind == "points":
        return build.conv(x, build.choose([2, 5]), (1, 1))
    if kind == "windows":
        return build.conv(x, 3, _kernel(build, x, [(3, 3), (2, 1)]), build.choose([(1, 1), (2, 1)]))
    if kind == "pool":
        return build.add(AveragePool(build.name("mean"), x, _kernel(build, x, [(2, 2)]), (1, 1)))
    if kind == "sum":
        return build.add(Sum(build.name("sum"), (x, x), (0, 2)))
    return build.add(Multiply(build.name("product"), x, x))


def head_graph(seed: int, kernel: tuple[int, int]) -> IntGraph:
    """Two convolutions; the maps of the second are summed by the logits."""
    build = _Builder(lambda options: options[0], np.random.default_rng([seed, 8]), [4], ["odd"])
    x = build.any_window(build.conv(build.image(channels=3, height=9, width=8, zero=7), 8, (3, 3)))
    return build.read_out(build.conv(x, 4, kernel, padding=(kernel[0] // 2, kernel[1] // 2)))


def _curve(build: _Builder, x: str, window: tuple[int, int] | None = None) -> str:
    """A table of any codes and slopes, or a smooth one."""
    read = build.infos[x]
    low, high = window or build.choose([(0, 15), (0, 255), (-128, 127), (-5, 90), (0, 1)])
    places = np.arange(read.low, read.high + 1)
    if build.choose([True, False]):
        curve = 1 / (1 + np.exp(-8 * (places - places.mean()) / len(places)))
        table = np.round(low + (high - low) * curve).astype(np.int32)
        slopes = np.gradient(low + (high - low) * curve) if len(places) > 1 else np.zeros(1)
    else:
        table = build.generator.integers(low, high + 1, len(places)).astype(np.int32)
        slopes = build.generator.normal(0, 1, len(places))
    return build.add(Lookup(build.name("curve"), x, table, slopes.astype(np.float32), low, high))


def _pick(build: _Builder, x: str) -> str:
    """Some channels: neighbours, all in another order, or a few."""
    channels = build.shape(x)[0]
    kind = build.choose(["few", "shuffled", "neighbours"])
    order = [int(channel) for channel in build.generator.permutation(channels)]
    count = build.choose(range(1, channels + 1))
    picked = {"few": order[:count], "shuffled": order, "neighbours": list(range(channels - count, channels))}[kind]
    return build.add(Select(build.name("pick"), x, tuple(picked)))


def _joined_block(build: _Builder, x: str) -> str:
    """DenseNet's: a convolution's codes behind what it read, perhaps some of it twice."""
    low, high = build.infos[x].low, build.infos[x].high
    conv = build.conv(x, build.choose([1, 3]), (1, 1))
    new = build.fit(conv, low, build.choose([max(high, low + 2), low + 255]), negative=build.choose([False, True]))
    more = build.choose([(), (x,), (new,)])
    joined = build.add(Concat(build.name("joined"), (x, new, *more)))
    return build.choose([build.any_window, lambda name: name])(joined)


def _gated_block(build: _Builder, x: str) -> str:
    """Squeeze and excitation: the mean of each channel, two layers, a product with every pixel."""
    whole = build.shape(x)[1:]
    mean = build.requantize(build.add(AveragePool(build.name("squeeze"), x, whole, whole)))
    if build.choose([True, False]):
        mean = build.flat(mean)
        gate = build.requantize(build.linear(mean, build.shape(x)[0]))
    else:
        gate = build.any_window(build.conv(mean, build.shape(x)[0], (1, 1)))
    if build.choose([True, False]):
        gate = _curve(build, gate, build.choose([(0, 63), (-3, 200)]))
    return build.any_window(build.add(Multiply(build.name("gated"), x, gate)))


def _product_block(build: _Builder, x: str) -> str:
    """Codes times codes of one shape: hard-swish, a square."""
    kind = build.choose(["window", "square", "layer"])
    if kind == "square":
        other = x
    elif kind == "window":
        other = build.any_window(x)
    else:
        other = build.any_window(build.conv(x, build.shape(x)[0], (1, 1)))
    left, right = build.choose([(x, other), (other, x)])
    return build.any_window(build.add(Multiply(build.name("product"), left, right)))


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
