"""Two networks side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int64, UInt8

from glassbit._count import counted
from glassbit._errors import RunError
from glassbit._takes import FOUND, PATH, takes

from . import _stored
from ._agreement import Agreement
from ._interval import BRACKETS, Interval, interval
from ._metrics import METRICS
from ._paired import Paired, paired

Pair = Literal["between", "ceiling", "floor", "zero"]
Measure = Literal["spearman", "ssim", "iou"]
PAIRS: tuple[Pair, ...] = ("between", "ceiling", "floor", "zero")
MEASURES: tuple[Measure, ...] = ("spearman", "ssim", "iou")
SHOWN = 12

_NAME = "comparison"
_VERSION = 1
_AGAIN = "compare the networks again with `glassbit compare`"
_ARRAYS = ("rows", "labels", "predictions", "correct", "shown", "maps")
_VALUES = "values/"


@dataclass(frozen=True, eq=False)
class Comparison:
    """A network a, the reference, and a network b, the candidate, on the same n test images.

    All intervals are over images: they say nothing of another training of either network.

    Args:
        names: of a and b.
        classes: the class names.
        rows: which test images, as indices into the test set.
        labels: their true classes.
        predictions: of a and of b.
        correct: whether a and b are right, on all m images of the test set.
        values: by the key of a metric that both have, the values of a and of b; NaN where it is undefined.
        absent: by the key of a metric that one of them lacks, why.
        agreement: of the maps of a with, `between`: those of b; `ceiling`: its own under a little noise; `floor`: those
            of the same network from another seed, where one was given; `zero`: its own with their pixels in random
            order.
        shown: the images on which the maps of a and b differ most, as indices into `rows`, the most different first.
        maps: of a and of b for these images.
        images: these images, where they were given.
    """

    names: tuple[str, str]
    classes: tuple[str, ...]
    rows: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    predictions: Int64[np.ndarray, "2 n"]
    correct: Bool[np.ndarray, "2 m"]
    values: Mapping[str, Float32[np.ndarray, "2 n"]]
    absent: Mapping[str, str]
    agreement: Mapping[Pair, Agreement]
    shown: Int64[np.ndarray, " k"]
    maps: Float16[np.ndarray, "2 k h w"]
    images: UInt8[np.ndarray, "k c h w"] | None

    @property
    def different(self) -> Int64[np.ndarray, " k"]:
        """The images of `shown`, as indices into the test set."""
        rows: Int64[np.ndarray, " k"] = self.rows[self.shown]
        return rows

    @cached_property
    def accuracy(self) -> Paired:
        """Over the whole test set."""
        return paired(*self.correct.astype(np.float64))

    @cached_property
    def metrics(self) -> Mapping[str, Paired]:
        """Every metric that both have, in the order of `METRICS`."""
        return {metric.key: paired(*self.values[metric.key]) for metric in METRICS if metric.key in self.values}

    @cached_property
    def same_prediction(self) -> Interval:
        """How often a and b predict the same class, right or wrong."""
        first, second = self.predictions
        return interval((first == second)[None].astype(np.float64))

    @cached_property
    def agreements(self) -> Mapping[Pair, Mapping[Measure, Interval]]:
        """The mean agreement of each pair, with its interval."""
        return {
            pair: {measure: interval(getattr(self.agreement[pair], measure)[None]) for measure in MEASURES}
            for pair in PAIRS
            if pair in self.agreement
        }

    @cached_property
    def relative(self) -> Mapping[Measure, Interval | None]:
        """Agreement relative to its anchors: 0 is chance, 1 is what a has with itself under a little noise.

            (between - zero) / (ceiling - zero), of the means

        An image whose map is constant or not finite for b alone counts as chance: b says nothing where a does.
        None where the ceiling is not clearly above zero: the maps of a are then too unsteady to compare anything with.
        """
        return {measure: self._relative(measure) for measure in MEASURES}

    def _relative(self, measure: Measure) -> Interval | None:
        between, ceiling, zero = (getattr(self.agreement[pair], measure) for pair in ("between", "ceiling", "zero"))
        above_chance = np.where(np.isnan(between), 0.0, between - zero)
        return paired(ceiling - zero, above_chance).ratio

    def lines(self) -> list[str]:
        """For a terminal: the two networks side by side, every difference with its interval."""
        a, b = self.names
        titles = {metric.key: metric.title for metric in METRICS}
        rows = {"accuracy": self.accuracy, **{titles[key]: paired for key, paired in self.metrics.items()}}
        return [
            f"{b} against {a}: {counted(len(self.rows), 'test image')}, accuracy on all {self.correct.shape[1]:,}",
            f"  {'same prediction':<26} {self.same_prediction.text()}",
            *(f"  {f'maps agree, {measure}':<26} {self._agreed(measure)}" for measure in MEASURES),
            *(
                f"  {title:<26} {paired.a.mean:.3f} -> {paired.b.mean:.3f}, difference {paired.difference.text()}"
                for title, paired in rows.items()
            ),
            BRACKETS,
        ]

    def _agreed(self, measure: Measure) -> str:
        means = {pair: similarities[measure].mean for pair, similarities in self.agreements.items()}
        seeds = f", another seed {means['floor']:.3f}" if "floor" in means else ""
        return (
            f"{self.agreements['between'][measure].text()}; between chance {means['zero']:.3f} and itself under noise "
            f"{means['ceiling']:.3f}{seeds}"
        )

    def to_json(self) -> dict[str, Any]:
        """All means with their intervals, and the images that differ most."""
        titles = {metric.key: {"title": metric.title, "better": metric.better} for metric in METRICS}
        between = self.agreement["between"].spearman
        return {
            "names": list(self.names),
            "accuracy": self.accuracy.to_json(),
            "same_prediction": self.same_prediction.to_json(),
            "metrics": {key: {**titles[key], **part.to_json()} for key, part in self.metrics.items()},
            "absent": dict(self.absent),
            "agreement": {
                pair: {measure: part.to_json() for measure, part in by_measure.items()}
                for pair, by_measure in self.agreements.items()
            },
            "relative": {measure: None if part is None else part.to_json() for measure, part in self.relative.items()},
            "different": [
                {
                    "row": int(self.rows[place]),
                    "label": self.classes[self.labels[place]],
                    "predictions": [self.classes[prediction] for prediction in self.predictions[:, place]],
                    "spearman": _stored.number(between[place]),
                }
                for place in self.shown
            ],
            "classes": list(self.classes),
        }

    @takes(folder=PATH)
    def save(self, folder: Path | str) -> None:
        """Write `comparison.npz`, then `comparison.json`, each atomically."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {f"{_VALUES}{key}": value for key, value in self.values.items()}
        arrays |= {
            f"{pair}/{measure}": getattr(similarities, measure)
            for pair, similarities in self.agreement.items()
            for measure in MEASURES
        }
        if self.images is not None:
            arrays["images"] = self.images
        _stored.save(Path(folder), _NAME, version=_VERSION, summary=self.to_json(), arrays=arrays)

    @classmethod
    @takes(folder=FOUND)
    def load(cls, folder: Path | str) -> Self:
        """Read what `save` wrote.

        Raises:
            RunError: a file is missing, foreign, damaged, or of another version.
        """
        folder = Path(folder)
        summary, arrays = _stored.load(folder, _NAME, version=_VERSION, again=_AGAIN)
        try:
            _check(summary, arrays)
            first, second = summary["names"]
            return cls(
                names=(first, second),
                classes=tuple(summary["classes"]),
                values={key.removeprefix(_VALUES): value for key, value in arrays.items() if key.startswith(_VALUES)},
                absent=summary["absent"],
                agreement={
                    pair: Agreement(*(arrays[f"{pair}/{measure}"] for measure in MEASURES))
                    for pair in PAIRS
                    if pair in summary["agreement"]
                },
                images=arrays.get("images"),
                **{name: arrays[name] for name in _ARRAYS},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"{folder / _NAME}.json: must hold a comparison; got: {_stored.fault(error)}; {_AGAIN}"
            ) from error


def _check(summary: Mapping[str, Any], arrays: Mapping[str, _stored.Array]) -> None:
    """Refuse a summary whose values are not of the kind that `Comparison.to_json` writes, or arrays that do not belong
    together.

    Raises:
        ValueError: with the first key that is wrong.
    """
    names, classes, agreement, rows = summary["names"], summary["classes"], summary["agreement"], arrays["rows"]
    shown, values = arrays["shown"], [array for key, array in arrays.items() if key.startswith(_VALUES)]
    compared = agreement if isinstance(agreement, dict) else {}
    known = len(classes) if isinstance(classes, list) else 0
    measured = [arrays[f"{pair}/{measure}"] for pair in PAIRS if pair in compared for measure in MEASURES]
    _stored.check(
        ("names", _stored.are(names, _is_text) and len(names) == 2),
        ("classes", _stored.are(classes, _is_text)),
        ("absent", _stored.are_of(summary["absent"], _is_text)),
        ("agreement", {"between", "ceiling", "zero"} <= compared.keys() <= set(PAIRS)),
        ("rows", rows.ndim == 1),
        ("labels", arrays["labels"].shape == rows.shape and _are_below(arrays["labels"], known)),
        ("predictions", arrays["predictions"].shape == (2, *rows.shape)),
        ("predictions", _are_below(arrays["predictions"], known)),
        ("correct", arrays["correct"].ndim == 2 and len(arrays["correct"]) == 2),
        ("values", all(array.shape == (2, *rows.shape) for array in values)),
        ("agreement", all(array.shape == rows.shape for array in measured)),
        ("shown", shown.ndim == 1 and _are_below(shown, len(rows))),
        ("maps", arrays["maps"].ndim == 4 and arrays["maps"].shape[:2] == (2, *shown.shape)),
        ("images", "images" not in arrays or arrays["images"].shape[:1] == shown.shape),
    )


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_below(values: _stored.Array, most: int) -> bool:
    return values.size == 0 or (values.dtype.kind in "iu" and values.min() >= 0 and values.max() < most)
