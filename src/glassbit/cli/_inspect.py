"""`glassbit inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glassbit._errors import UsageError
from glassbit.cli._network_file import ARTIFACT, kind_of
from glassbit.cli._say import line, table

if TYPE_CHECKING:
    from glassbit.intgraph import IntGraph

_HEADS = ("layer", "kind", "weight bits", "input bits", "stored kB", "MACs", "largest sum", "24-bit room", "pair bound")
_LEGEND = (
    "1 kB is 1000 bytes; a layer is stored with its biases, multipliers and exponents.",
    "largest sum: the largest |accumulator| that any image can cause.",
    "24-bit room: 1 or more, so that float32 rounds the layer's results as integers do.",
    "pair bound: at most 2 x span of the input codes x |weight|. Above 32767 (*) 8-bit kernels without VNNI would",
    "saturate; the ONNX file is written so that they do not.",
)


def inspect(file: Annotated[Path, Parameter(help="a .glassbit file, as `glassbit export` writes it")], /) -> int:
    """Print what is in an exported network."""
    if kind_of(file) != ARTIFACT:
        raise UsageError(
            f"FILE: must end with {ARTIFACT}; got {file}; `glassbit export RUN --artifact FILE` writes one beside it"
        )
    from glassbit.intgraph import load

    for each in _lines(load(file), file):
        line(each)
    return 0


def _lines(graph: IntGraph, file: Path) -> list[str]:
    certificate, size = graph.certificate, file.stat().st_size
    rows: list[tuple[str, ...]] = [
        (
            layer.name,
            layer.kind,
            str(layer.weight_bits),
            str(layer.input_bits),
            _kilobytes(layer.stored_bits / 8),
            f"{layer.macs:,}",
            f"{layer.accumulator_bound:,}",
            "" if layer.rounding_margin is None else f"{layer.rounding_margin:,.3g}",
            f"{layer.saturation_bound:,}{' ' if layer.saturation_safe else '*'}",
        )
        for layer in certificate.layers
    ]
    other = certificate.stored_bits - sum(layer.stored_bits for layer in certificate.layers)
    if other:
        rows.append(("(all other requantizers, and tables)", "", "", "", _kilobytes(other / 8), *[""] * 4))
    total = ("total", "", "", "", _kilobytes(certificate.stored_bits / 8), f"{certificate.macs:,}", *[""] * 3)
    return [
        *_origin(graph),
        "",
        *table(_HEADS, rows, left=2, total=total),
        "",
        f"file: {size / 1000:,.2f} kB, {size / (certificate.stored_bits / 8):.2f} times its bits",
        f"memory for one image: {_kilobytes(certificate.ram_bytes)} kB, codes at one byte each",
        _preprocessing(graph),
        f"classes: {', '.join(graph.classes)}",
        "",
        *_LEGEND,
    ]


def _origin(graph: IntGraph) -> list[str]:
    about, image = graph.about, graph.preprocessing
    names = ", ".join(name for name in (about.network or "a network", about.plan) if name)
    trained = "trained in this arithmetic" if about.trained else "converted to this arithmetic after training"
    return [
        f"{names}, on images of {image.channels} x {image.height} x {image.width}",
        f"{f'from run {about.run}, ' if about.run else ''}{trained}",
        *about.notes,
    ]


def _preprocessing(graph: IntGraph) -> str:
    image, zero = graph.preprocessing, graph.nodes[0].zero  # type: ignore[union-attr]
    color = "grey" if image.channels == 1 else "RGB"
    how = {"crop": "cropped", "pad": "padded with black", "stretch": "stretched"}[image.resize]
    return f"images: {color}, {how} to {image.width} x {image.height}, uint8 as they are; pixel {zero} counts as zero"


def _kilobytes(count: float) -> str:
    return f"{count / 1000:,.2f}"
