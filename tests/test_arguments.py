"""Wrong arguments of the public functions are refused by name, in one form, before anything is computed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import glassbit
from glassbit import Plan, RandomMasking, SaliencyGuided, datasets, fit, lower, models, quantize_, saliency
from glassbit._arguments import is_real, is_whole, is_word, shown
from glassbit._errors import UsageError
from glassbit.datasets import Dataset, Split
from glassbit.deploy import Deployed, export_problems
from glassbit.intgraph import Preprocessing
from glassbit.quant import LSQ, PACT, Rule, calibrate_
from glassbit.train import CrossEntropy

IMAGES = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1])
NAN = float("nan")

pytestmark = pytest.mark.usefixtures("unchecked")  # the shapes of arguments: these are wrong on purpose


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def quantized() -> nn.Sequential:
    model = network()
    quantize_(model, Plan.named("w4a4"))
    return model


def data() -> Dataset:
    pixels = torch.zeros(6, 1, 8, 8, dtype=torch.uint8)
    part = Split(pixels, torch.arange(6) % 3)
    return Dataset("tiny", part, part, ("a", "b", "c"))


def refused(call: Callable[[], object], begins: str) -> None:
    with pytest.raises(UsageError) as problem:
        call()
    text = str(problem.value)
    assert text.startswith(begins), text
    must, got, repair = text.split("; ", 2)
    assert got.startswith("got "), text
    assert must
    assert repair


FIT: dict[str, list[Any]] = {
    "epochs": [0, 1.5, None, True, "x"],
    "batch_size": ["x", 0, None],
    "accumulate": [1.5, 0, None],
    "crop": [1.5, -1],
    "devices": [1.5, -1, "auto"],
    "device": ["x", "tpu", None, 0],
    "deploy_epochs": [1.5, None],
    "deploy_lr": ["x", NAN],
    "deploy_batchnorm": [None, []],
    "lr": ["x", NAN, None, True, 10**400],
    "quantizer_lr": [NAN, "x", 0],
    "quantizer_decay": [NAN, -1],
    "gamma": [NAN, 0, None],
    "milestones": [NAN, "x", None, 0.3, (2,), ("a",)],
    "momentum": [NAN, 1],
    "weight_decay": ["x", NAN],
    "validation": [None, NAN, 0.9],
    "seed": [NAN, "x", None],
    "flip": ["x", 1, None],
    "optimizer": ["x", []],
    "schedule": [None, {}],
    "precision": [16],
    "out": [3],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in FIT.items() for value in values])
def test_fit(name: str, value: object) -> None:
    arguments: dict[str, Any] = {"epochs": 1, "device": "cpu", name: value}
    refused(lambda: fit(CrossEntropy(network()), data(), **arguments), f"fit: {name} must be ")


def test_fit_takes_an_objective_and_a_data_set() -> None:
    refused(lambda: fit(CrossEntropy(network()), 3, epochs=1), "fit: data must be ")  # type: ignore[arg-type]
    refused(lambda: fit(network(), data(), epochs=1), "fit: objective must be ")  # type: ignore[arg-type]


@pytest.mark.parametrize("objective", [SaliencyGuided, RandomMasking])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        (name, value)
        for name, values in {
            "k": [None, "x", NAN, True, 2],
            "weight": [None, "x", float("inf")],
            "ramp": ["x", NAN],
            "detach": ["x", None, 1],
            "fill": [None, []],
            "batchnorm": [3],
        }.items()
        for value in values
    ],
)
def test_objectives(objective: Any, name: str, value: object) -> None:
    refused(lambda: objective(network(), **{name: value}), f"{objective.__name__}: {name} must be ")


ODD: dict[str, Any] = {
    "none": None,
    "a number": torch.tensor(1.0),
    "a dictionary": {},
    "sparse": IMAGES.to_sparse(),
    "meta": IMAGES.to("meta"),
    "objects": np.array([object()]),
}


@pytest.mark.parametrize("images", ODD.values(), ids=ODD)
def test_images(images: Any) -> None:
    refused(lambda: saliency(network(), images), "saliency: images must be ")
    refused(lambda: calibrate_(quantized(), images), "calibrate_: images must be ")
    refused(lambda: export_problems(quantized(), images), "export_problems: images must be ")
    refused(lambda: Deployed(quantized(), images), "Deployed: images must be ")
    refused(lambda: CrossEntropy(network())(images, LABELS), "CrossEntropy: images must be ")
    if images is not None:
        refused(lambda: lower(quantized(), images=images), "lower: images must be ")


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_quantized_tensors() -> None:
    images = torch.quantize_per_tensor(IMAGES, 0.01, 0, torch.quint8)
    labels = torch.quantize_per_tensor(LABELS.float(), 1.0, 0, torch.quint8)
    refused(lambda: saliency(network(), images), "saliency: images must be ")
    refused(lambda: lower(quantized(), images=images), "lower: images must be ")
    refused(lambda: CrossEntropy(network())(IMAGES, labels), "CrossEntropy: labels must be ")
    refused(lambda: saliency(network(), IMAGES, labels), "saliency: target must be ")


@pytest.mark.parametrize("labels", [LABELS.to_sparse(), LABELS.to("meta")], ids=["sparse", "meta"])
def test_labels(labels: torch.Tensor) -> None:
    refused(lambda: CrossEntropy(network())(IMAGES, labels), "CrossEntropy: labels must be ")
    refused(lambda: saliency(network(), IMAGES, labels), "saliency: target must be ")


def test_arrays_of_another_byte_order_are_converted() -> None:
    swapped = IMAGES.numpy().astype(">f4")
    model = quantized()
    assert torch.equal(saliency(model, swapped), saliency(model, IMAGES))
    assert calibrate_(quantized(), swapped)
    assert lower(model, images=swapped).nodes  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["gradient", "smoothgrad", "integrated-gradients", "grad-cam", "occlusion"])
@pytest.mark.parametrize("batch", [1.5, None, "x", True, NAN])
def test_batch(method: str, batch: Any) -> None:
    with pytest.raises(UsageError, match=r"batch must be at least 1 image; got .*; "):
        saliency(network(), IMAGES, method=method, batch=batch)


@pytest.mark.parametrize("model", [5, None, "x", nn.ReLU])
def test_networks(model: Any) -> None:
    plan = Plan.named("w4a4")
    for owner, call in (
        ("saliency", lambda: saliency(model, IMAGES)),
        ("quantize_", lambda: quantize_(model, plan)),
        ("dequantize_", lambda: glassbit.dequantize_(model)),
        ("calibrate_", lambda: calibrate_(model, IMAGES)),
        ("lower", lambda: lower(model, images=IMAGES)),
        ("export_problems", lambda: export_problems(model, IMAGES)),
        ("Deployed", lambda: Deployed(model, IMAGES)),
        ("CrossEntropy", lambda: CrossEntropy(model)),
    ):
        refused(call, f"{owner}: model must be a torch.nn.Module; got ")
    refused(lambda: models.Classifier(model, mean=(0.5,), std=(0.5,)), "Classifier: network must be ")


@pytest.mark.parametrize("example", [[IMAGES], {}, "x", 3, ()])
def test_example(example: Any) -> None:
    refused(lambda: quantize_(network(), Plan.named("w4a4"), example=example), "quantize_: example must be ")


@pytest.mark.parametrize("numbers", [1.5, None, "x", ("a",), (True,), {}])
def test_normalisation(numbers: Any) -> None:
    refused(lambda: models.Classifier(network(), mean=numbers, std=(0.5,)), "Normalize: mean must be ")
    refused(lambda: models.Classifier(network(), mean=(0.5,), std=numbers), "Normalize: std must be ")


def test_normalisation_by_arrays_and_without_nan() -> None:
    assert models.Normalize(torch.tensor([0.5, 0.5]), np.array([1.0, 2.0])).std.flatten().tolist() == [1.0, 2.0]  # type: ignore[arg-type]
    refused(lambda: models.Normalize((NAN,), (0.5,)), "Normalize: mean must be finite")


@pytest.mark.parametrize("value", [NAN, 1.5, "x", None, True, 0])
def test_preprocessing(value: Any) -> None:
    for name in ("channels", "height", "width"):
        made = Preprocessing(**{"channels": 1, "height": 8, "width": 8, name: value})
        refused(lambda made=made: lower(quantized(), preprocessing=made), f"lower: preprocessing.{name} must be ")  # type: ignore[misc]


@pytest.mark.parametrize("value", [3, "x", {}])
def test_what_else_lower_takes(value: Any) -> None:
    for name in ("classes", "preprocessing", "about"):
        refused(lambda name=name: lower(quantized(), images=IMAGES, **{name: value}), f"lower: {name} must be ")  # type: ignore[misc]


@pytest.mark.parametrize("value", [None, 3, [], NAN])
def test_paths_and_names(value: Any) -> None:
    refused(lambda: glassbit.load(value), "load: path must be ")
    refused(lambda: datasets.load(value), "load: name must be ")
    refused(lambda: Plan.named(value), "plan must be one of ")
    refused(lambda: quantize_(network(), value), "quantize_: plan must be ")
    refused(lambda: saliency(network(), IMAGES, method=value), "saliency: method must be ")


@pytest.mark.parametrize("value", [None, "x", [], True, 0, NAN])
def test_quantizers(value: Any) -> None:
    refused(lambda: PACT(4, alpha=value), "PACT: alpha must be ")
    refused(lambda: LSQ(4, step=value), "LSQ: step must be ")
    refused(lambda: Plan("mine", (value,)), "Plan mine: rules must be ")
    refused(lambda: Rule("*", 4, 4, depth=value), "Rule: depth must be ")


def test_what_counts_as_a_number() -> None:
    assert is_whole(np.int64(3), 1)
    assert is_real(np.float32(0.5), 0, 1)
    assert not any(map(is_whole, (True, 1.0, "1", None)))
    assert not any(map(is_real, (True, NAN, float("inf"), 10**400, "1", None, 1j)))
    assert is_word("a", ("a", "b"))
    assert not is_word([], ("a", "b"))
    assert shown(object()) == "an object"
    assert shown(nn.Conv2d) == "the class Conv2d"
    assert len(shown("x" * 1000)) < 100
