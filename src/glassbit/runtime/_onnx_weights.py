"""Weights as packed codes in the file, and as integers in the graph.

    codes (UINT2, UINT4 or UINT8)  ->  Cast INT32  ->  Mul gain  ->  Sub offset  =  W

ONNX Runtime folds the chain while it loads the file, for the prediction and for the saliency alike. There is no type of
3 bits: such codes take 4, and codes of 5 to 7 bits take 8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from glassbit.intgraph import SATURATION, Weights

from ._onnx_body import Body

_STORED = {2: (TensorProto.UINT2, 2), 3: (TensorProto.UINT4, 4), 4: (TensorProto.UINT4, 4)}


@dataclass(frozen=True)
class Operand:
    """Weights of 8 bits, as integer kernels read them.

    Args:
        tensor: the name.
        zero: the name of their zero point.
    """

    tensor: str
    zero: str


def stored_bits(bits: int) -> int:
    """Return the bits that a code takes in an ONNX file."""
    return _STORED.get(bits, (TensorProto.UINT8, 8))[1]


def integers(body: Body, weights: Weights, name: str) -> str:
    """Return the packed codes as an initializer, and the int32 tensor W made of them."""
    kind, bits = _STORED.get(weights.bits, (TensorProto.UINT8, 8))
    packed = _pack(weights.codes, bits)
    codes = body.stored(helper.make_tensor(f"{name}.codes", kind, weights.codes.shape, packed, raw=True))
    wide = body.op("Cast", codes, name=f"{name}.wide", attributes={"to": TensorProto.INT32})
    if weights.gain != 1:
        wide = body.op("Mul", wide, body.constant(np.array(weights.gain, np.int32)), name=f"{name}.twice")
    return body.op("Sub", wide, body.constant(np.array(weights.offset, np.int32)), name=f"{name}.integers")


def operand(body: Body, values: str, weights: Weights, span: int, name: str, *, depthwise: bool = False) -> Operand:
    """W for a kernel that multiplies it with uint8 codes.

    int8 with zero point 0, the fastest, where it is exact on every CPU; else uint8 with zero point 128, which always
    is. On x86 pairs of products are added in 16 bits: they fit if `2 span w_max <= 32767`. `QLinearConv` of a
    depthwise layer adds no pairs there; on ARM it does, of codes minus 128: only -128 * -128 twice does not fit.

    Args:
        body: where it is written.
        values: the name of W, int32.
        weights: W.
        span: of the window of the codes, the largest value that is stored of one.
        name: of the layer.
        depthwise: whether it is for `QLinearConv` and each channel is convolved by itself.
    """
    pairs = 2 * span * int(np.abs(weights.values).max(initial=0)) <= SATURATION
    if int(weights.values.min(initial=0)) > -128 if depthwise else pairs:
        narrow = body.op("Cast", values, name=f"{name}.int8", attributes={"to": TensorProto.INT8})
        return Operand(narrow, body.constant(np.array(0, np.int8)))
    shifted = body.op("Add", values, body.constant(np.array(128, np.int32)), name=f"{name}.shifted")
    narrow = body.op("Cast", shifted, name=f"{name}.uint8", attributes={"to": TensorProto.UINT8})
    return Operand(narrow, body.constant(np.array(128, np.uint8)))


def _pack(codes: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], bits: int) -> bytes:
    """Little-endian: the first code in the lowest bits."""
    each = np.unpackbits(codes.reshape(-1, 1), axis=1, count=bits, bitorder="little")
    return np.packbits(each, bitorder="little").tobytes()
