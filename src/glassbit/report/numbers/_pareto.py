"""Which of several things no other one beats."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float


def front(points: Float[np.ndarray, "n k"]) -> Bool[np.ndarray, " n"]:
    """Return which points are on the Pareto front: no other is as high in every criterion and higher in one.

    Equal points are on it together.

    Args:
        points: a row per thing, a column per criterion; more is better in each.

    >>> front(np.array([[1.0, 3.0], [2.0, 2.0], [1.0, 2.0]]))
    array([ True,  True, False])
    """
    other, this = points[None], points[:, None]
    beaten = np.logical_and((other >= this).all(2), (other > this).any(2))
    best: Bool[np.ndarray, " n"] = np.logical_not(beaten.any(1))
    return best
