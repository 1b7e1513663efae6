"""Every kind of network gives the same answers when it is the same network."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glassbit._errors import UsageError
from glassbit.deploy import Deployed, lower
from glassbit.explain import gradient
from glassbit.intgraph import Preprocessing
from glassbit.measure import ArtifactSubject, Subject, TorchSubject, _subject
from glassbit.models import to_unit
from glassbit.runtime import export_onnx

SHAPE = (2, 12, 10)
TARGETS = torch.tensor([0, 1, 2, 2, 1, 0])


@pytest.fixture(scope="module")
def deployed(make) -> Deployed:
    calibration = torch.randint(256, (8, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    return Deployed(make(plan="w4a4").eval(), calibration)


@pytest.fixture(scope="module")
def files(deployed, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    found = {name: folder / name for name in ("model.glassbit", "model.onnx", "silent.onnx")}
    graph = lower(deployed, classes=("a", "b", "c"), preprocessing=Preprocessing(*SHAPE))
    graph.save(found["model.glassbit"])
    export_onnx(graph, found["model.onnx"], explain=True)
    export_onnx(graph, found["silent.onnx"])
    return found


@pytest.mark.parametrize("plan", [None, "w4a4"])
@pytest.mark.parametrize("as_floats", [False, True])
def test_a_torch_network_is_asked_in_eval_mode_and_left_as_it_was(make, images, plan, as_floats) -> None:
    model = make(plan=plan).train()
    model.network[3].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    given = to_unit(images) if as_floats else images
    subject = TorchSubject(model, name="net", image_shape=SHAPE)
    found, maps = subject.logits(given), subject.saliency(given, TARGETS)
    assert [module.training for module in model.network] == [True] * 3 + [False] + [True] * 4
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    model.eval()
    with torch.no_grad():
        assert torch.equal(found, model(images))
    assert torch.equal(maps, gradient(model, images, TARGETS))
    assert (subject.name, subject.classes, subject.image_shape) == ("net", 3, SHAPE)
    assert subject.model is model


def test_an_artifact_equals_its_torch_twin(deployed, files, images) -> None:
    twin = TorchSubject(deployed, name="twin", image_shape=SHAPE)
    wanted, maps = twin.logits(images), twin.saliency(images, TARGETS)
    off = to_unit(images) + 0.3 / 255 * torch.rand(images.shape)
    for name in ("model.glassbit", "model.onnx"):
        subject = ArtifactSubject(files[name], name=name)
        assert (subject.classes, subject.image_shape, subject.model) == (3, SHAPE, None)
        for given in (images, to_unit(images), off):
            assert torch.equal(subject.logits(given), wanted)
        assert (subject.saliency(off, TARGETS) - maps).abs().max() <= 1e-5 * maps.max()


def test_a_file_without_maps_says_how_to_get_them(files, images) -> None:
    subject = ArtifactSubject(files["silent.onnx"], name="B")
    assert subject.logits(images).shape == (6, 3)
    with pytest.raises(
        UsageError,
        match=r"got an \.onnx file without them; write it again",
    ):
        subject.saliency(images, TARGETS)


def subjects(make, files, batch: int) -> list[Subject]:
    torch_one = TorchSubject(make(), name="torch", image_shape=SHAPE, batch=batch)
    return [
        torch_one,
        *(ArtifactSubject(files[name], name=name, batch=batch) for name in ("model.glassbit", "model.onnx")),
    ]


def test_the_batch_does_not_matter(make, files, images) -> None:
    for whole, small in zip(subjects(make, files, 250), subjects(make, files, 4), strict=True):
        assert torch.allclose(whole.logits(images), small.logits(images), atol=1e-5)
        assert torch.allclose(whole.saliency(images, TARGETS), small.saliency(images, TARGETS), atol=1e-5)


def test_no_images_have_no_answers(make, files, images) -> None:
    for subject in subjects(make, files, 4):
        assert subject.logits(images[:0]).shape == (0, 3)
        assert subject.saliency(images[:0], TARGETS[:0]).shape == (0, 12, 10)


def test_a_network_in_double_precision_without_parameters_or_with_its_own_in_place_steps(images) -> None:
    class Sums(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x.mul_(2)
            return x.sum((2, 3))

    given = to_unit(images)
    kept = given.clone()
    found = TorchSubject(Sums(), name="sums", image_shape=SHAPE).logits(given)
    assert torch.allclose(found, 2 * kept.sum((2, 3)))
    assert torch.equal(given, kept)
    double = TorchSubject(nn.Sequential(nn.Flatten(), nn.Linear(240, 4)).double(), name="double", image_shape=SHAPE)
    assert double.logits(images).dtype == double.saliency(images, TARGETS).dtype == torch.float32


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (torch.zeros(2, 1, 12, 10), r"float32 of the shape \(2, 1, 12, 10\); resize them"),
        (torch.zeros(2, 12, 10, 2), r"float32 of the shape \(2, 12, 10, 2\); put the channels first"),
        (torch.zeros(2, 2, 12, 10, dtype=torch.int64), r"int64 from 0 to 0; use images\.to\(torch\.uint8\)"),
        (torch.full((2, 2, 12, 10), 255.0), r"float32 from 255 to 255; divide by 255"),
        (torch.full((2, 2, 12, 10), -1.0), r"float32 from -1 to -1; undo the standardisation"),
        (torch.full((2, 2, 12, 10), torch.nan), r"float32 with 480 of 480 values NaN or infinite"),
    ],
)
def test_images_that_do_not_fit(make, files, wrong, got) -> None:
    for subject in subjects(make, files, 4):
        must = re.escape(f"{subject.name}: images must be (n, 2, 12, 10), uint8 or floating point in [0, 1]; got ")
        text = must + got
        with pytest.raises(UsageError, match=text):
            subject.logits(wrong)
        with pytest.raises(UsageError, match=text):
            subject.saliency(wrong, TARGETS[:2])


def test_targets_that_do_not_fit(make, files, images) -> None:
    for subject in subjects(make, files, 4):
        with pytest.raises(
            UsageError, match=r"targets must be 6 class numbers 0\.\.2 as integers, one per image; got the shape \(5,\)"
        ):
            subject._check_targets(6, TARGETS[:5])
        for number in (-1, 3):
            with pytest.raises(UsageError, match=f"one per image; got {number}; number the classes from 0"):
                subject.saliency(images, torch.tensor([0, 0, 0, 0, 0, number]))


def test_what_is_no_network(files, tmp_path) -> None:
    with pytest.raises(
        UsageError, match=r"A: the model must return logits \(n, classes\); got \(1, 2, 12, 10\) for one image"
    ):
        TorchSubject(nn.Identity(), name="A", image_shape=SHAPE)
    with pytest.raises(UsageError, match=r"A: batch must be a whole number of at least 1; got 0"):
        ArtifactSubject(files["model.onnx"], name="A", batch=0)
    with pytest.raises(UsageError, match=r"A: the file must end with \.glassbit or \.onnx.*; got .*model\.pt"):
        ArtifactSubject(tmp_path / "model.pt", name="A")


def test_a_file_gets_floats_as_whole_pixels(files) -> None:
    """Floats are rounded half to even, and clipped, as `Deployed` does."""
    subject = ArtifactSubject(files["model.glassbit"], name="A")
    steps = torch.linspace(-0.4 / 255, 255.4 / 255, 240).view(1, *SHAPE)
    rounded = np.rint(steps.numpy() * np.float32(255)).clip(0, 255).astype(np.uint8)
    assert torch.equal(subject.logits(steps), subject.logits(torch.from_numpy(rounded)))


def test_a_glassbit_file_answers_the_same_with_and_without_onnx_runtime(files, images, monkeypatch) -> None:
    fast = ArtifactSubject(files["model.glassbit"], name="fast")

    def missing(*_: object, **__: object) -> None:
        raise UsageError("not installed")

    monkeypatch.setattr(_subject, "Session", missing)
    slow = ArtifactSubject(files["model.glassbit"], name="slow")
    assert torch.equal(fast.logits(images), slow.logits(images))
    assert torch.allclose(fast.saliency(images, TARGETS), slow.saliency(images, TARGETS), rtol=1e-5)


def test_a_digest_tells_networks_apart(make, files) -> None:
    model = make()
    subject = TorchSubject(model, name="net", image_shape=SHAPE)
    before = subject.digest
    assert TorchSubject(make(), name="twin", image_shape=SHAPE).digest == before
    with torch.no_grad():
        next(model.parameters()).add_(1)
    assert subject.digest != before
    paths = files["model.glassbit"], files["model.onnx"]
    assert len({ArtifactSubject(path, name=path.name).digest for path in paths}) == 2
