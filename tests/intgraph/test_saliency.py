from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from graphs import extreme_graph, head_graph, images_for, joined_graph, product_graph, random_graph, tie_graph

from glassbit import intgraph as ig
from glassbit._errors import UsageError


class Straight(torch.autograd.Function):
    """Requantize, straight through where the code lies strictly inside the window."""

    @staticmethod
    def forward(ctx, acc, bias, slope, low, high):
        codes = ((acc + bias) * slope).round().clamp(low, high)
        ctx.save_for_backward((codes > low) & (codes < high), slope)
        return codes

    @staticmethod
    def backward(ctx, grad):
        inside, slope = ctx.saved_tensors
        return grad * inside * slope, None, None, None, None


class Table(torch.autograd.Function):
    """A lookup whose gradient is its slope."""

    @staticmethod
    def forward(ctx, x, table, slopes, low):
        ctx.save_for_backward(slopes[x.long() - low])
        return table[x.long() - low]

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], None, None, None


def padded(x, padding, value):
    top, left, bottom, right = padding if len(padding) == 4 else padding * 2
    return F.pad(x, (left, right, top, bottom), value=value)


def autograd_map(graph, images, target):
    """The definition, by torch's autograd in float64, which holds all these integers exactly."""
    x = torch.tensor(images, dtype=torch.float64, requires_grad=True)
    values = {}
    infos = graph.tensors()
    for node in graph.nodes:
        reads = [values[name] for name in ig.inputs(node)]
        match node:
            case ig.Input():
                values[node.name] = x - node.zero
            case ig.Conv():
                w = torch.tensor(node.weights.values, dtype=torch.float64)
                values[node.name] = F.conv2d(
                    padded(reads[0], node.padding, 0), w, None, node.stride, 0, node.dilation, node.groups
                )
            case ig.Linear():
                values[node.name] = reads[0] @ torch.tensor(node.weights.values, dtype=torch.float64).T
            case ig.Requantize():
                columns = (-1, *[1] * (reads[0].ndim - 2))
                arrays = (node.bias, node.multiplier, node.exponent)
                bias, m, e = (torch.tensor(array).double().reshape(columns) for array in arrays)
                values[node.name] = Straight.apply(reads[0], bias, m / 2**e, node.low, node.high)
            case ig.Sum():
                values[node.name] = sum(read * 2**shift for read, shift in zip(reads, node.shifts, strict=True))
            case ig.Multiply():
                left, right = reads
                values[node.name] = left * (right if right.ndim == left.ndim else right[:, :, None, None])
            case ig.Concat():
                values[node.name] = torch.cat(reads, 1)
            case ig.Select():
                values[node.name] = reads[0][:, list(node.channels)]
            case ig.Lookup():
                table, slopes = torch.tensor(node.table).double(), torch.tensor(node.slopes).double()
                values[node.name] = Table.apply(reads[0], table, slopes, infos[node.input].low)
            case ig.MaxPool():
                values[node.name] = F.max_pool2d(padded(reads[0], node.padding, -torch.inf), node.kernel, node.stride)
            case ig.AveragePool():
                values[node.name] = F.avg_pool2d(reads[0], node.kernel, node.stride, divisor_override=1)
            case ig.SumPool():
                read = reads[0]
                rows = [
                    torch.stack([s * r * read[:, :, a:b, c:d].sum((2, 3)) for c, d, s in node.columns], 2)
                    for a, b, r in node.rows
                ]
                values[node.name] = torch.stack(rows, 2)
            case ig.Subsample():
                kept = reads[0][:, :, :: node.stride[0], :: node.stride[1]]
                values[node.name] = F.pad(kept, (0, 0, 0, 0, 0, node.channels))
            case ig.Flatten():
                values[node.name] = reads[0].flatten(1)
            case ig.Logits():
                sums = reads[0].sum((2, 3)) if reads[0].ndim > 2 else reads[0]
                values[node.name] = (sums + torch.tensor(node.bias)) * torch.tensor(node.scale).double()
    logits = values[graph.nodes[-1].name]
    logits[torch.arange(len(images)), target].sum().backward()
    return 255 * x.grad.abs().sum(1).numpy(), logits.detach().numpy()


def assert_equals_autograd(graph, images, target):
    ours = graph.saliency(images, np.asarray(target))
    theirs, logits = autograd_map(graph, images, torch.tensor(target))
    np.testing.assert_allclose(graph.run(images), logits, rtol=1e-6)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12 * theirs.max())


def test_equals_autograd():
    largest = []
    for seed in range(25):
        graph = random_graph(seed)
        images = images_for(graph, 9, seed)
        assert_equals_autograd(graph, images, [number % len(graph.classes) for number in range(9)])
        largest.append(graph.saliency(images).max((1, 2)) > 0)
    assert np.mean(largest) > 0.5, "most maps are not empty"


@pytest.mark.parametrize("seed", range(3))
def test_equals_autograd_at_ties(seed):
    graph = tie_graph(seed)
    assert_equals_autograd(graph, images_for(graph, 7), [0, 1, 2, 3, 0, 1, 2])


@pytest.mark.parametrize("seed", range(4))
def test_equals_autograd_where_codes_are_joined(seed):
    for graph in (
        joined_graph(seed),
        product_graph(seed, low=-seed),
        head_graph(seed, (1 + seed, 1 + 2 * seed % 5)),
    ):
        assert_equals_autograd(graph, images_for(graph, 7), [0, 1, 2, 0, 1, 2, 0])


def test_nothing_passes_where_all_codes_are_at_their_ends():
    graph = extreme_graph("signed", 4, lowest=False)
    assert not graph.saliency(images_for(graph, 3)).any()


def test_the_target_is_the_first_of_the_largest_logits(whole):
    images = images_for(whole, 9)
    predicted = whole.run(images).argmax(1)
    assert whole.saliency(images).tolist() == whole.saliency(images, predicted).tolist()
    fc = ig.Linear("fc", "flat", ig.Weights(np.array([[3, 0], [3, 3], [0, 0]], np.uint8), 2, "odd"))
    scale, bias = np.ones(3, np.float32), np.array([6, 0, 0], np.int32)
    nodes = (
        ig.Input("image", 1, 1, 2, zero=0),
        ig.Flatten("flat", "image"),
        fc,
        ig.Logits("logits", "fc", bias, scale),
    )
    graph = ig.IntGraph(nodes, ("a", "b", "c"), ig.Preprocessing(1, 1, 2))
    image = np.array([[[[5, 1]]]], np.uint8)
    assert graph.run(image).tolist() == [[18, 18, -18]]
    assert graph.saliency(image).tolist() == graph.saliency(image, 0).tolist() == [[[765, 765]]]


def test_one_target_for_all(whole):
    images = images_for(whole, 5)
    assert whole.saliency(images, 2).tolist() == whole.saliency(images, np.full(5, 2)).tolist()


def test_overlapping_windows_add_and_the_first_maximum_wins():
    nodes = (
        ig.Input("image", 1, 1, 3, zero=0),
        ig.MaxPool("max", "image", (1, 2), (1, 1)),
        ig.Flatten("flat", "max"),
        ig.Linear("fc", "flat", ig.Weights(np.array([[3, 2], [0, 1]], np.uint8), 2, "odd")),
        ig.Logits("logits", "fc", np.zeros(2, np.int32), np.full(2, 0.5, np.float32)),
    )
    graph = ig.IntGraph(nodes, ("a", "b"), ig.Preprocessing(1, 1, 3))
    images = np.array([[7, 7, 7], [1, 9, 9], [1, 9, 2]], np.uint8).reshape(3, 1, 1, 3)
    step = 255 * 0.5
    assert graph.saliency(images, 0)[:, 0].tolist() == [[3 * step, step, 0], [0, 4 * step, 0], [0, 4 * step, 0]]
    assert graph.saliency(images, 1)[:, 0].tolist() == [[3 * step, step, 0], [0, 4 * step, 0], [0, 4 * step, 0]]


def test_codes_at_the_ends_of_the_window_pass_nothing():
    arrays = (np.array([v], np.int32) for v in (0, 1, 4))
    nodes = (
        ig.Input("image", 1, 1, 4, zero=0),
        ig.Requantize("codes", "image", *arrays, low=0, high=3),
        ig.Flatten("flat", "codes"),
        ig.Linear("fc", "flat", ig.Weights(np.full((2, 4), 3, np.uint8), 2, "odd")),
        ig.Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
    )
    graph = ig.IntGraph(nodes, ("a", "b"), ig.Preprocessing(1, 1, 4))
    images = np.array([[8, 9, 39, 40], [24, 40, 41, 255]], np.uint8).reshape(2, 1, 1, 4)
    assert graph.trace(images)["codes"].reshape(2, 4).tolist() == [[0, 1, 2, 2], [2, 2, 3, 3]]
    step = 255 * 3 / 16
    assert graph.saliency(images)[:, 0].tolist() == [[0, step, step, step], [step, step, 0, 0]]


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (3, "target must be a class number, 0..2; got 3; pass integers, as a number or a NumPy array of these"),
        (
            np.array([0, -1]),
            "target must be a class number, 0..2; got -1; pass integers, as a number or a NumPy array of these",
        ),
        (
            np.array([0, 1, 2]),
            "target must be a class number, or 2, one per image; got int64 of shape (3,); pass integers",
        ),
        (1.0, "target must be a class number, or 2, one per image; got float64 of shape (); pass integers"),
    ],
)
def test_other_targets_are_refused(whole, target, text, unchecked):
    with pytest.raises(UsageError) as caught:
        whole.saliency(images_for(whole, 2), target)
    assert str(caught.value).startswith(text)
