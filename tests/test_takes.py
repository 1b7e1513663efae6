"""Whatever an argument is, a call is carried out or refused in one sentence: nothing raises an error of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import glassbit
from glassbit import GlassbitError, Plan, datasets, deploy, evidence, explain, masking, measure, models, quant, runtime
from glassbit._errors import ArtifactError, DiskError, UsageError
from glassbit._plain_files import no_file
from glassbit._takes import FOUND, PATH, TEXT, optional, several, takes, whole
from glassbit.intgraph import Flatten, Input, IntGraph, Linear, Logits, Preprocessing, Weights
from glassbit.pictures import to_rgb, write_png
from glassbit.train import evaluate, load_checkpoint

pytestmark = pytest.mark.usefixtures("unchecked")


class Opaque:
    """Nothing that anybody could want."""


WRONG: dict[str, Callable[[], Any]] = {
    "none": lambda: None,
    "minus": lambda: -1,
    "nan": lambda: float("nan"),
    "huge": lambda: 2**63,
    "text": lambda: "no such\x1b[31mthing",
    "nul": lambda: "a\0b",
    "long": lambda: "q" * 300,
    "bytes": lambda: b"abc",
    "list": list,
    "object": Opaque,
    "empty array": lambda: np.array([]),
    "objects": lambda: np.array([Opaque()], dtype=object),
    "scalar": lambda: torch.tensor(3),
    "meta": lambda: torch.zeros(4, 1, 8, 8, device="meta"),
    "sparse": lambda: torch.rand(4, 1, 8, 8).to_sparse(),
    "five axes": lambda: torch.zeros(1, 1, 1, 8, 8),
    "module": nn.Module,
    "ragged": lambda: [[1, 2], [3]],
}
IMAGES = torch.randint(0, 256, (6, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
UNIT = IMAGES / 255
LABELS = torch.arange(6) % 4
MAPS = np.random.default_rng(0).random((6, 8, 8))
SCORES = torch.rand(6, 64)


def net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4))


def graph() -> IntGraph:
    nodes = (
        Input("image", 1, 8, 8, 0),
        Flatten("flat", "image"),
        Linear("fc", "flat", Weights(np.zeros((2, 64), np.uint8), 2, "odd")),
        Logits("logits", "fc", np.zeros(2, np.int32), np.ones(2, np.float32)),
    )
    return IntGraph(nodes, ("a", "b"), Preprocessing(1, 8, 8))


def subject() -> measure.TorchSubject:
    return measure.TorchSubject(net(), name="net", image_shape=(1, 8, 8))


def small(value: Any) -> Any:
    """-1 in the place of a number that is right, and huge."""
    return -1 if isinstance(value, int) else value


CARRIED_OUT = {
    ("Plan alpha", "huge"),
    ("Plan.bits names", "list"),
    ("saliency target", "scalar"),
    ("fill", "meta"),
    ("to_unit", "meta"),
    ("to_unit", "five axes"),
    ("quantizers", "module"),
}
NET, GRAPH, SUBJECT = net(), graph(), subject()
SPLIT = datasets.Split(IMAGES, LABELS)
CALLS: dict[str, Callable[[Any], object]] = {
    "IntGraph nodes": lambda x: IntGraph(x, GRAPH.classes, GRAPH.preprocessing),
    "IntGraph classes": lambda x: IntGraph(GRAPH.nodes, x, GRAPH.preprocessing),
    "IntGraph preprocessing": lambda x: IntGraph(GRAPH.nodes, GRAPH.classes, x),
    "IntGraph about": lambda x: IntGraph(GRAPH.nodes, GRAPH.classes, GRAPH.preprocessing, x),
    "IntGraph.saliency images": lambda x: GRAPH.saliency(x),
    "IntGraph.saliency target": lambda x: GRAPH.saliency(IMAGES.numpy(), x if x is not None else Opaque()),
    "load": glassbit.load,
    "load_checkpoint": load_checkpoint,
    "Session": lambda x: runtime.Session(x if not isinstance(x, bytes) else 1),  # type: ignore[arg-type]
    "ArtifactSubject": lambda x: measure.ArtifactSubject(x, name="a"),
    "Measurement.load": evidence.Measurement.load,
    "datasets.load": lambda x: datasets.load(x, download=False),
    "datasets.load limit": lambda x: datasets.load("fashion-mini", limit=small(x)),
    "export_onnx explain": lambda x: runtime.onnx_model(GRAPH, explain=x),
    "to_unit": models.to_unit,
    "Classifier()": lambda x: models.Classifier(NET, mean=(0.4,), std=(0.3,))(x),
    "Normalize()": lambda x: models.Normalize((0.4,), (0.3,))(x),
    "Normalize": lambda x: models.Normalize(x, (0.3,)),
    "SubsampleAndPad": models.SubsampleAndPad,
    "cnn classes": models.cnn,
    "cnn size": lambda x: models.cnn(size=x),
    "cnn_bn width": lambda x: models.cnn_bn(width=x),
    "resnet20 channels": lambda x: models.resnet20(channels=x),
    "resnet20 shortcut": lambda x: models.resnet20(shortcut=x),
    "Plan edges": lambda x: Plan.named("w4a4", edges=x),
    "Plan alpha": lambda x: Plan.named("w4a4", alpha=x),
    "Plan.bits names": lambda x: Plan.named("w4a4").bits(x, 0.5),
    "Plan.bits depth": lambda x: Plan.named("w4a4").bits(("a",), x),
    "assign": lambda x: quant.assign(net(), x),
    "cost shape": lambda x: quant.cost(NET, x),
    "quantizers": lambda x: list(quant.quantizers(x)),
    "QuantizedConv2d": lambda x: quant.QuantizedConv2d(nn.Conv2d(1, 1, 1), x),
    "TorchGraph": deploy.TorchGraph,
    "TorchGraph()": lambda x: deploy.TorchGraph(GRAPH)(x),
    "reestimate_": lambda x: deploy.reestimate_(x, [UNIT]),
    "distances": lambda x: deploy.distances(x, IMAGES),
    "saliency": lambda x: explain.saliency(x, IMAGES),
    "saliency target": lambda x: explain.saliency(NET, IMAGES, x if x is not None else Opaque()),  # type: ignore[arg-type]
    "occlusion batch": lambda x: explain.occlusion(NET, IMAGES, batch=small(x)),
    "integrated steps": lambda x: explain.integrated_gradients(NET, IMAGES, steps=x),
    "curves fractions": lambda x: explain.masking_curves(NET, IMAGES, LABELS, fractions=x),
    "lowest count": lambda x: masking.lowest(SCORES, x),
    "ranks": masking.ranks,
    "fill": lambda x: masking.fill(x, "mean"),
    "infidelity targets": lambda x: measure.infidelity(SUBJECT, IMAGES, x),
    "infidelity samples": lambda x: measure.infidelity(SUBJECT, IMAGES, LABELS, samples=x),
    "gini": measure.gini,
    "agreement": lambda x: measure.agreement(MAPS, x),
    "logits": lambda x: SUBJECT.logits(x),
    "interval": evidence.interval,
    "interval draws": lambda x: evidence.interval(MAPS[0], draws=x),
    "Policy": lambda x: evidence.Policy(agreement=x if x is not None else Opaque()),  # type: ignore[arg-type]
    "Split images": lambda x: datasets.Split(x, LABELS),
    "Split labels": lambda x: datasets.Split(IMAGES, x),
    "Split.take": lambda x: SPLIT.take(x),
    "Batches": lambda x: datasets.Batches(SPLIT, batch_size=small(x), seed=0),
    "evaluate": lambda x: evaluate(NET, x),
    "to_rgb": to_rgb,
}


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_argument_is_refused(what: str, wrong: str) -> None:
    if (what, wrong) in CARRIED_OUT:
        CALLS[what](WRONG[wrong]())
        return
    with pytest.raises(GlassbitError) as caught:
        CALLS[what](WRONG[wrong]())
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("wrong", [None, 3, b"abc", Opaque(), "a\0b", ""])
@pytest.mark.parametrize("write", [GRAPH.save, lambda path: write_png(path, np.zeros((2, 2, 3), np.uint8))])
def test_a_file_is_written_to_a_path(write: Callable[[Any], object], wrong: object) -> None:
    with pytest.raises(UsageError, match=r"path must be a path: text or a pathlib.Path"):
        write(wrong)


def test_a_name_that_is_too_long(tmp_path: Path) -> None:
    long = tmp_path / ("q" * 300)
    assert no_file(long) == "File name too long"
    with pytest.raises(UsageError, match="no name of more than 255 bytes"):
        glassbit.load(long)
    with pytest.raises(DiskError, match="the name is too long"):
        GRAPH.save(long)


def test_the_names_in_a_text_are_safe_to_print(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        glassbit.load(tmp_path / "no\x1b[31mfile")
    assert r"no\x1b[31mfile: must be a readable file" in str(caught.value)


class TestTakes:
    def test_arguments_by_place_and_by_name(self) -> None:
        @takes(side=whole(1, 9, usual=3), name=optional(TEXT))
        def build(side: int, *, name: str | None = None) -> tuple[int, str | None]:
            return side, name

        assert build(3) == (3, None)
        assert build(side=np.int64(3), name="a") == (3, "a")  # type: ignore[arg-type]
        with pytest.raises(
            UsageError, match=r"build: side must be a whole number, 1\.\.9; got 10; pass one, such as 3"
        ):
            build(10)
        with pytest.raises(UsageError, match="build: name must be text, or None; got 3; pass a str"):
            build(1, name=3)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="unexpected keyword"):
            build(1, nam="a")  # type: ignore[call-arg]

    def test_several(self) -> None:
        kind = several(whole(0), count=2)
        assert kind.holds((1, 2))
        assert not kind.holds((1, 2, 3))
        assert not kind.holds("12")

    @pytest.mark.parametrize(("path", "found", "written"), [("a", True, True), (Path("a"), True, True), ("", 0, 0)])
    def test_paths(self, path: object, found: bool, written: bool) -> None:
        assert (FOUND.holds(path), PATH.holds(path)) == (bool(found), bool(written))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"devices": 10**9},
            "devices must be at most .* on this machine's CPU, one for each core, or 2; got 1000000000",
        ),
        ({"probes": 3}, "probes must be a function, or None; got 3"),
        ({"progress": torch.ones(2)}, "progress must be True or False; got a Tensor"),
        ({"title": 3}, "title must be text; got 3"),
        ({"crop": 2**63}, r"crop must be 0\.\.2048; got"),
    ],
)
def test_training_is_refused_before_it_begins(options: dict[str, Any], text: str) -> None:
    data = datasets.Dataset("t", SPLIT, SPLIT, ("a", "b", "c", "d"))
    model = net()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UsageError, match=text):
        glassbit.fit(glassbit.CrossEntropy(model), data, epochs=1, device="cpu", **options)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_work_is_done_in_bounded_parts() -> None:
    model, images = net().eval(), UNIT[:2]
    wanted = explain.occlusion(model, images, 0)
    assert torch.allclose(explain.occlusion(model, images, 0, batch=10**9), wanted, atol=1e-5)
    maps = explain.integrated_gradients(model, images, 0, steps=3, batch=10**9).maps
    assert torch.allclose(maps, explain.integrated_gradients(model, images, 0, steps=3).maps, atol=1e-5)
    with pytest.raises(UsageError, match=r"steps must be 1\.\.1000"):
        explain.integrated_gradients(model, images, 0, steps=20_000)
