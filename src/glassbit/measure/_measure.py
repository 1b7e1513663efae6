"""Everything that is measured of one network, in one call."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float16, Float64, Int64

from glassbit._count import counted
from glassbit._errors import UsageError
from glassbit._progress import bar
from glassbit._takes import SWITCH, WHOLE, instance, optional, takes, whole
from glassbit.datasets import OBJECT, SHORTCUT, Dataset, match_classes
from glassbit.evidence import Measurement

from ._agreement import noisy_maps
from ._ground_truth import pointing_game, region_share, relevance_mass
from ._images import DATASET, SUBJECT, Images, draw
from ._infidelity import infidelity
from ._randomisation import randomisation
from ._removal import remove
from ._sensitivity import max_sensitivity
from ._sparseness import entropy, gini
from ._subject import Subject

RADII = {"max_sensitivity_002": 0.02, "max_sensitivity_010": 0.1}
REGIONS = {"object": OBJECT, "shortcut": SHORTCUT}
_RANDOMISED = 100
_CHUNK = 1000

FACTS = instance(Mapping, "a mapping, such as a dict", "leave it out, or pass a dict of plain values")

Values = dict[str, Float[np.ndarray, " n"]]
Step = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]


@takes(
    subject=SUBJECT,
    data=DATASET,
    images=whole(1, usual=1000),
    seed=optional(WHOLE),
    facts=optional(FACTS),
    progress=SWITCH,
)
def measure(
    subject: Subject,
    data: Dataset,
    *,
    images: int = 1000,
    seed: int | None = None,
    facts: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> Measurement:
    """Take every measurement of `evidence.METRICS` that the network allows, on test images.

    All networks of a data set are measured on the same images, with the same noise and the same random orders, and
    asked about the true label, so that their differences can be taken image by image.

    Args:
        subject: the network.
        data: its data set; images come from the test part.
        images: how many; the accuracy is always that of the whole test part.
        seed: of the network's training, to tell it from its twins; None where it has none.
        facts: what else is known of the network, kept with the numbers.
        progress: show bars when stderr is a terminal.

    Returns:
        Values per image, the maps, curves, and the reason of everything that could not be measured.

    Raises:
        UsageError: the network does not fit the images or their classes, or cannot be explained at all.
    """
    logit_of = torch.tensor(fit_classes(subject, data))
    started = time.monotonic()
    chosen = draw(data, images)
    asked = subject, chosen.pixels, logit_of[chosen.labels]
    step = partial(_step, subject.name, progress)
    with step("maps", None):  # first, as there are networks without
        maps = subject.saliency(*asked[1:])
        noisy = noisy_maps(*asked)
    predictions = logit_of.argsort().numpy()[_predictions(subject, data, step)]
    with step("removed pixels", len(maps)) as advance:
        removal = remove(*asked, maps, progress=advance)
    values: Values = {**removal.road(), **removal.gaps()}
    for name, radius in RADII.items():
        with step(f"noise of {radius}", len(maps)) as advance:
            values[name] = max_sensitivity(*asked, radius=radius, progress=advance)
    absent: dict[str, str] = {}
    with step("infidelity", len(maps)) as advance, _noting(absent, "infidelity"):
        values["infidelity"] = infidelity(*asked, progress=advance)
    values |= {"gini": gini(maps.numpy()), "entropy": entropy(maps.numpy())}
    layers: tuple[tuple[str, float], ...] = ()
    with step("random weights, layers", None) as advance, _noting(absent, "randomisation"):
        few = subject, chosen.pixels[:_RANDOMISED], asked[2][:_RANDOMISED]
        randomised = randomisation(*few, progress=advance)
        layers = tuple(zip(randomised.layers, map(_mean, randomised.spearman), strict=True))
    grounded, shares = _ground_truth(maps.numpy(), chosen, absent)
    labels = data.test.labels.numpy()
    return Measurement(
        name=subject.name,
        seed=seed,
        classes=data.classes,
        rows=chosen.rows,
        labels=chosen.labels.numpy(),
        predictions=predictions[chosen.rows],
        correct=predictions == labels,
        values={name: value.astype(np.float32) for name, value in (values | grounded).items()},
        fractions=removal.fractions,
        curves=removal.curves(),
        maps=_small(maps.numpy()),
        noisy_maps=_small(noisy),
        randomisation=layers,
        absent=absent,
        facts={
            **(facts or {}),
            "data": data.name,
            "images_digest": chosen.digest,
            "network_digest": subject.digest,
            "region_shares": shares,
            "seconds": round(time.monotonic() - started, 1),
        },
    )


@takes(subject=SUBJECT, data=DATASET)
def fit_classes(subject: Subject, data: Dataset) -> tuple[int, ...]:
    """Whether a network fits the images of a data set, and which of its logits stands for each label.

    Raises:
        UsageError: the images have another shape, or the classes are others; see `datasets.match_classes`.
    """
    _check(subject, data)
    if subject.class_names is None:
        return tuple(range(subject.classes))
    return match_classes(subject.class_names, data, network=subject.name)


def _check(subject: Subject, data: Dataset) -> None:
    shape = (data.channels, *data.size)
    unnamed = subject.class_names is None
    if subject.image_shape != shape or (unnamed and subject.classes != len(data.classes)):
        takes = f"{counted(subject.classes, 'class', 'classes')} of images {_by(subject.image_shape)}"
        raise UsageError(
            f"{subject.name}: must fit {data.name}, which has {counted(len(data.classes), 'class', 'classes')} "
            f"of images {_by(shape)}; got a network that takes {takes}"
        )


def _predictions(subject: Subject, data: Dataset, step: Step) -> Int64[np.ndarray, " m"]:
    """Return the predicted class of every test image."""
    parts = []
    with step("all test images", len(data.test)) as advance:
        for pixels, _ in data.test.chunks(_CHUNK):
            parts.append(subject.logits(pixels).argmax(1).numpy())
            advance(len(pixels))
    return np.concatenate(parts)


def _mean(values: Float64[np.ndarray, " n"]) -> float:
    """Return the mean of the numbers that are not NaN; NaN where there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _small(maps: Float[np.ndarray, "n h w"]) -> Float16[np.ndarray, "n h w"]:
    """Each map by its maximum, in half precision: agreement does not depend on the scale."""
    top = maps.max((1, 2), keepdims=True)
    return (maps / np.where(top > 0, top, 1)).astype(np.float16)


def _ground_truth(
    maps: Float[np.ndarray, "n h w"], chosen: Images, absent: dict[str, str]
) -> tuple[Values, dict[str, float]]:
    """Return the measurements for which the data set marks regions, and the share of pixels in each region."""
    values: Values = {}
    shares: dict[str, float] = {}
    for name, code in REGIONS.items():
        inside = None if chosen.regions is None else chosen.regions == code
        if inside is None or not inside.any():
            for metric in ("mass", "pointing"):
                absent[f"{name}_{metric}"] = f"the data set does not say where the {name} is"
            continue
        values[f"{name}_mass"] = relevance_mass(maps, inside)
        values[f"{name}_pointing"] = pointing_game(maps, inside)
        shares[name] = float(region_share(inside).mean())
    return values, shares


def _step(name: str, progress: bool, what: str, total: int | None) -> AbstractContextManager[Callable[[int], None]]:
    return bar(f"{name}: {what}", total, show=progress)


@contextmanager
def _noting(absent: dict[str, str], metric: str) -> Iterator[None]:
    """Keep the reason why this network cannot be measured in this way."""
    try:
        yield
    except UsageError as error:
        absent[metric] = str(error)


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
