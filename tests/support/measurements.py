"""Measurements of invented numbers, with effects of a known size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glassbit.evidence import METRICS, Agreement, Comparison, Measurement

CLASSES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
FRACTIONS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
PLAIN = tuple(metric.key for metric in METRICS if metric.group != "ground truth")
LEVELS = {"road_gap": 0.15, "max_sensitivity_002": 0.4, "max_sensitivity_010": 0.9, "entropy": 0.85, "gini": 0.6}


def measurement(
    name: str = "net",
    *,
    seed: int | None = 0,
    n: int = 60,
    shift: Mapping[str, float] | None = None,
    keys: Sequence[str] = PLAIN,
    wobble: float = 0.002,
    accuracy: float = 0.9,
    steep: float = 0.7,
    side: int = 12,
    classes: Sequence[str] = CLASSES,
    absent: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
    rows: int = 0,
) -> Measurement:
    """One network: each metric is its level, plus what the image is worth, plus `shift`, plus `wobble` of the seed.

    Args:
        rows: the first row of the test set that was measured.
    """
    common = np.random.default_rng(7)
    own = np.random.default_rng([0 if seed is None else seed, *name.encode()])
    labels = np.arange(n) % len(classes)
    image = {metric.key: centred(common.normal(0, 0.1, n)) for metric in METRICS}
    moved = shift or {}
    values = {
        key: LEVELS.get(key, 0.1) + image[key] + moved.get(key, 0.0) + own.normal(0, wobble) + own.normal(0, wobble, n)
        for key in keys
    }
    right = common.random(2 * n) < accuracy + own.normal(0, 0.01)
    predictions = np.where(right[:n], labels, (labels + 1) % len(classes))
    curves = {}
    for order, slope in (("most", steep), ("random", 0.5), ("least", 0.2)):
        for fill in ("constant", "linear"):
            line = tuple(accuracy * (1 - slope * x) + float(own.normal(0, wobble)) for x in FRACTIONS)
            curves |= {f"accuracy {fill} {order}": line, f"probability {fill} {order}": line}
    maps = own.random((n, side, side)).astype(np.float16)
    return Measurement(
        name=name,
        seed=seed,
        classes=tuple(classes),
        rows=np.arange(rows, rows + n),
        labels=labels,
        predictions=predictions,
        correct=right,
        values={key: value.astype(np.float32) for key, value in values.items()},
        curves=curves,
        fractions=FRACTIONS,
        maps=maps,
        noisy_maps=maps,
        randomisation=(("4.fc", 0.6), ("3.conv", 0.3), ("0.conv", 0.05)),
        absent=dict(absent or {}),
        facts={"data": "invented", **(facts or {})},
    )


def centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean()


def comparison(
    a: Measurement, b: Measurement, *, shown: int = 3, floor: bool = True, images: bool = True
) -> Comparison:
    """Two measurements side by side, with invented agreements."""
    random = np.random.default_rng(3)
    n, side = len(a.rows), a.maps.shape[-1]

    def around(level: float) -> Agreement:
        return Agreement(*(level + centred(random.normal(0, 0.05, n)) for _ in range(3)))

    agreement = {"between": around(0.4), "ceiling": around(0.6), "zero": around(0.0)}
    if floor:
        agreement["floor"] = around(0.3)
    chosen = np.argsort(agreement["between"].spearman)[:shown]
    return Comparison(
        names=(a.name, b.name),
        classes=a.classes,
        rows=a.rows,
        labels=a.labels,
        predictions=np.stack([a.predictions, b.predictions]),
        correct=np.stack([a.correct, b.correct]),
        values={key: np.stack([a.values[key], b.values[key]]) for key in a.values if key in b.values},
        absent={**a.absent, **b.absent},
        agreement=agreement,
        shown=chosen,
        maps=np.stack([a.maps[chosen], b.maps[chosen]]),
        images=random.integers(0, 256, (shown, 1, side, side), np.uint8) if images else None,
    )
