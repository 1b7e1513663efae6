"""Measurements of networks that do not exist: seeded numbers, and maps that have something in common."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from glassbit.evidence import METRICS, Measurement

COUNT = 40
TEST_IMAGES = 500
SIZE = (9, 8)
CLASSES = ("shirt", "shoe", "bag")


def invented(
    *, name: str = "reference", seed: int = 0, noise: float = 0.3, n: int = COUNT, **changes: Any
) -> Measurement:
    """One network.

    Args:
        name: of it.
        seed: of everything that another training would change.
        noise: how far its maps are from what all networks have in common; under input noise they move by 0.3.
        n: images.
        changes: fields to replace.
    """
    rng = np.random.default_rng([seed, 2])
    common = np.random.default_rng(1).gamma(0.7, size=(n, *SIZE))
    labels = np.random.default_rng(3).integers(3, size=n)
    maps = common * rng.lognormal(0, noise, common.shape)
    found = Measurement(
        name=name,
        seed=seed,
        classes=CLASSES,
        rows=np.sort(np.random.default_rng(4).permutation(TEST_IMAGES)[:n]),
        labels=labels,
        predictions=np.where(rng.random(n) < 0.9, labels, (labels + 1) % 3),
        correct=rng.random(TEST_IMAGES) < 0.9,
        values={
            metric.key: rng.normal(0.4, 0.2, n).astype(np.float32)
            for metric in METRICS
            if metric.group != "ground truth"
        },
        curves={"accuracy linear most": (0.9, 0.5, 0.1)},
        fractions=(0.0, 0.5, 1.0),
        maps=maps.astype(np.float16),
        noisy_maps=(maps * rng.lognormal(0, 0.3, common.shape)).astype(np.float16),
        randomisation=(("fc", 0.4), ("conv", 0.1)),
        absent={
            metric.key: "the data set does not say where the object is"
            for metric in METRICS
            if metric.group == "ground truth"
        },
        facts={"data": "invented", "images_digest": "abc", "seconds": 1.5},
    )
    return replace(found, **changes)
