"""How alike two networks' maps of the same images are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64


@dataclass(frozen=True, eq=False)
class Agreement:
    """Three similarities, one value per image; NaN where one of its maps is constant or not finite.

    Args:
        spearman: rank correlation of the pixels, -1..1.
        ssim: structural similarity, at most 1.
        iou: of the two sets of the 10 % highest pixels, the share of their union that is in both, 0..1.
    """

    spearman: Float64[np.ndarray, " n"]
    ssim: Float64[np.ndarray, " n"]
    iou: Float64[np.ndarray, " n"]
