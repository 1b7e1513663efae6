"""The quantizers that plans and recipes call by name: one row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EVERY = (2, 3, 4, 5, 6, 7, 8)


@dataclass(frozen=True)
class Named:
    """Where a quantizer is, as text: recipes know the names, and must not load torch.

    Args:
        file: the module in `glassbit.quant`.
        kind: the class in it.
        bits: the bit widths that it takes.
    """

    file: str
    kind: str
    bits: tuple[int, ...] = EVERY


WEIGHTS: Mapping[str, Named] = {
    "sawb": Named("_sawb", "SAWB", bits=(2, 3, 4, 5, 8)),
    "dorefa": Named("_dorefa", "DoReFa"),
    "lsq": Named("_lsq", "LSQ"),
}
"""Each is a `glassbit.quant.WeightQuantizer`."""

ACTIVATIONS: Mapping[str, Named] = {
    "pact": Named("_pact", "PACT"),
    "lsq": Named("_lsq", "LSQActivation"),
}
"""Each is a `glassbit.quant.ActivationQuantizer`."""

SIGNED_BITS = 8
"""Of the signed codes that integer arithmetic makes where no quantizer rounds, if a plan says nothing else."""
