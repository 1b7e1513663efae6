"""The training objectives that benchmarks compare, by the name of their arm."""

from __future__ import annotations

from typing import Any


def objective(arm: str, model: Any) -> Any:
    """Saliency-guided where the arm says `sgt`, else cross-entropy; the network at 4 bits where it says `pact`."""
    from glassbit.quant import Plan, quantize_
    from glassbit.train import CrossEntropy, SaliencyGuided

    if "pact" in arm:
        quantize_(model.network, Plan.named("w4a4", alpha=3.0))
    return SaliencyGuided(model) if "sgt" in arm else CrossEntropy(model)
