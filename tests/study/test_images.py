"""What a run keeps of its data set, and what is said when that is another one now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from glassbit import CrossEntropy, Plan, datasets, fit, lower, quantize_
from glassbit._errors import GlassbitWarning, RunError, UsageError
from glassbit.intgraph import load
from glassbit.models import Classifier
from glassbit.recipe import Recipe, RunRecipe, expand, parse
from glassbit.runtime import Session, onnx_model
from glassbit.study import run_one, run_study, saved_run
from glassbit.train import evaluate


def test_the_rule_travels_with_the_run_and_the_exported_file(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 2**16, (18, 28, 28)).astype("u2")
    labels = np.arange(18) % 3
    path = tmp_path / "deep.npz"
    np.savez(path, train_images=images, train_labels=labels, test_images=images[::-1] // 2, test_labels=labels)
    run = expand(
        parse(
            f"name: x\ndata: {{name: {path}, validation: 0.25}}\nmodel: {{name: cnn-bn, arguments: {{width: 2}}}}\n"
            "arms: pact\nplans: w4a4\ntraining: {epochs: 1, batch_size: 4, device: cpu, deploy_epochs: 1}\n"
            "evaluation: {probes: 2, images: 3}\n"
        )
    )[-1]
    rule = "np.round(images / 257).astype(np.uint8)"
    with pytest.warns(GlassbitWarning, match="8-bit pixels"):
        run_one(run, tmp_path / "run", progress=False)
    assert json.loads((tmp_path / "run/run.json").read_text())["images"]["scaling"] == rule
    assert saved_run(tmp_path / "run").scaling == rule
    graph = load(tmp_path / "run/model.glassbit")
    notes: tuple[Any, ...] = (f"pixels: of the arrays that it was trained on, {rule}",)
    assert graph.about.notes == notes
    assert tuple(json.loads(Session(onnx_model(graph)).metadata["notes"])) == notes


def test_rows_of_pixels_are_trained_on_and_exported(tmp_path: Path) -> None:
    labels = np.arange(60) % 2
    rows = np.random.default_rng(0).integers(0, 100, (60, 1, 32)).astype(np.uint8)
    rows[labels == 1, 0, :8] += 150
    parts = {
        "train_images": rows[:40],
        "train_labels": labels[:40],
        "test_images": rows[40:],
        "test_labels": labels[40:],
    }
    np.savez(tmp_path / "rows.npz", **parts)
    data = datasets.load(tmp_path / "rows.npz")
    network = nn.Sequential(nn.Conv2d(1, 4, (1, 5), padding=(0, 2)), nn.ReLU(), nn.Flatten(), nn.Linear(128, 2))
    model = Classifier(network, mean=data.mean, std=data.std)
    quantize_(model.network, Plan.named("w4a4"), example=data.train.images[:2].float())
    fit(CrossEntropy(model), data, epochs=2, batch_size=10, deploy_epochs=0, progress=False, device="cpu")
    graph = lower(model.cpu().eval(), classes=data.classes, images=data.train.images)
    assert (graph.preprocessing.height, graph.preprocessing.width) == (1, 32)
    right = graph.run(data.test.images.numpy()).argmax(1) == data.test.labels.numpy()
    assert right.mean() == pytest.approx(evaluate(model, data.test).accuracy, abs=0.051)
    assert right.mean() > 0.8


def rewrite(path: Path, **arrays: np.ndarray) -> None:
    with np.load(path) as file:
        held = {name: file[name] for name in file.files}
    np.savez(path, **{**held, **arrays})


def test_a_study_goes_on_with_its_own_images_only(
    recipe: Callable[[str], Recipe], images: Path, tmp_path: Path
) -> None:
    kept = Path(shutil.copy(images, tmp_path / "kept.npz"))
    out = tmp_path / "study"
    assert run_study(recipe("seeds: [0]"), out, progress=False).ok
    with np.load(images) as file:
        changed, labels = 255 - file["train_images"], file["train_labels"]
    rewrite(images, train_images=changed)
    with pytest.raises(RunError, match=r"must have the images of its training; got another tiny \(other training"):
        run_study(recipe("seeds: [0]"), out, progress=False)
    rewrite(images, train_images=changed[:100], train_labels=labels[:100])
    with pytest.raises(RunError, match="120 training images then, 100 now"):
        run_study(recipe("seeds: [0, 1]"), out, progress=False)
    rewrite(images, classes=np.array(["ant", "bee", "cat", "dog"]))
    with (
        pytest.warns(GlassbitWarning, match="by number only"),
        pytest.raises(RunError, match="120 training images then"),
    ):
        run_study(recipe("seeds: [0]"), out, progress=False)
    shutil.copy(kept, images)
    assert run_study(recipe("seeds: [0]"), out, progress=False).skipped

    run_json = next(out.glob("runs/*/run.json"))
    head = json.loads(run_json.read_text())
    del head["images"]["digests"]  # as earlier versions left it: only the numbers are compared
    run_json.write_text(json.dumps(head))
    rewrite(images, train_images=changed)
    assert run_study(recipe("seeds: [0]"), out, progress=False).skipped
    outcome = run_study(recipe("seeds: [0, 1]"), out, progress=False)
    (text,) = outcome.failed.values()
    assert "must hold probe images of the data set as it is now; got other digest_train" in text


def test_a_start_from_other_classes_is_refused_and_from_another_order_is_matched(
    recipe: Callable[[str], Recipe], images: Path, tmp_path: Path
) -> None:
    names = np.array(["ant", "bee", "cat", "dog"])
    rewrite(images, classes=names)
    float_run, run = expand(
        recipe("arms: [fp32, pact]\nplans: w4a4\ntraining: {epochs: 1, batch_size: 20, device: cpu, start: float}")
    )
    run_one(float_run, tmp_path / "float", progress=False)
    with np.load(images) as file:
        train, test = file["train_labels"], file["test_labels"]
    order = np.array([3, 1, 0, 2])  # what was label 0 is label 3 now, and keeps its name
    rewrite(images, train_labels=order[train], test_labels=order[test], classes=names[order.argsort()])
    with pytest.warns(GlassbitWarning, match="has the classes of tiny in another order, ant, bee, cat, dog"):
        run_one(run, tmp_path / "next", start=tmp_path / "float", progress=False)
    assert saved_run(tmp_path / "next").classes == tuple(names)
    assert saved_run(tmp_path / "next").digests == saved_run(tmp_path / "float").digests
    rewrite(images, classes=np.array(["ant", "bee", "cat", "emu"]))
    with pytest.raises(UsageError, match="got 4: ant, bee, cat, dog, where tiny has 4: ant, bee, cat, emu"):
        run_one(run, tmp_path / "other", start=tmp_path / "float", progress=False)


def test_training_begins_with_what_is_odd_about_the_images(
    one: Callable[[str], RunRecipe], images: Path, tmp_path: Path
) -> None:
    with np.load(images) as file:
        train, test, labels = file["train_images"], file["test_images"], file["test_labels"]
        label = file["train_labels"][0]
    test[0], labels[0] = train[0], label
    rewrite(images, test_images=test, test_labels=labels)
    text = "tiny: 1 of 40 test images are among the training images too, pixel for pixel: the test accuracy counts what"
    with pytest.warns(GlassbitWarning, match=text):
        run_one(one(""), tmp_path / "run", progress=False)
