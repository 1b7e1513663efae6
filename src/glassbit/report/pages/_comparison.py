"""The page on two networks, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Float64

from glassbit._count import counted
from glassbit.evidence import MEASURES, PAIRS, Comparison, Interval, Paired
from glassbit.report.draw import Cell, image_uri, map_uri
from glassbit.report.numbers import ACCURACY, COLUMNS, ROAD, Column, known, title
from glassbit.report.read import MEASURES as TITLES
from glassbit.report.words import images_named, interval_text, moved, number, unclear

from ._sheet import markdown_table, one_line, write_both
from ._templates import environment

A, B = "A", "B"
_SIDE = 112
_ONE = "One training each: the intervals are over images and say nothing about another training."


@dataclass(frozen=True)
class Differing:
    """An image on which the maps differ much.

    Args:
        number: its place in the test set.
        truth: its class.
        alike: Spearman correlation of the two maps; None where it is undefined.
        picture: the image, where it is known.
        cells: the map of each network and what it predicts.
    """

    number: int
    truth: str
    alike: float | None
    picture: str | None
    cells: tuple[Cell, Cell]


def write_comparison(folder: Path, comparison: Comparison) -> tuple[Path, ...]:
    """Write `compare.md` and `compare.html`, a page that needs nothing else, into `folder`.

    Returns:
        Their paths.
    """
    first, second = comparison.names
    said = _sentences(comparison)
    rows = _rows(comparison)
    images = _differing(comparison)
    page = (
        environment()
        .get_template("comparison.html.j2")
        .render(
            title=f"{second} against {first}",
            kicker="Glassbit comparison",
            meta=_meta(comparison),
            names=dict(zip((A, B), comparison.names, strict=True)),
            sentences=said,
            rows=rows,
            absent=_absent(comparison),
            pairs=_pairs(comparison),
            relative=comparison.relative,
            measures=[(measure, TITLES[measure]) for measure in MEASURES],
            floor="floor" in comparison.agreement,
            images=images,
        )
    )
    return write_both(folder, "compare", markdown=_markdown(comparison, said, rows, images), page=page)


def _rows(comparison: Comparison) -> list[tuple[Column, Paired]]:
    metrics = {ACCURACY.key: comparison.accuracy, **comparison.metrics}
    return [(column, metrics[column.key]) for column in COLUMNS if column.key in metrics]


def _sentences(comparison: Comparison) -> list[str]:
    said = []
    gap = comparison.metrics.get(ROAD.key)
    if gap is not None:
        change = gap.difference
        if ROAD.judged(change) == "cannot tell":
            said.append(f"Cannot tell whether their ROAD gaps differ ({unclear(B, A, change)}).")
        else:
            text = moved(B, A, change)
            said.append(f"{text[0].upper()}{text[1:]}.")
    lost = comparison.accuracy.difference
    said += [
        f"Accuracy, {B} − {A}: {interval_text(lost, ACCURACY)} points, {ACCURACY.judged(lost)}.",
        f"They predict the same class on {_share(comparison.same_prediction)} of the images.",
        _agreement(comparison),
        _ONE,
    ]
    return said


def _agreement(comparison: Comparison) -> str:
    texts = {pair: interval_text(value["spearman"]) for pair, value in comparison.agreements.items()}
    anchors = [f"{A} with itself under a little input noise {texts['ceiling']}"]
    anchors += [f"with another seed of itself {texts['floor']}"] if "floor" in texts else []
    anchors += [f"with its own map shuffled {texts['zero']}"]
    relative = comparison.relative["spearman"]
    share = (
        f"so {interval_text(relative)} of the way from shuffled to the ceiling"
        if relative is not None
        else "the ceiling is not clearly above shuffled, so the maps are too unsteady to compare"
    )
    seed = "" if "floor" in texts else " No other seed was given, so how far two trainings differ is not known."
    return f"Their maps agree at Spearman {texts['between']}; anchors: {', '.join(anchors)}; {share}.{seed}"


def _pairs(comparison: Comparison) -> list[tuple[str, Mapping[str, Interval]]]:
    """Return the agreement of A and B and its anchors, by measure, with what each is."""
    titles = {
        "between": f"{A} and {B}",
        "ceiling": f"ceiling: {A} with itself under a little input noise",
        "floor": f"floor: {A} with another seed of itself",
        "zero": f"zero: {A} with its own map shuffled",
    }
    return [
        (titles[pair], {str(measure): value for measure, value in comparison.agreements[pair].items()})
        for pair in PAIRS
        if pair in comparison.agreement
    ]


def _differing(comparison: Comparison) -> list[Differing]:
    classes, alike = comparison.classes, comparison.agreement["between"].spearman
    rows = []
    for index, place in enumerate(comparison.shown):
        label = int(comparison.labels[place])
        cells = [
            Cell(
                uri=map_uri(_finite(maps[index]), side=_SIDE),
                said=classes[predictions[place]],
                right=bool(predictions[place] == label),
            )
            for maps, predictions in zip(comparison.maps, comparison.predictions, strict=True)
        ]
        rows.append(
            Differing(
                number=int(comparison.rows[place]),
                truth=classes[label],
                alike=None if math.isnan(alike[place]) else float(alike[place]),
                picture=None if comparison.images is None else image_uri(comparison.images[index], side=_SIDE),
                cells=(cells[0], cells[1]),
            )
        )
    return rows


def _finite(maps: Float16[np.ndarray, "h w"]) -> Float64[np.ndarray, "h w"]:
    return np.nan_to_num(maps.astype(np.float64), posinf=0.0, neginf=0.0)


def _absent(comparison: Comparison) -> list[tuple[str, str]]:
    return [(title(key), why) for key, why in comparison.absent.items()]


def _meta(comparison: Comparison) -> str:
    measured, whole = len(comparison.rows), comparison.correct.shape[1]
    return f"{counted(len(comparison.classes), 'class', 'classes')} · compared on {images_named(measured)} of {whole:,}"


def _share(value: Interval) -> str:
    ends = f" ({number(100 * value.low, 1)} to {number(100 * value.high, 1)})" if known(value) else ""
    return f"{number(100 * value.mean, 1)} %{ends}"


def _markdown(
    comparison: Comparison,
    said: Sequence[str],
    rows: Sequence[tuple[Column, Paired]],
    images: Sequence[Differing],
) -> list[str]:
    first, second = map(one_line, comparison.names)
    named = f"{A}, the reference: {first}. {B}, the candidate: {second}."
    metrics = [
        (
            f"{column.title} {column.arrow}".strip(),
            interval_text(value.a, column),
            interval_text(value.b, column),
            f"{interval_text(value.difference, column)} {column.judged(value.difference)}",
        )
        for column, value in rows
    ]
    agreed = [(name, *(interval_text(values[measure]) for measure in MEASURES)) for name, values in _pairs(comparison)]
    agreed.append((f"{A} and {B}, from zero (0) to the ceiling (1)", *map(interval_text, comparison.relative.values())))
    differing = [
        (str(one.number), one.truth, one.cells[0].said, one.cells[1].said, number(one.alike)) for one in images
    ]
    text = [
        f"# {second} against {first}",
        f"{named} {_meta(comparison)}",
        "\n".join(f"- {one_line(sentence)}" for sentence in said),
        "## Side by side\n\nMeans with their 95 % intervals over images; the difference is taken image by image.",
        markdown_table(("metric", A, B, f"{B} − {A}"), metrics),
    ]
    if comparison.absent:
        text.append("Not compared:\n\n" + "\n".join(f"- {name}: {one_line(why)}" for name, why in _absent(comparison)))
    text += [
        "## How alike the maps are",
        markdown_table(("pair", *(TITLES[measure] for measure in MEASURES)), agreed),
        "## The images on which the maps differ most",
        markdown_table(("test image", "true class", f"{A} says", f"{B} says", "Spearman"), differing),
    ]
    return text
