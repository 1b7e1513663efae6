"""Training a network that calls one activation several times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from glassbit.quant import Plan, quantize_
from glassbit.train import History, SaliencyGuided, fit, load_checkpoint
from glassbit.train._monitor import levels, steps, watching
from glassbit.train._optimizer import parameter_groups
from tests.quant.shared import IMAGES, FunctionalResNet, ResNet, made

from .worker import made_up

SITES = ["relu", *(f"{block}.relu.{call}" for block in ("layer1.0", "layer1.1", "layer2.0") for call in (0, 1))]


def train(out: Path, stop_after: int | None = None, kind: type[nn.Module] = ResNet) -> History:
    torch.manual_seed(0)
    network = kind()
    quantize_(network, Plan.named("w4a4", alpha=2.0, weights="lsq"), example=torch.zeros(2, 1, 8, 8))

    def probes(epoch: int, model: torch.nn.Module) -> None:
        if epoch == stop_after:
            raise KeyboardInterrupt

    return fit(
        SaliencyGuided(network, k=0.5), made_up(48), epochs=2, deploy_epochs=1, batch_size=16, lr=0.05, out=out,
        validation=0.25, probes=probes, progress=False,
    )  # fmt: skip


@pytest.mark.slow
def test_resumed_to_the_same_bits_and_logged_by_call(tmp_path: Path) -> None:
    train(tmp_path / "whole")
    for stop in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", stop)
    train(tmp_path / "parts")
    one, other = (load_checkpoint(tmp_path / name / "last.pt")["model"] for name in ("whole", "parts"))
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)
    records = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    for name in ("alphas", "clipped", "zeros"):
        assert list(records[0][name]) == SITES
    assert list(records[-1]["alphas"]) == SITES
    assert len(set(records[-1]["alphas"].values())) == len(SITES)


def test_functions_train_deploy_and_export_under_their_names(tmp_path: Path) -> None:
    train(tmp_path / "run", kind=FunctionalResNet)
    records = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    for record in (records[0], records[-1]):
        assert sorted(record["alphas"]) == sorted(SITES)
        assert len(set(record["alphas"].values())) == len(SITES)
    train(tmp_path / "modules")
    one, other = (load_checkpoint(tmp_path / name / "best.pt")["model"] for name in ("run", "modules"))
    assert sorted(one) == sorted(other)


def test_what_is_watched_is_named_by_call() -> None:
    model = made("resnet").eval()
    with watching(model) as shares, torch.no_grad():
        model(IMAGES)
    assert list(shares.shares()[0]) == SITES
    assert list(levels(model)) == SITES
    assert not steps(model)


def test_each_level_is_in_the_group_of_levels() -> None:
    model = made("resnet")
    groups = parameter_groups(model, "sgd", lr=0.1, weight_decay=0.1, quantizer_lr=0.02, quantizer_decay=0.3)
    found = [len(group["params"]) for group in groups if group["lr"] == 0.02]
    assert found == [len(SITES)]
    assert sum(len(group["params"]) for group in groups) == len(list(model.parameters()))
