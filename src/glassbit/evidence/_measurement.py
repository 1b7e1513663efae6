"""What was measured of one network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float16, Float32, Int64

from glassbit._arguments import is_real, is_whole
from glassbit._count import counted
from glassbit._errors import RunError
from glassbit._takes import FOUND, PATH, takes

from . import _stored
from ._interval import BRACKETS, interval
from ._metrics import METRICS

_NAME = "transparency"
_VERSION = 1
_AGAIN = "measure the network again with `glassbit measure`"
_ARRAYS = ("rows", "labels", "predictions", "correct", "maps", "noisy_maps")
_VALUES = "values/"
_GROUNDED = {metric.key for metric in METRICS if metric.group == "ground truth"}


@dataclass(frozen=True, eq=False)
class Measurement:
    """The maps of one network on n test images, every metric's value on each of them, and what must be known to read
    them.

    Args:
        name: of the network, for tables.
        seed: of its training; None where it is not known.
        classes: the class names.
        rows: which test images, as indices into the test set.
        labels: their true classes, which the maps explain.
        predictions: of the network on them.
        correct: whether the network is right, on all m images of the test set.
        values: by the key of a metric (`METRICS`), one value per image; NaN where the metric is undefined on it.
        curves: by what they show, e.g. "accuracy linear most"; one mean a removed share.
        fractions: the removed shares.
        maps: saliency of the true class's logit. As float16, so finite and at most 65504.
        noisy_maps: of the same images with a little noise, which is how much a map changes by itself.
        randomisation: (layer, mean Spearman correlation of the map with the original) as layers are re-drawn from the
            top.
        absent: by the key of a metric, or `randomisation`, why it was not measured.
        facts: plain JSON values: `data` and `images_digest`, by which measurements of different images are told apart;
            model, versions, seconds, stored bits, ...
    """

    name: str
    seed: int | None
    classes: tuple[str, ...]
    rows: Int64[np.ndarray, " n"]
    labels: Int64[np.ndarray, " n"]
    predictions: Int64[np.ndarray, " n"]
    correct: Bool[np.ndarray, " m"]
    values: Mapping[str, Float32[np.ndarray, " n"]]
    curves: Mapping[str, tuple[float, ...]]
    fractions: tuple[float, ...]
    maps: Float16[np.ndarray, "n h w"]
    noisy_maps: Float16[np.ndarray, "n h w"]
    randomisation: tuple[tuple[str, float], ...]
    absent: Mapping[str, str]
    facts: Mapping[str, Any]

    def __post_init__(self) -> None:
        assert self.values.keys() <= {metric.key for metric in METRICS}, "a value of no metric"

    @property
    def accuracy(self) -> float:
        """Over the whole test set."""
        return float(self.correct.mean())

    def is_of(self, run: str, digest: str | None) -> bool:
        """Whether it is of this run, as far as it says: measurements of files and of earlier versions do not.

        Args:
            run: the id of the run.
            digest: of its recipe, where it is known.
        """
        told = ((self.facts.get("run"), run), (self.facts.get("run_digest"), digest))
        return all(mine == its for mine, its in told if None not in (mine, its))

    def lines(self) -> list[str]:
        """For a terminal: every metric with its interval, and what could not be measured."""
        arrows = {"higher": "higher is better", "lower": "lower is better", "": ""}
        regions = self.facts.get("region_shares") or {}
        rows = []
        for metric in METRICS:
            if metric.key in self.values:
                chance = regions.get(metric.key.partition("_")[0])
                note = arrows[metric.better] if chance is None else f"{arrows[metric.better]}; chance is {chance:.3f}"
                known = interval(self.values[metric.key][None])
                rows.append(f"  {metric.title:<26} {known.text():<26} {note}".rstrip())
        accuracy = interval(self.correct[None].astype(np.float64))
        return [
            f"{self.name}: {counted(len(self.rows), 'test image')}, accuracy on all {len(self.correct):,}",
            f"  {'accuracy':<26} {accuracy.text()}",
            *rows,
            *(f"not measured, {key}: {reason}" for key, reason in self.absent.items() if key not in _GROUNDED),
            BRACKETS,
        ]

    def to_json(self) -> dict[str, Any]:
        """Everything but the arrays, with a mean and its interval over images (`interval`) for each metric."""
        return {
            "name": self.name,
            "seed": self.seed,
            "accuracy": interval(self.correct[None].astype(np.float64)).to_json(),
            "metrics": {
                metric.key: {
                    "title": metric.title,
                    "better": metric.better,
                    **interval(self.values[metric.key][None]).to_json(),
                }
                for metric in METRICS
                if metric.key in self.values
            },
            "absent": dict(self.absent),
            "fractions": list(self.fractions),
            "curves": {name: [_stored.number(value) for value in curve] for name, curve in self.curves.items()},
            "randomisation": [[layer, _stored.number(value)] for layer, value in self.randomisation],
            "facts": dict(self.facts),
            "classes": list(self.classes),
        }

    @takes(folder=PATH)
    def save(self, folder: Path | str) -> None:
        """Write `transparency.npz`, then `transparency.json`, each atomically."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        arrays |= {f"{_VALUES}{key}": value for key, value in self.values.items()}
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
            return cls(
                name=summary["name"],
                seed=summary["seed"],
                classes=tuple(summary["classes"]),
                values={key.removeprefix(_VALUES): value for key, value in arrays.items() if key.startswith(_VALUES)},
                curves={
                    name: tuple(_stored.from_number(value) for value in curve)
                    for name, curve in summary["curves"].items()
                },
                fractions=tuple(summary["fractions"]),
                randomisation=tuple((layer, _stored.from_number(value)) for layer, value in summary["randomisation"]),
                absent=summary["absent"],
                facts=summary["facts"],
                **{name: arrays[name] for name in _ARRAYS},
            )
        except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
            raise RunError(
                f"{folder / _NAME}.json: must hold a measurement; got: {_stored.fault(error)}; {_AGAIN}"
            ) from error


def _check(summary: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Refuse a summary whose values are not of the kind that `Measurement.to_json` writes.

    Raises:
        ValueError: with the first key that is wrong.
    """
    facts, shares = summary["facts"], summary["fractions"]
    known = isinstance(facts, dict)
    _stored.check(
        ("name", isinstance(summary["name"], str)),
        ("seed", summary["seed"] is None or is_whole(summary["seed"])),
        ("classes", _stored.are(summary["classes"], lambda name: isinstance(name, str))),
        ("classes", arrays["labels"].size == 0 or arrays["labels"].max() < len(summary["classes"])),
        ("fractions", _stored.are(shares, is_real)),
        (
            "curves",
            _stored.are_of(
                summary["curves"], lambda curve: _stored.are(curve, _is_number) and len(curve) == len(shares)
            ),
        ),
        ("randomisation", _stored.are(summary["randomisation"], _is_layer)),
        ("absent", _stored.are_of(summary["absent"], lambda why: isinstance(why, str))),
        ("facts", known),
        ("facts.region_shares", known and _stored.are_of(facts.get("region_shares") or {}, is_real)),
        ("facts.stored_bytes", known and (facts.get("stored_bytes") is None or is_real(facts["stored_bytes"], 0))),
    )


def _is_number(value: Any) -> bool:
    return value is None or is_real(value)


def _is_curve(values: Any, length: int) -> bool:
    return _stored.are(values, _is_number) and len(values) == length


def _is_layer(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) and _is_number(pair[1])
