"""What an integer network costs, and why every back end computes the same: numbers that follow from the graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from ._encode import STORED
from ._infer import TensorInfo, infer_all
from ._limits import EXACT, SATURATION
from ._nodes import Conv, Flatten, Grid, Input, Layer, Logits, Node, Requantize, inputs
from ._pack import packed_size


@dataclass(frozen=True)
class LayerCertificate:
    """One layer with weights.

    Args:
        name, kind: of the layer.
        weight_bits, grid: of its weights.
        onnx_bits: of its weights in an ONNX file, which knows types of 2, 4 and 8 bits.
        input_bits: of the codes that it reads.
        macs: multiply-accumulates for one image.
        stored_bits: of its codes, and of the biases, multipliers, exponents and scales of what reads it.
        accumulator_bound: the largest |accumulator| that any image can cause.
        rounding_margin: how many times `2^e (max(|low|, |high|) + 1)` of its requantizer, where it is largest, fits
            into 2^24; 1 or more, so that float32 rounds as integers do. None where no requantizer reads the layer.
        saturation_bound: `2 (high - low) w_max`, what a pair of products can reach; low..high is the window of the
            input, of which `code - low` is stored and multiplied, w_max the largest |weight|.
        saturation_safe: whether that is at most 32767, so that CPUs whose int8 multiply-add pairs saturate at 16 bits
            are exact as well.
    """

    name: str
    kind: Literal["Conv", "Linear"]
    weight_bits: int
    grid: Grid
    onnx_bits: int
    input_bits: int
    macs: int
    stored_bits: int
    accumulator_bound: int
    rounding_margin: float | None
    saturation_bound: int
    saturation_safe: bool


@dataclass(frozen=True)
class Certificate:
    """All layers, and the whole.

    Args:
        layers: in the order of execution.
        stored_bits: of all codes, biases, multipliers, exponents and scales, also of the requantizers behind sums and
            pools.
        flash_bytes: the same, each array in whole bytes.
        ram_bytes: codes that are alive at once, at most, a byte each; accumulators are requantized as they are made.
        macs: multiply-accumulates for one image.
    """

    layers: tuple[LayerCertificate, ...]
    stored_bits: int
    flash_bytes: int
    ram_bytes: int
    macs: int


def certify(nodes: Sequence[Node]) -> Certificate:
    """Return the certificate of a valid network."""
    tensors = infer_all(nodes)
    layers = tuple(_layer(node, nodes, tensors) for node in nodes if isinstance(node, Layer))
    weights = [node.weights for node in nodes if isinstance(node, Layer)]
    others = sum(_stored_beside_weights(node) for node in nodes)
    return Certificate(
        layers=layers,
        stored_bits=sum(weight.codes.size * weight.bits for weight in weights) + others,
        flash_bytes=sum(packed_size(weight.codes.size, weight.bits) for weight in weights) + others // 8,
        ram_bytes=_peak(nodes, tensors),
        macs=sum(layer.macs for layer in layers),
    )


def _layer(node: Layer, nodes: Sequence[Node], tensors: Mapping[str, TensorInfo]) -> LayerCertificate:
    read, made, weights = tensors[node.input], tensors[node.name], node.weights
    readers = [reader for reader in nodes if node.name in inputs(reader)]
    least, largest = (weights.gain * int(code) - weights.offset for code in (weights.codes.min(), weights.codes.max()))
    saturation = 2 * read.span * max(abs(least), abs(largest))
    return LayerCertificate(
        name=node.name,
        kind="Conv" if isinstance(node, Conv) else "Linear",
        weight_bits=weights.bits,
        grid=weights.grid,
        onnx_bits=next(bits for bits in (2, 4, 8) if weights.bits <= bits),
        input_bits=read.span.bit_length(),
        macs=weights.codes.size * made.size // made.shape[0],
        stored_bits=weights.codes.size * weights.bits + sum(_stored_beside_weights(reader) for reader in readers),
        accumulator_bound=made.bound,
        rounding_margin=min((_margin(reader) for reader in readers if isinstance(reader, Requantize)), default=None),
        saturation_bound=saturation,
        saturation_safe=saturation <= SATURATION,
    )


def _stored_beside_weights(node: Node) -> int:
    """Bits of a node's arrays, as they are written; weights left out."""
    arrays = [(field.name, getattr(node, field.name)) for field in fields(node)]
    return sum(
        8 * len(values) * np.dtype(STORED[name]).itemsize for name, values in arrays if isinstance(values, np.ndarray)
    )


def _margin(node: Requantize) -> float:
    return EXACT / ((max(abs(node.low), abs(node.high)) + 1) << int(node.exponent.max()))


def _peak(nodes: Sequence[Node], tensors: Mapping[str, TensorInfo]) -> int:
    """Return the peak bytes of codes. Flatten moves nothing; accumulators pass through to their requantizer."""
    buffers: dict[str, tuple[str, ...]] = {}
    steps: list[tuple[str, ...]] = []
    for node in nodes:
        read = tuple(buffer for name in inputs(node) for buffer in buffers[name])
        makes = tensors[node.name].kind == "codes" and not isinstance(node, Flatten)
        buffers[node.name] = (node.name,) if makes else read
        if isinstance(node, Input | Logits) or makes:
            steps.append((*read, node.name) if makes else read)
    last = {name: step for step, names in enumerate(steps) for name in names}
    alive: set[str] = set()
    peak = 0
    for step, names in enumerate(steps):
        alive = {name for name in alive | set(names) if last[name] >= step}
        peak = max(peak, sum(tensors[name].size for name in alive))
    return peak
