"""Real factors as odd integers of at most 8 bits times powers of two."""

from __future__ import annotations

import math
from functools import cache

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from glassbit.intgraph import EXACT, MULTIPLIER

_BIAS_OF_FLOAT64, _FRACTION_OF_FLOAT64 = 1023, 52


def largest_exponent(low: int, high: int) -> int:
    """Return the largest e with `2^e (max(|low|, |high|) + 1) <= 2^24`: the window is exact in float32."""
    return EXACT.bit_length() - 1 - (max(abs(low), abs(high))).bit_length()


def power_of_two(exponent: Int64[Tensor, "*c"]) -> Float64[Tensor, "*c"]:
    """`2^exponent`, exact on every device, -1022..1023."""
    return ((exponent + _BIAS_OF_FLOAT64) << _FRACTION_OF_FLOAT64).view(torch.float64)


def dyadic(
    ratio: Float64[Tensor, " c"], *, low: int, high: int, below: float = math.inf
) -> tuple[Int64[Tensor, " c"], Int64[Tensor, " c"]]:
    """Return the multipliers and exponents of a requantizer.

        ratio ~ m 2^-e,    m odd, 1..255,    0 <= e <= 24 - ceil(log2(max(|low|, |high|) + 1))

    The nearest such number, of two equally near ones the smaller. It is off by at most 1/256 of the ratio from 128
    times the least one up to 2, by more below that, and by 1/128 above.

    Args:
        ratio: codes per accumulator step, > 0.
        low, high: the window of the codes.
        below: numbers from here on are left out, but never the least.

    Returns:
        m and e, one a ratio.

    Example:
        >>> m, e = dyadic(torch.tensor([0.75, 0.3], dtype=torch.float64), low=0, high=15)
        >>> m.tolist(), e.tolist()
        ([3, 77], [2, 8])
    """
    table, multipliers, exponents = _table(largest_exponent(low, high), ratio.device)
    above = torch.searchsorted(table, ratio).clamp(1, len(table) - 1)
    lower = (ratio - table[above - 1] <= table[above] - ratio) | (table[above] >= below)
    nearest = torch.where(lower, above - 1, above)
    return multipliers[nearest], exponents[nearest]


@cache
@torch.inference_mode(False)
def _table(cap: int, device: torch.device) -> tuple[Float64[Tensor, " t"], Int64[Tensor, " t"], Int64[Tensor, " t"]]:
    """Every value that there is, in order, with its m and e."""
    multipliers = torch.arange(1, MULTIPLIER + 1, 2, device=device)
    multiplier, exponent = (
        grid.flatten() for grid in torch.meshgrid(multipliers, torch.arange(cap + 1, device=device), indexing="ij")
    )
    values, order = (multiplier * power_of_two(-exponent)).sort()
    return values, multiplier[order], exponent[order]
