"""Comparing two measurements."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float16, UInt8

from glassbit._arrays import array
from glassbit._errors import UsageError
from glassbit._takes import WHOLE, instance, optional, takes
from glassbit.evidence import METRICS, SHOWN, Comparison, Measurement, Pair

from ._agreement import agreement, random_maps

MEASURED = instance(
    Measurement, "a glassbit.evidence.Measurement", "pass what `measure` or `Measurement.load` returned"
)


@takes(a=MEASURED, b=MEASURED, floor=optional(MEASURED), images=optional(array(4, "(n, c, h, w)", "iuf")), seed=WHOLE)
def compare(
    a: Measurement,
    b: Measurement,
    *,
    floor: Measurement | None = None,
    images: UInt8[np.ndarray, "n c h w"] | None = None,
    seed: int = 0,
) -> Comparison:
    """Set two networks side by side: do their maps agree, and does what is measured of them differ?

    Args:
        a: the reference, whose maps give the anchors.
        b: the candidate.
        floor: the reference trained from another seed: how alike two networks are that nobody would tell apart.
        images: those that were measured, in the same order, to be drawn where the maps differ most.
        seed: of the ties and of the random order at the zero anchor.

    Raises:
        UsageError: the measurements are not of the same images, or `images` are not these.
    """
    for other in (b,) if floor is None else (b, floor):
        _check(a, other)
    if images is not None and (len(images), *images.shape[2:]) != a.maps.shape:
        n, height, width = a.maps.shape
        raise UsageError(
            f"compare: images must be the {n} that were measured, {height} x {width} pixels each; got shape "
            f"{images.shape}"
        )
    others: dict[Pair, Float16[np.ndarray, "n h w"]] = {
        "between": b.maps,
        "ceiling": a.noisy_maps,
        "zero": random_maps(a.maps, seed=seed),
    }
    if floor is not None:
        others["floor"] = floor.maps
    agreements = {pair: agreement(a.maps, maps, seed=seed) for pair, maps in others.items()}
    shown = agreements["between"].spearman.round(9).argsort(kind="stable")[:SHOWN]  # without the rounding of float64
    both = [metric.key for metric in METRICS if metric.key in a.values and metric.key in b.values]
    return Comparison(
        names=(a.name, b.name),
        classes=a.classes,
        rows=a.rows,
        labels=a.labels,
        predictions=np.stack([a.predictions, b.predictions]),
        correct=np.stack([a.correct, b.correct]),
        values={key: np.stack([a.values[key], b.values[key]]) for key in both},
        absent={**dict(_absent(b)), **dict(_absent(a))},
        agreement=agreements,
        shown=shown,
        maps=np.stack([a.maps[shown], b.maps[shown]]),
        images=None if images is None else images[shown],
    )


def _absent(measured: Measurement) -> Iterator[tuple[str, str]]:
    for key, reason in measured.absent.items():
        yield key, f"{measured.name}: {reason}"


def _check(a: Measurement, other: Measurement) -> None:
    """Refuse what cannot be compared image by image."""
    differing = [
        what
        for what, same in (
            ("data sets", a.facts.get("data") == other.facts.get("data")),
            ("classes", a.classes == other.classes),
            ("sizes of the test set", a.correct.shape == other.correct.shape),
            ("test images", np.array_equal(a.rows, other.rows)),
            ("labels", np.array_equal(a.labels, other.labels)),
            ("pixels", a.facts.get("images_digest") == other.facts.get("images_digest")),
            ("sizes of the images", a.maps.shape == other.maps.shape),
            ("shares of removed pixels", a.fractions == other.fractions),
        )
        if not same
    ]
    if differing:
        raise UsageError(
            f"{a.name} and {other.name} must be measured on the same images in the same way; got different "
            f"{', '.join(differing)}; measure both again with the same data and the same number of images"
        )
