"""Whether maps point at the pixels that are known to matter."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float64

from glassbit._errors import UsageError
from glassbit._random import derive
from glassbit._takes import WHOLE, takes

from ._maps import MAPS, REGION


@takes(maps=MAPS, region=REGION)
def relevance_mass(maps: Float[np.ndarray, "n h w"], region: Bool[np.ndarray, "n h w"]) -> Float64[np.ndarray, " n"]:
    """Return the share of each map that lies in a region.

        m = sum of a over the region / sum of a over the image

    Chance is the region's share of the image (`region_share`): a map that says nothing has it. A map of zeros counts as
    one, since it prefers no pixel.

    Args:
        maps: saliency >= 0, in any unit.
        region: the pixels asked about, e.g. `data.regions == OBJECT`; of an image without any the share is 0.

    Returns:
        0 ... 1, higher is better for the object, lower for a shortcut; NaN for a map with values that are not finite.

    Raises:
        UsageError: the shapes differ, or a map has negative values.

    "Relevance mass accuracy": Arras et al. 2022, CLEVR-XAI (arXiv 2003.07258).
    """
    values = _checked("relevance_mass", maps, region)
    whole, inside = values.sum(axis=(1, 2)), (values * region).sum(axis=(1, 2))
    return np.asarray(np.divide(inside, whole, out=region_share(region), where=whole != 0))


@takes(maps=MAPS, region=REGION, seed=WHOLE)
def pointing_game(
    maps: Float[np.ndarray, "n h w"], region: Bool[np.ndarray, "n h w"], *, seed: int = 0
) -> Float64[np.ndarray, " n"]:
    """Whether the highest pixel of each map lies in a region.

        hit = 1 if argmax of a is in the region, else 0

    Which of several equal highest pixels counts is drawn at random, never by position; a map of zeros hits by chance,
    as often as the region's share of the image. The paper grants 15 pixels around the object in photographs; here
    nothing is granted beyond the region itself.

    Args:
        maps, region: see `relevance_mass`.
        seed: of the draws.

    Returns:
        0 or 1, or NaN for a map with values that are not finite.

    Raises:
        UsageError: see `relevance_mass`.

    Zhang et al. 2016 (arXiv 1608.00507).
    """
    values = _checked("pointing_game", maps, region)
    draws = np.random.default_rng(derive("pointing game", seed)).random(len(maps))
    hits = np.full(len(maps), np.nan)
    for row in np.flatnonzero(np.isfinite(values).all(axis=(1, 2))):
        highest = region[row][values[row] == values[row].max()]
        hits[row] = highest[int(draws[row] * len(highest))]
    return hits


@takes(region=REGION)
def region_share(region: Bool[np.ndarray, "n h w"]) -> Float64[np.ndarray, " n"]:
    """Return the share of each image that a region covers: the chance level of `relevance_mass` and `pointing_game`."""
    return np.asarray(region.mean(axis=(1, 2)))


def _checked(name: str, maps: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return the maps in float64, all NaN where not all is finite."""
    if maps.shape != region.shape or maps.ndim != 3:
        raise UsageError(
            f"{name}: maps and region must have one shape (n, h, w); got {maps.shape} and {region.shape}; pass both "
            "for the same images"
        )
    if (maps < 0).any():
        raise UsageError(f"{name}: maps must be >= 0; got {np.nanmin(maps):.3g}; take the size of a signed map first")
    values = maps.astype(np.float64)
    values[~np.isfinite(values).all(axis=(1, 2))] = np.nan
    return values
