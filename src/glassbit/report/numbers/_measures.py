"""The numbers of one group: accuracy, cost, masking areas, activation shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from glassbit.report.read import Group, Run, Variant

from ._statistics import Spread, area, paired, spread


@dataclass(frozen=True)
class Accuracy:
    """A row of the accuracy table; accuracies in per cent, drops in points (positive = lost).

    Args:
        drop: from the fp32 arm of the same study, paired by seed; None for fp32 itself and where no seed is shared.
        drop_own: from the full-precision arm of the same objective; only for arms that mask.
        own: the name of that arm.
    """

    variant: Variant
    seeds: tuple[int, ...]
    test: Spread
    validation: Spread | None
    drop: Spread | None
    drop_own: Spread | None
    own: str | None
    cost: Mapping[str, Any]


@dataclass(frozen=True)
class Masking:
    """A row of the masking table: areas of accuracy (a fraction) over the removed fraction.

    Args:
        area: random-order curve minus salient-order curve.
        normalised: the same, each curve divided by the run's own accuracy at nothing removed.
        least: least-salient-first curve minus salient-order curve; None where it was not measured.
        images: how many images each curve is measured on.
        reach: the largest removed fraction measured.
    """

    variant: Variant
    fill: str
    area: Spread
    normalised: Spread | None
    least: Spread | None
    images: int | None
    reach: float


@dataclass(frozen=True)
class Cost:
    """What one plan costs, layer by layer; `left` are the layers that stay as they are, with the reason."""

    plan: str | None
    rows: tuple[Mapping[str, Any], ...]
    total: Mapping[str, Any]
    left: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Shares:
    """Clipped and exactly-zero shares of one layer's activations in the last epoch, in per cent."""

    variant: Variant
    layer: str
    clipped: Spread | None
    zeros: Spread | None


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
    images: int | None
    validation_images: int | None
    ideal: float | None
    artifact: float | None
    onnx: float | None
    explained: float | None
    single: Spread | None
    many: Spread | None
    absent: str


def accuracies(group: Group) -> list[Accuracy]:
    """One row for each variant that has a finished run."""
    by_variant = {variant: by_seed(group.of(variant)) for variant in group.variants}
    rows = []
    for variant in group.variants:
        runs = group.of(variant)
        test = spread(list(by_variant[variant].values()))
        if test is None:
            continue
        own = variant.float_arm if variant.float_arm != "fp32" else None
        rows.append(
            Accuracy(
                variant=variant,
                seeds=tuple(by_variant[variant]),
                test=test,
                validation=spread([_percent(_result(run, "validation").get("accuracy")) for run in runs]),
                drop=_drop(by_variant, variant, "fp32"),
                drop_own=None if own is None else _drop(by_variant, variant, own),
                own=own,
                cost=next((_result(run, "cost") for run in runs if _result(run, "cost")), {}),
            )
        )
    return rows


def deployments(group: Group) -> list[Deployed]:
    """One row for each variant with a finished run that was trained in deployed arithmetic."""
    rows = []
    for variant in group.variants:
        runs = [run for run in group.of(variant) if _result(run, "deployed")]
        found = [_result(run, "deployed") for run in runs]
        after = {
            run.seed: value
            for run, one in zip(runs, found, strict=True)
            if (value := _percent((one.get("test") or {}).get("accuracy"))) is not None
        }
        test, fake = spread(list(after.values())), spread(list(by_seed(runs).values()))
        if test is None or fake is None:
            continue
        files = found[0].get("bytes") or {}
        ratios = [one.get("speed_of_float") or {} for one in found]
        rows.append(
            Deployed(
                variant=variant,
                fake=fake,
                test=test,
                drop=paired(by_seed(runs), after),
                converted=spread([_lost_by_conversion(run) for run in runs]),
                images=(found[0].get("test") or {}).get("n"),
                validation_images=_held(runs[0]),
                ideal=files.get("stored"),
                artifact=files.get("artifact"),
                onnx=files.get("onnx"),
                explained=files.get("onnx_explained"),
                single=spread([ratio.get("1") for ratio in ratios]),
                many=spread([ratio.get("64") for ratio in ratios]),
                absent=str(found[0].get("absent") or ""),
            )
        )
    return rows


def _held(run: Run) -> int | None:
    """About how many training images were held out for validation."""
    data = run.config.get("data")
    share = data.get("validation") if isinstance(data, Mapping) else None
    train = run.images.get("train")
    if not isinstance(share, int | float) or not isinstance(train, int):
        return None
    return round(share * train) or None


def _lost_by_conversion(run: Run) -> float | None:
    """Points of validation accuracy between the last float epoch and the conversion."""
    first = next((index for index, epoch in enumerate(run.epochs) if "converted" in epoch), 0)
    if first == 0:
        return None
    before, after = run.epochs[first - 1]["validation"], run.epochs[first]["converted"]
    return 100.0 * (float(before["accuracy"]) - float(after["accuracy"]))


def fills(group: Group) -> list[str]:
    """The fills that some finished run was measured with, in the order of the results."""
    found = [fill for run in group.runs if run.finished for fill in _result(run, "masking").get("accuracy") or {}]
    return list(dict.fromkeys(found))


def masking_curves(run: Run, fill: str, *, normalised: bool = False) -> dict[str, dict[float, float]]:
    """Curves of one run: order -> removed fraction -> accuracy (a fraction); empty where nothing was measured.

    `normalised` divides by the run's own accuracy at nothing removed; empty where that is 0 or was not measured.
    """
    measured = _result(run, "masking")
    fractions = [float(fraction) for fraction in measured.get("fractions") or []]
    orders = (measured.get("accuracy") or {}).get(fill) or {}
    curves = {
        order: {x: float(y) for x, y in zip(fractions, values, strict=False) if y is not None}
        for order, values in orders.items()
    }
    if not normalised:
        return curves
    clean = next((curve[0.0] for curve in curves.values() if curve.get(0.0)), None)
    if clean is None:
        return {}
    return {order: {x: y / clean for x, y in curve.items()} for order, curve in curves.items()}


def maskings(group: Group) -> list[Masking]:
    """One row a fill and variant, for those measured."""
    rows = []
    for fill in fills(group):
        for variant in group.variants:
            runs = group.of(variant)
            raw = [masking_curves(run, fill) for run in runs]
            gap = spread([_between(curves, "random") for curves in raw])
            if gap is None:
                continue
            scaled = [masking_curves(run, fill, normalised=True) for run in runs]
            counts = [_result(run, "masking").get("n") for run in runs]
            rows.append(
                Masking(
                    variant=variant,
                    fill=fill,
                    area=gap,
                    normalised=spread([_between(curves, "random") for curves in scaled]),
                    least=spread([_between(curves, "least") for curves in raw]),
                    images=next((int(count) for count in counts if count is not None), None),
                    reach=max(max(curve, default=0.0) for curves in raw for curve in curves.values()),
                )
            )
    return rows


def costs(group: Group) -> list[Cost]:
    """One entry a plan, full precision first, from the first finished run that has it."""
    found: dict[str | None, Cost] = {}
    for run in group.runs:
        total = _result(run, "cost")
        if total and run.variant.plan not in found:
            left = tuple((str(name), str(why)) for name, why in (run.result or {}).get("left") or [])
            found[run.variant.plan] = Cost(run.variant.plan, tuple(total.get("rows") or ()), total, left)
    return sorted(found.values(), key=lambda cost: cost.plan is not None)


def shares(group: Group) -> list[Shares]:
    """One row a layer and variant, from the last epoch of each finished run that was not in deployed arithmetic; only
    quantizers clip.
    """
    rows = []
    for variant in group.variants:
        floats = [[epoch for epoch in run.epochs if epoch.get("arithmetic") != "deployed"] for run in group.of(variant)]
        last = [epochs[-1] for epochs in floats if epochs]
        for layer in layers(last, "clipped", "zeros"):
            clipped, zeros = (
                spread([_percent((epoch.get(key) or {}).get(layer)) for epoch in last]) for key in ("clipped", "zeros")
            )
            clipped = None if variant.plan is None else clipped
            rows.append(Shares(variant, layer, clipped, zeros))
    return rows


def layers(epochs: Sequence[Mapping[str, Any]], *keys: str) -> list[str]:
    """The layer names under `keys` of some log lines, in the order logged."""
    return list(dict.fromkeys(name for epoch in epochs for key in keys for name in epoch.get(key) or {}))


def _between(curves: Mapping[str, Mapping[float, float]], upper: str) -> float | None:
    if upper not in curves or "salient" not in curves:
        return None
    x = sorted(curves[upper].keys() & curves["salient"].keys())
    if len(x) < 2:
        return None
    return area(x, [curves[upper][point] for point in x], [curves["salient"][point] for point in x])


def _drop(by_variant: Mapping[Variant, Mapping[int, float]], variant: Variant, arm: str) -> Spread | None:
    reference = Variant(arm, None)
    if reference == variant or reference not in by_variant:
        return None
    return paired(by_variant[reference], by_variant[variant])


def by_seed(runs: Sequence[Run]) -> dict[int, float]:
    """Test accuracy in per cent of the runs that have one, by seed."""
    found = {run.seed: _percent(_result(run, "test").get("accuracy")) for run in runs}
    return {seed: value for seed, value in found.items() if value is not None}


def _result(run: Run, key: str) -> Mapping[str, Any]:
    value = (run.result or {}).get(key)
    return value if isinstance(value, Mapping) else {}


def _percent(value: Any) -> float | None:
    return None if value is None else 100.0 * float(value)
