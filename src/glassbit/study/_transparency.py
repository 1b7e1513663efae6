"""What a study measures of its runs' explanations: each run by itself, and every two of them against each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float64

from glassbit._errors import RunError, UnreadableError
from glassbit._files import read_json, write_json
from glassbit.datasets import Dataset, with_classes
from glassbit.evidence import MEASURES, Measurement
from glassbit.measure import WINDOW, Subject, TorchSubject, agreement, measure, random_maps
from glassbit.recipe import RunRecipe, model_slug
from glassbit.runs import RESULT

from ._facts import hardware, versions
from ._images import changes
from ._state import MEASURED, SavedRun, as_it_began, saved_run, trained_model
from ._whole import read_result

AGREEMENT = "agreement.json"
_COMPARED = 300
"""Images that every two runs are compared on."""


def run_subject(saved: SavedRun, *, trust: bool | str = False) -> Subject:
    """Return the network of a run with its best weights, to be measured.

    Args:
        saved: the run.
        trust: see `trained_model`.

    Raises:
        RunError: the run has no checkpoint yet.
        UsageError: its network is not trusted.
    """
    return TorchSubject(
        trained_model(saved.folder, trust=trust),
        name=saved.run.id,
        image_shape=(saved.channels, *saved.size),
        class_names=saved.classes,
    )


def run_facts(saved: SavedRun) -> dict[str, Any]:
    """Return what a run knows of itself, for the record."""
    run = saved.run
    finished = (saved.folder / RESULT).exists()
    return {
        "run": run.id,
        "run_digest": run.digest,
        "arm": run.arm,
        "plan": None if run.plan is None else run.plan.slug,
        "model": model_slug(run.model),
        "stored_bytes": read_result(saved.folder).cost.stored_bytes if finished else None,
        "versions": versions(),
        "hardware": hardware(),
    }


def is_measured(folder: Path, images: int) -> bool:
    """Whether a run has been measured on this number of images already; nothing to measure counts as done."""
    if not images:
        return True
    try:
        measurement = Measurement.load(folder)
        saved = saved_run(folder).run
        return measurement.facts.get("asked") == images and _is_of_run(measurement, saved)
    except UnreadableError:
        raise
    except RunError:
        return False


def measure_run(folder: Path, data: Dataset, *, images: int, progress: bool, trust: bool | str = False) -> None:
    """Measure the finished run in `folder`, unless that is done, and keep the numbers there.

    Args:
        folder: of the run.
        data: its images.
        images: how many to measure on.
        progress: show a bar when stderr is a terminal.
        trust: see `trained_model`.

    Raises:
        UsageError: its network cannot be explained, or `data` has other classes.
        RunError: it has no checkpoint, or `data` has other test images than in training.
    """
    if is_measured(folder, images):
        return
    saved = saved_run(folder)
    differing = changes(saved, with_classes(data, saved.classes, network=saved.run.id), parts=("test",))
    if differing:
        raise RunError(
            f"{folder}: must be measured on the test images of its training; got {'; '.join(differing)} in "
            f"{data.name}; bring the old images back, or delete the folder to train on the new ones"
        )
    facts = {**run_facts(saved), "asked": images}
    with as_it_began(folder, saved.run):
        measurement = measure(
            run_subject(saved, trust=trust), data, images=images, seed=saved.run.seed, facts=facts, progress=progress
        )
    measurement.save(folder)


def write_agreement(out: Path, runs: Sequence[RunRecipe]) -> None:
    """Compare the maps of every two measured runs of a data set, and write `agreement.json` into the study's folder;
    maps smaller than the window of SSIM are not compared.

    Pairs by `kind`: `between` two variants trained from the same seed; `seeds`, a variant from two seeds; `ceiling`, a
    run with itself under a little noise; `zero`, a run with its own map in random order.
    """
    measured = {
        name: measurement for name, measurement in _measured(out, runs) if min(measurement.maps.shape[1:]) >= WINDOW
    }
    of = {name: measurement.facts["network_digest"] for name, measurement in measured.items()}
    count = min([_COMPARED, *(len(measurement.rows) for measurement in measured.values())])
    try:
        if read_json(out / AGREEMENT)["of"] == of:
            return
    except (OSError, ValueError, KeyError, TypeError):
        pass
    by_id = {run.id: run for run in runs}
    pairs = []
    for name, one in measured.items():
        for kind, other in (("ceiling", one.noisy_maps), ("zero", random_maps(one.maps))):
            pairs.append(_pair(name, name, kind, one, other[:count]))
    for (a, first), (b, second) in combinations(measured.items(), 2):
        same_variant = _variant(by_id[a]) == _variant(by_id[b])
        same_images = first.facts["images_digest"] == second.facts["images_digest"]
        if same_images and (same_variant or by_id[a].seed == by_id[b].seed):
            pairs.append(_pair(a, b, "seeds" if same_variant else "between", first, second.maps[:count], second))
    if pairs:
        write_json(out / AGREEMENT, {"images": count, "of": of, "pairs": pairs})


def _measured(out: Path, runs: Sequence[RunRecipe]) -> Iterator[tuple[str, Measurement]]:
    for run in runs:
        folder = out / "runs" / run.id
        if (folder / MEASURED).is_file():
            try:
                measurement = Measurement.load(folder)
            except RunError:
                continue  # a report is made of what is readable; the next study measures this run again
            if _is_of_run(measurement, run):
                yield run.id, measurement


def _is_of_run(measurement: Measurement, run: RunRecipe) -> bool:
    """Whether it is of this run, and says which network and which images, as those do that a study takes."""
    told = all(isinstance(measurement.facts.get(name), str) for name in ("network_digest", "images_digest"))
    return told and measurement.is_of(run.id, run.digest)


def _variant(run: RunRecipe) -> RunRecipe:
    return run.model_copy(update={"seed": 0})


def _pair(
    a: str, b: str, kind: str, first: Measurement, maps: Float[np.ndarray, "n h w"], second: Measurement | None = None
) -> dict[str, Any]:
    similarity = agreement(first.maps[: len(maps)], maps)
    means: dict[str, float | None] = {name: _mean(getattr(similarity, name)) for name in MEASURES}
    same = second is None or (first.predictions == second.predictions)[: len(maps)]
    return {"a": a, "b": b, "kind": kind, **means, "predictions": float(np.mean(same))}


def _mean(values: Float64[np.ndarray, " n"]) -> float | None:
    """Return the mean of the numbers that are not NaN; None where every map was constant."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
