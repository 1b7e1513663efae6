"""`glassbit plan`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from glassbit._bits import bits_given
from glassbit._errors import GlassbitWarning
from glassbit._text import listed
from glassbit.cli._flags import Values, takes
from glassbit.cli._run_flags import DATA_OF_PLAN, MODEL, PLAN, recipe_of
from glassbit.cli._say import line, table
from glassbit.recipe import RunRecipe

if TYPE_CHECKING:
    from glassbit.quant import Conversion, Cost

_FLOAT = 32
_SHOWN = 2
"""Layers that a line names."""
_UNITS = (
    "1 kB is 1000 bytes; weights at their bits, biases and BatchNorm at 32.",
    "BitOps = MACs x weight bits x input bits, for one image; full precision counts as 32 bits.",
)


@takes(MODEL, PLAN, DATA_OF_PLAN)
def plan(values: Values) -> int:
    """Print the bits and the cost of every layer, and whether the network can be exported."""
    run = recipe_of(values)

    import torch

    from glassbit.build import build_network, build_plan, exportable, image_shape, reference_shape
    from glassbit.deploy import export_problems
    from glassbit.quant import Conversion, cost, quantize_

    named = "name" in values.get("data", {})
    classes, shape = image_shape(run.data) if named else reference_shape(run.model.name, run.data)
    network = build_network(run.model, classes=classes, channels=shape[0], size=shape[1:])
    full = cost(network, shape)
    conversion = Conversion((), ())
    if run.plan is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GlassbitWarning)  # the table says it
            conversion = quantize_(network, build_plan(run.plan), example=torch.zeros(2, *shape))
    for each in _lines(run, shape, cost(network, shape), full, conversion):
        line(each)
    line(f"\n{exportable(export_problems(network, torch.zeros(1, *shape, dtype=torch.uint8)))}", keep="\n")
    return 0


def _lines(run: RunRecipe, shape: tuple[int, int, int], cost: Cost, full: Cost, conversion: Conversion) -> list[str]:
    rows: list[tuple[str, ...]] = [
        (
            row.name,
            row.kind,
            _bits(row.weight_bits),
            _bits(row.input_bits),
            _kilobytes(row.stored_bytes),
            f"{row.macs:,}",
            f"{row.bitops:,}",
        )
        for row in cost.rows
    ]
    other = cost.stored_bytes - sum(row.stored_bytes for row in cost.rows)
    if other:
        rows.append(("(BatchNorm and other parameters)", "", "", "", _kilobytes(other), "", ""))
    total = ("total", "", "", "", _kilobytes(cost.stored_bytes), f"{cost.macs:,}", f"{cost.bitops:,}")
    name = "full precision" if run.plan is None else run.plan.slug
    lines = [
        f"{run.model.name}, {name}, on images of {shape[0]} x {shape[1]} x {shape[2]}; {cost.parameters:,} parameters",
        "",
    ]
    lines += table(
        ("layer", "kind", "weight bits", "input bits", "stored kB", "MACs", "BitOps"), rows, left=2, total=total
    )
    if run.plan is not None:
        smaller, fewer = full.stored_bytes / cost.stored_bytes, full.bitops / max(1, cost.bitops)
        lines += ["", *_given(cost)]
        lines += ["", f"against full precision: {smaller:.1f} times smaller, {fewer:.1f} times fewer BitOps"]
        lines += ["", *_left(cost, conversion)]
        if conversion.without_effect:
            lines += ["", conversion.without_effect]
    return [*lines, "", *_UNITS]


def _given(cost: Cost) -> list[str]:
    """Return the bits that the layers really have, which the plan's name need not say, and who rounds them."""
    weights = bits_given([row.weight_bits for row in cost.rows], [row.weights for row in cost.rows])
    lines = [f"weight bits: {weights}", f"input bits: {bits_given([row.input_bits for row in cost.rows])}"]
    for bits in sorted({row.input_bits for row in cost.rows if row.at_export}):
        names = [row.name for row in cost.rows if row.at_export and row.input_bits == bits]
        lines.append(f"rounded to {bits} bits by integers only: inputs of {listed(names, most=_SHOWN)}")
    return lines


def _left(cost: Cost, conversion: Conversion) -> list[str]:
    """Return what stays in full precision, and why."""
    by_plan = [layer.name for layer in conversion.layers if layer.bits == _FLOAT]
    reasons = [*conversion.left, *((name, "the plan says so") for name in by_plan)]
    named = {name for name, _ in reasons}
    reasons += [
        (row.name, "its weights are quantized, but its inputs are not: no activation with codes feeds it")
        for row in cost.rows
        if row.input_bits == _FLOAT and row.weight_bits != _FLOAT and row.name not in named
    ]
    if not reasons:
        return ["left in full precision: nothing"]
    return ["left in full precision:", *(f"  {name}: {reason}" for name, reason in reasons)]


def _bits(bits: int) -> str:
    return "full" if bits == _FLOAT else str(bits)


def _kilobytes(count: float) -> str:
    return f"{count / 1000:,.2f}"
