"""The networks that every back end must agree on."""

from __future__ import annotations

from collections.abc import Callable

from graphs import (
    corner_graph,
    extreme_graph,
    extreme_product,
    head_graph,
    joined_graph,
    product_graph,
    random_graph,
    tie_graph,
    uneven_graph,
)

from glassbit.intgraph import Grid, IntGraph

GRIDS: tuple[Grid, ...] = ("odd", "signed")
CASES: dict[str, Callable[[], IntGraph]] = {
    **{f"random-{seed}": lambda seed=seed: random_graph(seed) for seed in range(24)},
    **{f"{bits}-bits": lambda bits=bits: random_graph(100 + bits, bits=(bits,), blocks=(2, 3)) for bits in range(2, 9)},
    **{f"ties-{seed}": lambda seed=seed: tie_graph(seed) for seed in range(2)},
    "ties-signed": lambda: tie_graph(2, multipliers=(1, -1, 3, -3), low=-7),
    "ties-negative": lambda: tie_graph(3, multipliers=(-1,), low=-128),
    **{
        f"extreme-{grid}-{bits}-{'lowest' if lowest else 'highest'}": lambda grid=grid, bits=bits, lowest=lowest: (
            extreme_graph(grid, bits, lowest=lowest)
        )
        for grid, bits in (("odd", 2), ("odd", 7), ("signed", 4), ("signed", 8))
        for lowest in (True, False)
    },
    **{f"joined-{seed}": lambda seed=seed: joined_graph(seed) for seed in range(6)},
    **{f"products-{low}": lambda low=low: product_graph(0, low=low) for low in (0, -1, -2, -3)},
    **{
        f"extreme-products-{m}-{e}-{bias}": lambda m=m, e=e, bias=bias: extreme_product(
            multiplier=m, exponent=e, bias=bias
        )
        for m, e, bias in (
            (255, 16, 0),
            (1, 0, 0),
            (255, 15, 513),
            (255, 16, 2**30),
            (1, 8, 128),
            (-1, 0, 0),
            (-255, 15, 513),
        )
    },
    "head-points": lambda: head_graph(0, (1, 1)),
    "head-windows": lambda: head_graph(0, (3, 3)),
    **{f"uneven-{bits}": lambda bits=bits: uneven_graph(bits) for bits in (2, 4, 8)},
    "uneven-many": lambda: uneven_graph(4, pixels=(23, 7), windows=(13, 11)),
    "uneven-heavy": lambda: uneven_graph(8, pixels=(59, 63), windows=(4, 4)),
    "extreme-16-bits-behind": lambda: extreme_graph("signed", 8, lowest=True, multiplier=1, exponent=16, bias=0),
    "lowest-turned": lambda: corner_graph((-128, 1), multipliers=(-1, 1, -3), deep=False),
    "lowest-turned-depthwise": lambda: corner_graph((-128, 1), multipliers=(-1, 1, -3), deep=True),
    "lowest-depthwise": lambda: corner_graph((-128, 127), high=15, deep=True),
    "above-the-pair-bound": lambda: corner_graph((-127, 127), deep=False),
    "above-the-pair-bound-depthwise": lambda: corner_graph((-127, 127), deep=True),
    "saturating": lambda: extreme_graph("signed", 8, lowest=False, multiplier=1, exponent=12, bias=0),
}
