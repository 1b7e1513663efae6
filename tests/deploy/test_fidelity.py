"""An integer network that does not compute what the trained one does is refused, whatever made it wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from glassbit._errors import ExportError, GraphError
from glassbit.deploy import Deployed, TorchGraph, distances, lower
from glassbit.deploy._beside import LIMIT, LIMIT_OF_WEIGHTS
from glassbit.deploy._fold import Folding
from glassbit.deploy._folded import FoldedLayer
from glassbit.quant import Plan

from .networks import NETWORKS, pictures, quantized, side


def made(name: str, plan: str = "w4a4", channels: int = 1) -> Deployed:
    return Deployed(quantized(name, Plan.named(plan), channels=channels), pictures(channels, side(name), 8, seed=2))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tensor_of_a_right_network_is_far_below_the_limit(name: str):
    """On other images than those that it was made with, so that operands of sums are clipped."""
    found = distances(made(name), pictures(1, side(name), 12, seed=7))
    assert {tensor.what for tensor in found} == {"weights", "values"}
    assert max(tensor.off for tensor in found if tensor.what == "weights") < LIMIT_OF_WEIGHTS / 100
    assert max(tensor.off for tensor in found if tensor.what == "values") < LIMIT / 2
    assert found[-1].name in ("logits", "last", "fc", "fc2", "linear")


def _wrong_norm(monkeypatch: pytest.MonkeyPatch) -> None:
    from glassbit.deploy import _fold

    right = _fold._batchnorm
    monkeypatch.setattr(_fold, "_batchnorm", lambda named, norm, shift: (right(named, norm, shift)[0], shift))


def _change(monkeypatch: pytest.MonkeyPatch, method: str, change: Callable[[Any], Any]) -> None:
    right = getattr(Folding, method)
    monkeypatch.setattr(Folding, method, lambda self, step: change(right(self, step)))


def _negated(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(folded: FoldedLayer) -> FoldedLayer:
        return replace(folded, weights=-folded.weights) if folded.name == "stage2.conv" else folded

    _change(monkeypatch, "_layer", change)


def _shifted(monkeypatch: pytest.MonkeyPatch) -> None:
    def change(folded: FoldedLayer) -> FoldedLayer:
        if folded.name != "stage2.conv":
            return folded
        return replace(folded, step=replace(folded.step, padding=folded.step.padding), zero=3)

    _change(monkeypatch, "_layer", change)


def _wrong_level(monkeypatch: pytest.MonkeyPatch) -> None:
    from glassbit.quant import PACT

    right = PACT.scale
    monkeypatch.setattr(PACT, "scale", lambda self, x=None: right(self, x) * 1.6)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (_wrong_norm, "stage1.bn values"),
        (_negated, "stage2.conv weights"),
        (_shifted, "stage2.conv values"),
        (_wrong_level, "stage2.relu values"),
    ],
)
def test_a_wrong_network_is_refused_by_its_first_wrong_tensor(
    fault: Callable[[pytest.MonkeyPatch], None], named: str, monkeypatch: pytest.MonkeyPatch
):
    model = quantized("cnn_bn", Plan.named("w4a4"))
    images = pictures(1, side("cnn_bn"), 8, seed=2)
    Deployed(model, images)
    fault(monkeypatch)
    layer, what = named.split(" ")
    with pytest.raises(ExportError, match=rf"- {layer}: its integer {what} must be within \d+% of fake quantiz.*; got"):
        Deployed(model, images)


def test_layers_compute_with_their_own_weights_again_afterwards():
    model = quantized("resnet8-A", Plan.named("w4a4"), channels=3)
    images = pictures(3, side("resnet8-A"), 8, seed=2)
    with torch.no_grad():
        before = model(images)
        Deployed(model, images)
        assert torch.equal(model(images), before)
    assert not [name for name, module in model.named_modules() if "forward" in vars(module)]


def test_a_graph_that_does_not_give_the_bits_of_its_network_is_refused(monkeypatch: pytest.MonkeyPatch):
    deployed = made("cnn")
    lower(deployed)
    right = TorchGraph.forward
    monkeypatch.setattr(
        TorchGraph, "forward", lambda self, images: torch.nextafter(right(self, images), torch.ones(()))
    )
    with pytest.raises(GraphError, match=r"logits: must be those of the deployed network, bit for bit; got"):
        lower(deployed)
