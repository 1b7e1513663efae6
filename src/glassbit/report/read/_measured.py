"""The measurements in the run folders of one group."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from glassbit._errors import RunError
from glassbit.evidence import Measurement
from glassbit.runs import Variant

from ._study import Group, Run


@dataclass(frozen=True)
class Taken:
    """A finished run and what was measured of it, without its maps."""

    run: Run
    measurement: Measurement


@dataclass(frozen=True)
class LeftOut:
    """A finished run that is not in the tables; `why` is a sentence fragment."""

    id: str
    why: str


@dataclass(frozen=True)
class Measured:
    """What was measured of a group.

    Args:
        taken: variant by variant, seed by seed, all on the same images.
        left_out: the finished runs that are not among them.
    """

    taken: tuple[Taken, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def variants(self) -> tuple[Variant, ...]:
        """Those with a measurement, in the order of the group."""
        return tuple(dict.fromkeys(item.run.variant for item in self.taken))

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""
        return self.taken[0].measurement.classes

    @property
    def images(self) -> int:
        """How many images the metrics are measured on."""
        return len(self.taken[0].measurement.rows)

    def of(self, variant: Variant) -> tuple[Measurement, ...]:
        """Return the measurements of a variant, by seed."""
        return tuple(item.measurement for item in self.taken if item.run.variant == variant)

    def paired(self, variant: Variant, other: Variant) -> tuple[tuple[Measurement, ...], tuple[Measurement, ...]]:
        """Return the measurements of two variants over the seeds that both have, in one order."""
        first, second = (
            {item.run.seed: item.measurement for item in self.taken if item.run.variant == one}
            for one in (variant, other)
        )
        shared = sorted(first.keys() & second.keys())
        return tuple(first[seed] for seed in shared), tuple(second[seed] for seed in shared)


def read_measured(group: Group) -> Measured | None:
    """Read every measurement of a group once; None where nothing was measured.

    Differences are taken image by image, so a run measured on other images than the first is left out, as is one whose
    files cannot be read.
    """
    taken: list[Taken] = []
    left_out: list[LeftOut] = []
    for run in (run for variant in group.variants for run in group.of(variant)):
        measured = _read(run)
        if isinstance(measured, LeftOut):
            left_out.append(measured)
        elif taken and not _same_images(taken[0].measurement, measured):
            left_out.append(LeftOut(run.id, f"measured on other images than {taken[0].run.id}; measure both again"))
        else:
            taken.append(Taken(run, measured))
    return Measured(tuple(taken), tuple(left_out)) if taken else None


def _read(run: Run) -> Measurement | LeftOut:
    if not (run.folder / "transparency.json").is_file():
        return LeftOut(run.id, "not measured")
    try:
        measurement = Measurement.load(run.folder)
    except RunError as error:
        return LeftOut(run.id, str(error))
    if not measurement.is_of(run.id, run.head.digest):
        return LeftOut(run.id, f"the measurement in its folder is of another run, {measurement.name}; measure it again")
    return _without_maps(measurement)


def _without_maps(whole: Measurement) -> Measurement:
    """Return the same with one pixel of each map, so that the maps of all runs are not held at once."""
    corner = whole.maps[:, :1, :1].copy()
    return replace(whole, maps=corner, noisy_maps=corner)


def _same_images(first: Measurement, second: Measurement) -> bool:
    return (
        np.array_equal(first.rows, second.rows)
        and np.array_equal(first.labels, second.labels)
        and len(first.correct) == len(second.correct)
        and first.facts.get("images_digest") == second.facts.get("images_digest")
    )
