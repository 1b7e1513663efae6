"""How an image reaches another size."""

from __future__ import annotations

from typing import Literal

Resize = Literal["stretch", "crop", "pad"]
"""Crop fills the frame and cuts off what stands out, pad shows all with black bars, stretch changes the proportions."""
