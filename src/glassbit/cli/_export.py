"""`glassbit export`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from glassbit._count import counted
from glassbit._errors import GlassbitWarning, RunError, UsageError
from glassbit._files import check_file
from glassbit.cli._network_file import ARTIFACT, ONNX
from glassbit.cli._run_flags import TRUST
from glassbit.cli._say import is_first_process, line
from glassbit.runs import RESULT, Result

if TYPE_CHECKING:
    from glassbit.deploy import Deployed
    from glassbit.intgraph import IntGraph
    from glassbit.study import SavedRun


def export(
    run: Annotated[Path, Parameter(help="the folder of a finished run with a quantized network")],
    /,
    *,
    artifact: Annotated[
        Path | None,
        Parameter(help="write a .glassbit file, which holds the network and its certificate", metavar="FILE"),
    ] = None,
    onnx: Annotated[Path | None, Parameter(help="write an .onnx file", metavar="FILE")] = None,
    qonnx: Annotated[
        Path | None,
        Parameter(help="write a QONNX file, for FPGA tools that read its Quant nodes", metavar="FILE"),
    ] = None,
    explain: Annotated[
        bool,
        Parameter(help="the .onnx file also returns a saliency map of each image", negative="", show_default=False),
    ] = False,
    data_dir: Annotated[
        Path | None,
        Parameter(
            help="folder with the files of the run's data set, where it has to be converted; left out: as in training"
        ),
    ] = None,
    trust: Annotated[bool, TRUST] = False,
) -> int:
    """Write the integer network of a run."""
    _check(artifact, onnx, qonnx, explain)
    from glassbit.study import integer_graph, saved_run

    saved = saved_run(run)
    result = _result(saved)
    graph = integer_graph(_deployed(saved, data_dir, trust), saved.run, saved.classes, scaling=saved.scaling)
    for each in _write(graph, artifact, onnx, qonnx, explain):
        line(each)
    if result.deployed:
        integers = result.deployed.test
        line(
            f"test accuracy {100 * integers.accuracy:.2f} % in integers, {100 * result.test.accuracy:.2f} % before, "
            f"with fake quantization, on {counted(integers.n, 'image')}"
        )
    return 0


def _check(artifact: Path | None, onnx: Path | None, qonnx: Path | None, explain: bool) -> None:
    """Refuse what cannot be written, before anything is loaded."""
    if artifact is None and onnx is None and qonnx is None:
        raise UsageError(
            "export: must be given a file to write; got none; add --artifact FILE, --onnx FILE or --qonnx FILE"
        )
    for flag, path, suffix in (("--artifact", artifact, ARTIFACT), ("--onnx", onnx, ONNX), ("--qonnx", qonnx, ONNX)):
        if path is not None and path.suffix != suffix:
            raise UsageError(f"{flag}: must end with {suffix}, such as model{suffix}; got {path}")
        if path is not None:
            check_file(path)
    if explain and onnx is None:
        raise UsageError(
            "--explain: must be used with --onnx; got no --onnx; add --onnx FILE, or leave it out (`glassbit predict` "
            "explains any .glassbit file)"
        )
    from glassbit.runtime import need

    for flag, path in (("--onnx", onnx), ("--qonnx", qonnx)):
        if path is not None:
            need("onnx", flag)


def _result(saved: SavedRun) -> Result:
    """Return what a finished run with a quantized network has measured."""
    from glassbit.study import read_result

    if saved.run.plan is None:
        raise UsageError(
            f"{saved.folder}: must be quantized, to be written as integers; got full precision; train it with e.g. "
            "--plan w4a4 (and --start with this run's folder, to start from its weights)"
        )
    if saved.run.plan.edges == "full":
        raise UsageError(
            f"{saved.folder}: every layer must be quantized; got a first and last layer in full precision (edges: "
            "full); train it again with --edges 8"
        )
    if not (saved.folder / RESULT).is_file():
        raise RunError(
            f"{saved.folder}: must be finished; got an unfinished run; call the command that started it, which goes on"
        )
    return read_result(saved.folder)


def _deployed(saved: SavedRun, data_dir: Path | None, trust: bool) -> Deployed:
    """Return the run's best network in integer arithmetic: as it was trained, or converted now."""
    from glassbit.study import deployed_model

    return deployed_model(saved.folder, trust=trust) or _converted(saved, data_dir, trust)


def _converted(saved: SavedRun, data_dir: Path | None, trust: bool) -> Deployed:
    from glassbit.build import build_data
    from glassbit.datasets import calibration_images, split_validation, with_classes
    from glassbit.deploy import Deployed, distances
    from glassbit.study import changes, trained_model
    from glassbit.train import evaluate

    model, run = trained_model(saved.folder, trust=trust), saved.run
    recipe = run.data if data_dir is None else run.data.model_copy(update={"dir": str(data_dir)})
    data = build_data(recipe, download=False, progress=is_first_process())
    data = with_classes(data, saved.classes, network=str(saved.folder))
    differing = changes(saved, data, parts=("train",))
    if differing:
        raise RunError(
            f"{saved.folder}: must be converted with the images of its training; got another {data.name} "
            f"({'; '.join(differing)}); bring the old images back, or train it again"
        )
    train, held = data.train, data.train
    if recipe.validation:
        train, held = split_validation(data.train, fraction=recipe.validation, seed=run.seed)
    images = calibration_images(train, seed=run.seed)
    converted = Deployed(model, images).eval()
    furthest = max((each for each in distances(converted, images) if each.what == "values"), key=lambda each: each.off)
    before, after = evaluate(model, held), evaluate(converted, held)
    what = "validation" if recipe.validation else "training"
    warnings.warn(
        f"{saved.folder} was not trained in integer arithmetic, and is converted now: {what} accuracy "
        f"{100 * before.accuracy:.2f} % -> {100 * after.accuracy:.2f} % on {counted(after.n, 'image')}. Each layer is "
        f"within {furthest.off:.1%} of fake quantization ({furthest.name} is furthest): the rest is rounding, which "
        "adds up over layers. A last phase of training with --deploy-epochs takes it into account.",
        GlassbitWarning,
        stacklevel=2,
    )
    return converted


def _write(graph: IntGraph, artifact: Path | None, onnx: Path | None, qonnx: Path | None, explain: bool) -> list[str]:
    """Write the files; returns how large they are."""
    bits = graph.certificate.stored_bits / 8
    lines = [f"sum of bits: {bits / 1000:.1f} kB, {graph.certificate.macs / 1e6:.2f} M multiply-adds per image"]
    if artifact is not None:
        graph.save(artifact)
        lines.append(_size(artifact, bits))
    if onnx is not None:
        from glassbit.runtime import export_onnx

        export_onnx(graph, onnx, explain=explain)
        lines.append(f"{_size(onnx, bits)}, returns {'logits and saliency map' if explain else 'logits'}")
    if qonnx is not None:
        from glassbit.runtime import export_qonnx

        export_qonnx(graph, qonnx)
        lines.append(f"{qonnx}: QONNX, weights as float32, for one image at a time")
    return lines


def _size(path: Path, bits: float) -> str:
    size = path.stat().st_size
    return f"{path}: {size / 1000:.1f} kB, {size / bits:.2f} times the bits"
