"""The QONNX form computes the definition's logits."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import images_for
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from glassbit._errors import UsageError
from glassbit.runtime import qonnx_model

from .cases import CASES

NAMES = [
    name
    for name in CASES
    if name.startswith(("random", "ties", "uneven", "joined", "products", "head")) or name.endswith("-bits")
]
NAMES.remove("uneven-heavy")  # with its bias it leaves float32


class Quant(OpRun):
    """The formula of the QONNX paper (arXiv 2206.07527), equation 1."""

    op_domain = "qonnx.custom_op.general"

    def _run(self, x, scale, zero, bits, signed=None, narrow=None, rounding_mode=None):
        assert (narrow, rounding_mode) == (0, "ROUND")
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        codes = np.rint(np.clip(x / scale + zero, low, high))
        return (((codes - zero) * scale).astype(np.float32),)


class MaxPool(OpRun):
    """The evaluator's own confuses the axes of pads (onnx 1.23)."""

    op_domain = ""

    def _run(self, x, kernel_shape=None, pads=None, strides=None, **others):
        top, left, bottom, right = pads
        padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=-np.inf)
        seen = np.lib.stride_tricks.sliding_window_view(padded, kernel_shape, axis=(2, 3))
        return (seen[:, :, :: strides[0], :: strides[1]].max((-2, -1)),)


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_equal_to_the_bit(name):
    graph = CASES[name]()
    images = images_for(graph, 3)
    evaluator = ReferenceEvaluator(qonnx_model(graph), new_ops=[Quant, MaxPool])
    logits = [evaluator.run(None, {"image": image[None].astype(np.float32)})[0] for image in images]
    np.testing.assert_array_equal(np.concatenate(logits), graph.run(images), strict=True)


@pytest.mark.filterwarnings("ignore")
def test_so_does_the_executor_of_qonnx():
    executor = pytest.importorskip("qonnx.core.onnx_exec", reason="pip install qonnx")
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.infer_shapes import InferShapes

    for name in NAMES:
        graph = CASES[name]()
        images = images_for(graph, 3)
        model = ModelWrapper(qonnx_model(graph)).transform(InferShapes())
        for image, expected in zip(images, graph.run(images), strict=True):
            outputs = executor.execute_onnx(model, {"image": image[None].astype(np.float32)})
            np.testing.assert_array_equal(outputs["logits"], expected[None], err_msg=name)


def test_sums_that_float32_cannot_hold_are_refused():
    with pytest.raises(UsageError, match=r"accumulators must be below 2\^24, .*; got 37307521 in fc, with its bias"):
        qonnx_model(CASES["saturating"]())
