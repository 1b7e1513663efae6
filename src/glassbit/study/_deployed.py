"""What is measured of a network in deployed arithmetic, once."""

from __future__ import annotations

from pathlib import Path

from glassbit import runtime
from glassbit._errors import UsageError
from glassbit.datasets import Dataset
from glassbit.deploy import Deployed, lower
from glassbit.intgraph import About, IntGraph, Preprocessing
from glassbit.recipe import RunRecipe, model_slug
from glassbit.runs import Accuracy
from glassbit.runs import Deployed as Measured
from glassbit.train import History, load_weights

from ._measure import tested

ARTIFACT = "model.glassbit"
_BATCHES = (1, 64)


def measure_deployed(model: Deployed, run: RunRecipe, data: Dataset, history: History, out: Path) -> Measured:
    """Accuracy of the best weights in deployed arithmetic, sizes of its files and their speed.

    Writes the artifact `model.glassbit` into the run's folder.

    Args:
        model: gets the weights of `deployed.pt`.
        run: its recipe.
        data: its data set.
        history: of its training.
        out: its folder.
    """
    load_weights(model, out / "deployed.pt", "the network of run.json")
    model.eval()
    graph = integer_graph(model, run, data.classes, scaling=data.scaling)
    graph.save(out / ARTIFACT)
    first = next(record for record in history.epochs if "converted" in record)
    converted = first["converted"]
    trained = history.deployed_epoch >= first["epoch"]
    best = history.epochs[history.deployed_epoch - 1]["validation"] if trained else converted
    files, speed, absent = _files_and_speed(graph, out / ARTIFACT)
    return Measured(
        test=tested(model, data),
        validation=Accuracy(accuracy=best["accuracy"]),
        converted=Accuracy(accuracy=converted["accuracy"]),
        best_epoch=history.deployed_epoch,
        epochs=run.deploy_epochs,
        bytes=files,
        speed_of_float=speed,
        absent=absent,
    )


def integer_graph(model: Deployed, run: RunRecipe, classes: tuple[str, ...], *, scaling: str = "") -> IntGraph:
    """Return the integer graph of a run's network, with what the run says of it.

    Args:
        model: the network.
        run: its recipe.
        classes: the names of the logits.
        scaling: how the arrays that it was trained on became pixels; see `Dataset`.
    """
    assert run.plan is not None
    channels, height, width = model.image_shape
    return lower(
        model,
        classes=classes,
        preprocessing=Preprocessing(channels, height, width, run.data.resize),
        about=About(
            plan=run.plan.slug,
            network=model_slug(run.model),
            run=run.id,
            trained=bool(run.deploy_epochs),
            notes=(f"pixels: of the arrays that it was trained on, {scaling}",) if scaling else (),
        ),
    )


def _files_and_speed(graph: IntGraph, artifact: Path) -> tuple[dict[str, int], dict[str, float], str]:
    """Bytes of each file; how often the ONNX file is as fast as its float twin, by batch size; why there is none."""
    files = {"stored": graph.certificate.stored_bits // 8, "artifact": artifact.stat().st_size}
    try:
        onnx = {
            "onnx": runtime.onnx_model(graph),
            "onnx_explained": runtime.onnx_model(graph, explain=True),
            "onnx_float": runtime.float_twin(graph),
        }
    except UsageError as error:
        return files, {}, str(error)
    files |= {name: model.ByteSize() for name, model in onnx.items()}
    speed = {str(batch): runtime.speed(onnx["onnx"], onnx["onnx_float"], batch=batch) for batch in _BATCHES}
    return files, speed, ""
