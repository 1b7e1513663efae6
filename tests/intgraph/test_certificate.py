from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from graphs import images_for, random_graph, resnet_graph

from glassbit import intgraph as ig


def test_a_certificate_by_hand(whole):
    layer = ig.LayerCertificate
    assert whole.certificate == ig.Certificate(
        layers=(
            layer(
                name="conv", kind="Conv", weight_bits=4, grid="odd", onnx_bits=4, input_bits=8, macs=16 * 18,
                stored_bits=18 * 4 + 2 * 48, accumulator_bound=255 * 64, rounding_margin=2**24 / 2**10 / 16,
                saturation_bound=2 * 255 * 15, saturation_safe=True,
            ),
            layer(
                name="branch", kind="Conv", weight_bits=3, grid="signed", onnx_bits=4, input_bits=4, macs=16 * 4,
                stored_bits=4 * 3 + 2 * 48, accumulator_bound=15 * 7, rounding_margin=2**24 / 2**2 / 129,
                saturation_bound=2 * 15 * 4, saturation_safe=True,
            ),
            layer(
                name="fc", kind="Linear", weight_bits=4, grid="odd", onnx_bits=4, input_bits=8, macs=6,
                stored_bits=6 * 4 + 3 * 64, accumulator_bound=255 * 28, rounding_margin=None,
                saturation_bound=2 * 255 * 15, saturation_safe=True,
            ),
        ),
        stored_bits=28 * 4 - 4 * 4 + 4 * 3 + (2 + 2 + 1 + 2) * 48 + 3 * 64,
        flash_bytes=9 + 2 + 3 + 7 * 6 + 3 * 8,
        ram_bytes=32 + 32 + 32,
        macs=16 * 18 + 16 * 4 + 6,
    )  # fmt: skip


@pytest.mark.parametrize(("bits", "onnx"), [(2, 2), (3, 4), (4, 4), (5, 8), (6, 8), (7, 8), (8, 8)])
def test_bits_in_onnx(bits, onnx):
    certificate = resnet_graph(bits, size=8, blocks=1, widths=(4, 8)).certificate
    assert {layer.onnx_bits for layer in certificate.layers[1:-1]} == {onnx}


@pytest.mark.parametrize(("weight", "safe"), [(64, True), (65, False)])
def test_saturation(weight, safe):
    """2 * 255 * 64 is 32640, 2 * 255 * 65 is 33150; int16 ends at 32767."""
    codes = np.array([[128 + weight, 128], [128, 128]], np.uint8)
    nodes = (
        ig.Input("image", 1, 1, 2, zero=0),
        ig.Flatten("flat", "image"),
        ig.Linear("fc", "flat", ig.Weights(codes, 8, "signed")),
        ig.Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
    )
    (layer,) = ig.IntGraph(nodes, ("a", "b"), ig.Preprocessing(1, 1, 2)).certificate.layers
    assert (layer.saturation_bound, layer.saturation_safe) == (510 * weight, safe)


@pytest.mark.parametrize(("low", "weight", "safe"), [(-128, 64, True), (-128, 127, False), (-8, 127, True)])
def test_saturation_is_bounded_by_what_is_stored(low, weight, safe):
    """Of -128..127 up to 255 is stored and multiplied: 2 * 255 * 127 is 64770, though 2 * 128 * 127 is 32512."""
    codes = np.array([[128 + weight, 128], [128, 128]], np.uint8)
    one = np.ones(1, np.int32)
    nodes = (
        ig.Input("image", 1, 1, 2, zero=0),
        ig.Requantize("signed", "image", one, one, one, low, -low - 1),
        ig.Flatten("flat", "signed"),
        ig.Linear("fc", "flat", ig.Weights(codes, 8, "signed")),
        ig.Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
    )
    (layer,) = ig.IntGraph(nodes, ("a", "b"), ig.Preprocessing(1, 1, 2)).certificate.layers
    assert (layer.saturation_bound, layer.saturation_safe) == (2 * (-2 * low - 1) * weight, safe)


def test_the_margin_is_1_at_the_24_bit_rule(whole):
    (relu,) = [node for node in whole.nodes if node.name == "relu"]
    edge = replace(relu, exponent=np.array([3, 20], np.int32))
    graph = replace(whole, nodes=tuple(edge if node is relu else node for node in whole.nodes))
    assert graph.certificate.layers[0].rounding_margin == 1


def test_bounds_are_reached_by_the_worst_image():
    random = np.random.default_rng(0)
    weights = ig.Weights(random.integers(0, 32, (4, 12)).astype(np.uint8), 5, "signed")
    nodes = (
        ig.Input("image", 3, 2, 2, zero=90),
        ig.Flatten("flat", "image"),
        ig.Linear("fc", "flat", weights),
        ig.Logits("logits", "fc", np.zeros(4, np.int32), np.ones(4, np.float32)),
    )
    graph = ig.IntGraph(nodes, ("a", "b", "c", "d"), ig.Preprocessing(3, 2, 2))
    worst = np.concatenate([np.where(weights.values > 0, 255, 0), np.where(weights.values > 0, 0, 255)])
    reached = graph.trace(worst.astype(np.uint8).reshape(8, 3, 2, 2))["fc"]
    assert abs(reached).max() == graph.certificate.layers[0].accumulator_bound
    assert (reached.min(), reached.max()) == (graph.tensors()["fc"].low, graph.tensors()["fc"].high)


def test_no_accumulator_exceeds_its_bound():
    for seed in range(15):
        graph = random_graph(seed)
        traced = graph.trace(images_for(graph, 9))
        for layer in graph.certificate.layers:
            assert abs(traced[layer.name]).max() <= layer.accumulator_bound


def test_inside_the_window_products_are_exact_in_float32():
    for seed in range(15):
        graph = random_graph(seed)
        traced = graph.trace(images_for(graph, 9))
        for node in graph.nodes:
            if isinstance(node, ig.Requantize):
                columns = (-1, *[1] * (traced[node.name].ndim - 2))
                bias, m = node.bias.reshape(columns).astype(np.int64), node.multiplier.reshape(columns)
                products = (traced[node.input] + bias) * m
                inside = (traced[node.name] > node.low) & (traced[node.name] < node.high)
                assert abs(products[inside]).max(initial=0) <= 2**24


def test_resnet20():
    """40.55 million multiply-accumulates; two maps of 16 x 32 x 32 live while the third is made."""
    certificate = resnet_graph(2).certificate
    assert certificate.macs == 40_551_040
    assert certificate.ram_bytes == 3 * 16 * 32 * 32
    assert len(certificate.layers) == 20
    assert certificate.stored_bits <= 8 * certificate.flash_bytes <= 1.001 * certificate.stored_bits


def test_it_is_json(whole):
    value = asdict(whole.certificate)
    assert json.loads(json.dumps(value, allow_nan=False))["layers"][0] == value["layers"][0]
