"""What is measured, by name. Read by the program that drives the measurement and by every worker; imports nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["training", "inference"]
Environment = Literal["glassbit", "brevitas", "torchao"]

BREVITAS = (
    "https://xilinx.github.io/brevitas/getting_started",
    "https://github.com/Xilinx/brevitas/blob/master/src/brevitas_examples/bnn_pynq/models/resnet.py",
    "https://github.com/Xilinx/brevitas/blob/master/README.md",
)
TORCHAO = (
    "https://github.com/pytorch/ao/blob/main/docs/source/tutorials_source/pt2e_quant_qat.rst",
    "https://github.com/pytorch/ao/blob/main/docs/source/tutorials_source/pt2e_quant_x86_inductor.rst",
)
ONNX_RUNTIME = ("https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html",)
SAVED = "saved for backward, bytes"
PEAK = "peak resident, bytes"
ADDED = "peak resident over that before the first step, bytes"
"""What results call the memory of a step and of a process."""

FREEZING = (("TORCHINDUCTOR_FREEZING", "1"),)
PAPERS = (
    "https://arxiv.org/abs/1805.06085",
    "https://arxiv.org/abs/1606.06160",
    "https://github.com/ayaabdelsalam91/saliency_guided_training/blob/master/Scripts/interpretable.py",
)


@dataclass(frozen=True)
class Entry:
    """One thing to measure.

    Args:
        name: how options and results call it.
        kind: a training step, or a prediction.
        method: which builder of the worker makes it.
        settings: what was chosen, in words.
        bits: of its inner weights and activations, or empty for full precision.
        environment: the virtual environment that it runs in.
        channels_last: its images and weights have the channels of a pixel side by side in memory.
        bf16: under bfloat16 autocast.
        compiled: the loss is wrapped in `torch.compile`.
        every: it takes part in every N-th round.
        variables: environment variables of its process.
        links: what was read about the settings.
    """

    name: str
    kind: Kind
    method: str
    settings: str
    bits: str = ""
    environment: Environment = "glassbit"
    channels_last: bool = False
    bf16: bool = False
    compiled: bool = False
    every: int = 1
    variables: tuple[tuple[str, str], ...] = ()
    links: tuple[str, ...] = ()


_TRAINING = (
    Entry("fp32", "training", "fp32", "PyTorch, cross-entropy"),
    Entry("fp32-cl", "training", "fp32", "PyTorch, cross-entropy, channels_last", channels_last=True),
    Entry(
        "fp32-cl-bf16",
        "training",
        "fp32",
        "PyTorch, cross-entropy, channels_last, bfloat16 autocast",
        channels_last=True,
        bf16=True,
    ),
    Entry(
        "fp32-cl-bf16-compile",
        "training",
        "fp32",
        "PyTorch, cross-entropy, channels_last, bfloat16 autocast, torch.compile",
        channels_last=True,
        bf16=True,
        compiled=True,
    ),
    Entry("pact", "training", "pact", "Glassbit, PACT and SAWB, cross-entropy", "w4a4"),
    Entry(
        "pact-cl",
        "training",
        "pact",
        "Glassbit, PACT and SAWB, cross-entropy, channels_last as `fit` trains",
        "w4a4",
        channels_last=True,
    ),
    Entry("sgt", "training", "sgt", "Glassbit, saliency-guided, full precision"),
    Entry("sgt+pact", "training", "sgt+pact", "Glassbit, saliency-guided, PACT and SAWB", "w4a4"),
    Entry(
        "sgt+pact-cl",
        "training",
        "sgt+pact",
        "Glassbit, saliency-guided, PACT and SAWB, channels_last as `fit` trains",
        "w4a4",
        channels_last=True,
    ),
    Entry(
        "sgt+pact-all",
        "training",
        "sgt+pact",
        "Glassbit, saliency-guided, PACT and SAWB, channels_last, bfloat16 autocast (`precision: bf16-mixed`)",
        "w4a4",
        channels_last=True,
        bf16=True,
    ),
    Entry(
        "sgt+pact-all-compile",
        "training",
        "sgt+pact",
        "sgt+pact-all with torch.compile of the objective, which needs torch._functorch.config.donated_buffer = False",
        "w4a4",
        channels_last=True,
        bf16=True,
        compiled=True,
    ),
    Entry(
        "paper-pact",
        "training",
        "paper-pact",
        "PACT and DoReFa as the papers write them, an operation at a time; cross-entropy; first and last layer float",
        "w4a4",
        every=3,
        links=PAPERS[:2],
    ),
    Entry(
        "paper",
        "training",
        "paper",
        "paper-pact with the released saliency-guided algorithm: a pass in eval mode for the maps, maps as NumPy, a "
        "sort and a fill an image at a time, two more passes",
        "w4a4",
        every=3,
        links=PAPERS,
    ),
    Entry(
        "brevitas",
        "training",
        "brevitas",
        "brevitas.nn layers, a scale per channel for weights, a learned scale for activations; measured after its "
        "collection of statistics; first and last layer 8 bits; cross-entropy",
        "w4a4",
        "brevitas",
        links=BREVITAS,
    ),
    Entry(
        "brevitas-jit",
        "training",
        "brevitas",
        "brevitas with BREVITAS_JIT=1",
        "w4a4",
        "brevitas",
        variables=(("BREVITAS_JIT", "1"),),
        links=BREVITAS,
    ),
    Entry(
        "torchao",
        "training",
        "torchao",
        "prepare_qat_pt2e with the default quantization-aware configuration of X86InductorQuantizer; cross-entropy",
        "w8a8",
        "torchao",
        links=TORCHAO,
    ),
)

_INFERENCE = (
    Entry("onnx-fp32", "inference", "onnx-fp32", "ONNX Runtime, float32"),
    Entry(
        "onnx-qdq",
        "inference",
        "onnx-qdq",
        "ONNX Runtime, quant_pre_process and quantize_static with the defaults of QDQ (S8S8, a scale per tensor)",
        "w8a8",
        links=ONNX_RUNTIME,
    ),
    Entry(
        "onnx-qdq-u8s8",
        "inference",
        "onnx-qdq-u8s8",
        "onnx-qdq with unsigned activations (U8S8) and a scale per channel for weights",
        "w8a8",
        links=ONNX_RUNTIME,
    ),
    Entry("glassbit", "inference", "glassbit", "the integer file of `glassbit export` in ONNX Runtime", "w4a4"),
    Entry(
        "glassbit-explain",
        "inference",
        "glassbit-explain",
        "the integer file with the saliency map (`glassbit export --explain`)",
        "w4a4",
    ),
    Entry("eager", "inference", "eager", "PyTorch, eager, inference mode"),
    Entry(
        "compile",
        "inference",
        "compile",
        "PyTorch, torch.compile with frozen weights (TORCHINDUCTOR_FREEZING=1)",
        variables=FREEZING,
        links=TORCHAO[1:],
    ),
    Entry(
        "torchao-int8",
        "inference",
        "torchao-int8",
        "prepare_pt2e and convert_pt2e with the default configuration of X86InductorQuantizer, then torch.compile with "
        "frozen weights",
        "w8a8",
        "torchao",
        variables=FREEZING,
        links=TORCHAO,
    ),
)

ENTRIES = {entry.name: entry for entry in (*_TRAINING, *_INFERENCE)}
BASES: dict[Kind, str] = {"training": "fp32", "inference": "onnx-fp32"}
"""What every ratio of a table is to."""


@dataclass(frozen=True)
class Comparison:
    """A ratio of the times of two entries, with what is aimed at, if anything."""

    over: str
    under: str
    target: str = ""


COMPARISONS: dict[Kind, tuple[Comparison, ...]] = {
    "training": (
        Comparison("pact", "fp32", "at most 1.15"),
        Comparison("pact-cl", "fp32-cl", "at most 1.15"),
        Comparison("sgt+pact", "fp32", "at most 2.6"),
        Comparison("sgt+pact-cl", "fp32-cl", "at most 2.6"),
        Comparison("sgt+pact-all", "fp32-cl-bf16"),
        Comparison("fp32-cl-bf16-compile", "fp32-cl-bf16"),
        Comparison("sgt+pact-all-compile", "sgt+pact-all"),
        Comparison("paper", "sgt+pact", "at least 2.5"),
        Comparison("paper", "sgt+pact-cl", "at least 2.5"),
        Comparison("paper", "sgt+pact-all", "at least 4"),
        Comparison("paper-pact", "pact"),
        Comparison("brevitas", "pact"),
        Comparison("brevitas-jit", "pact"),
        Comparison("torchao", "pact"),
    ),
    "inference": (
        Comparison("onnx-fp32", "glassbit"),
        Comparison("onnx-qdq", "glassbit"),
        Comparison("onnx-qdq-u8s8", "glassbit"),
        Comparison("eager", "glassbit"),
        Comparison("compile", "glassbit"),
        Comparison("torchao-int8", "glassbit"),
        Comparison("glassbit-explain", "glassbit"),
    ),
}
"""What a table of its own shows."""
