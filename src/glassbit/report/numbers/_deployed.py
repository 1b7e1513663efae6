"""The networks in integer arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from glassbit.report.read import Group, Run
from glassbit.runs import Variant

from ._accuracy import tested_by_seed
from ._statistics import Spread, paired, spread


@dataclass(frozen=True)
class Deployed:
    """A row of the table of deployed networks; accuracies in per cent on the test images, drops in points.

    Args:
        fake: with quantized values in floating point, before the epochs in deployed arithmetic.
        test: in deployed arithmetic.
        drop: what was lost from the one to the other, paired by seed.
        converted: validation accuracy lost by the conversion alone, before these epochs, in points.
        images: test images of each seed.
        validation_images: about how many validation images each seed had, where the run says so.
        ideal: bytes of the network, every number at its bits.
        artifact, onnx, explained: bytes of the files; the last two None where they were not written.
        single, many: how often the ONNX file is as fast as its float twin, one image and a batch at a time.
        absent: why there is no ONNX file, or "".
    """

    variant: Variant
    fake: Spread
    test: Spread
    drop: Spread | None
    converted: Spread | None
    images: int
    validation_images: int | None
    ideal: float | None
    artifact: float | None
    onnx: float | None
    explained: float | None
    single: Spread | None
    many: Spread | None
    absent: str


def deployments(group: Group) -> tuple[Deployed, ...]:
    """One row for each variant with a finished run that was trained in deployed arithmetic."""
    rows = []
    for variant in group.variants:
        results = {seed: one for seed, one in group.results_of(variant).items() if one.deployed}
        by_seed = {seed: one.deployed for seed, one in results.items() if one.deployed}
        before = tested_by_seed(results)
        after = {seed: 100.0 * one.test.accuracy for seed, one in by_seed.items()}
        test, fake = spread(list(after.values())), spread(list(before.values()))
        if test is None or fake is None:
            continue
        runs = [run for run in group.of(variant) if run.result is not None and run.result.deployed]
        first = next(iter(by_seed.values()))
        rows.append(
            Deployed(
                variant=variant,
                fake=fake,
                test=test,
                drop=paired(before, after),
                converted=spread([_lost_by_conversion(run) for run in runs]),
                images=first.test.n,
                validation_images=_held(runs[0]),
                ideal=first.bytes.get("stored"),
                artifact=first.bytes.get("artifact"),
                onnx=first.bytes.get("onnx"),
                explained=first.bytes.get("onnx_explained"),
                single=spread([one.speed_of_float.get("1") for one in by_seed.values()]),
                many=spread([one.speed_of_float.get("64") for one in by_seed.values()]),
                absent=first.absent,
            )
        )
    return tuple(rows)


def _held(run: Run) -> int | None:
    """About how many training images were held out for validation."""
    share, train = run.part("data").get("validation"), run.images.train
    if not isinstance(share, int | float) or train is None:
        return None
    return round(share * train) or None


def _lost_by_conversion(run: Run) -> float | None:
    """Points of validation accuracy between the last float epoch and the conversion."""
    first = next((index for index, epoch in enumerate(run.epochs) if epoch.converted is not None), 0)
    before, after = run.epochs[first - 1].validation if first else None, run.epochs[first].converted if first else None
    if before is None or after is None or before.accuracy is None or after.accuracy is None:
        return None
    return 100.0 * (before.accuracy - after.accuracy)
