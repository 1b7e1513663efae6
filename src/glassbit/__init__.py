"""Low-bit image classifiers you can see through.

Train networks that are full precision or quantized, plain or saliency-guided, measure what each choice costs, and ship
them as integers. The names below are all there is to import; each is loaded when it is first used, so that `import
glassbit` costs nothing, and what runs a shipped network loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glassbit import datasets as datasets
    from glassbit import models as models
    from glassbit._errors import GlassbitError as GlassbitError
    from glassbit._errors import GlassbitWarning as GlassbitWarning
    from glassbit.deploy import lower as lower
    from glassbit.explain import saliency as saliency
    from glassbit.intgraph import IntGraph as IntGraph
    from glassbit.intgraph import load as load
    from glassbit.quant import LSQ as LSQ
    from glassbit.quant import PACT as PACT
    from glassbit.quant import SAWB as SAWB
    from glassbit.quant import DoReFa as DoReFa
    from glassbit.quant import Plan as Plan
    from glassbit.quant import dequantize_ as dequantize_
    from glassbit.quant import quantize_ as quantize_
    from glassbit.runtime import export_onnx as export_onnx
    from glassbit.train import CrossEntropy as CrossEntropy
    from glassbit.train import RandomMasking as RandomMasking
    from glassbit.train import SaliencyGuided as SaliencyGuided
    from glassbit.train import fit as fit

__all__ = [
    "LSQ",
    "PACT",
    "SAWB",
    "CrossEntropy",
    "DoReFa",
    "GlassbitError",
    "GlassbitWarning",
    "IntGraph",
    "Plan",
    "RandomMasking",
    "SaliencyGuided",
    "datasets",
    "dequantize_",
    "export_onnx",
    "fit",
    "load",
    "lower",
    "models",
    "quantize_",
    "saliency",
]

_HOMES = {
    "CrossEntropy": "train",
    "DoReFa": "quant",
    "GlassbitError": "_errors",
    "GlassbitWarning": "_errors",
    "IntGraph": "intgraph",
    "LSQ": "quant",
    "PACT": "quant",
    "Plan": "quant",
    "RandomMasking": "train",
    "SAWB": "quant",
    "SaliencyGuided": "train",
    "dequantize_": "quant",
    "export_onnx": "runtime",
    "fit": "train",
    "load": "intgraph",
    "lower": "deploy",
    "quantize_": "quant",
    "saliency": "explain",
}


def __getattr__(name: str) -> Any:
    if name in ("datasets", "models"):
        return import_module(f"glassbit.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'glassbit' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"glassbit.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
