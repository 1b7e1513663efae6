"""A batch in parts: the same step where images do not influence each other, and resumed to the same bits."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from glassbit._errors import RunError, UsageError
from glassbit.deploy import Deployed
from glassbit.quant import Plan, quantize_
from glassbit.train import CrossEntropy, Objective, RandomMasking, SaliencyGuided, load_checkpoint, save_checkpoint
from glassbit.train._step import step

from .test_fit import assert_same_bits, content, finish, run
from .worker import made_up, train, unmixed

IMAGES, LABELS = made_up(10).train.images, made_up(10).train.labels
TOLERANCE = {"rtol": 1e-4, "atol": 1e-6}


def network(kind: str) -> nn.Module:
    model = unmixed()
    if kind != "float":
        quantize_(model, Plan.named("w4a4", alpha=2.0))
    return Deployed(model, IMAGES) if kind == "deployed" else model


def stepped(objective: Objective, parts: int) -> tuple[Tensor, dict[str, Tensor]]:
    """The means and the state after one step."""
    objective = copy.deepcopy(objective).train()
    fabric = Fabric(accelerator="cpu", devices=1)
    wrapped, optimizer = fabric.setup(objective, torch.optim.SGD(objective.parameters(), lr=0.5))
    return step(fabric, wrapped, optimizer, IMAGES, LABELS, parts=parts), objective.state_dict()


@pytest.mark.parametrize("kind", ["float", "quantized", "deployed"])
@pytest.mark.parametrize(
    "make",
    [
        CrossEntropy,
        lambda model: SaliencyGuided(model, fill="mean", weight=3.0),
        lambda model: SaliencyGuided(model, fill="mean", gradient="separate", ranking="signed", detach=True),
        lambda model: RandomMasking(model, k=1.0, fill="mean", weight=3.0),
    ],
    ids=["ce", "sgt", "sgt-separate", "random"],
)
def test_parts_take_the_step_of_the_whole_batch(kind: str, make: Any) -> None:
    """No BatchNorm, no Dropout, and masks that leave nothing to chance."""
    objective = make(network(kind))
    before = copy.deepcopy(objective.state_dict())
    means, whole = stepped(objective, 1)
    assert any(not torch.equal(whole[name], before[name]) for name in whole)
    for parts in (3, 10, 99):
        other_means, other = stepped(objective, parts)
        torch.testing.assert_close(other_means, means, **TOLERANCE)
        torch.testing.assert_close(other, whole, **TOLERANCE)


def test_a_run_in_parts_resumes_to_the_same_bits_in_both_arithmetics(tmp_path: Path) -> None:
    options = {"accumulate": 3, "deploy_epochs": 2, "batch_size": 16}
    train(tmp_path / "whole", 2, **options)
    for stop in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", 2, stop_after=stop, **options)
    train(tmp_path / "parts", 2, **options)
    assert_same_bits(content(tmp_path / "whole"), content(tmp_path / "parts"))


def test_a_checkpoint_from_before_there_were_parts_is_one_without(tmp_path: Path) -> None:
    train(tmp_path, 1)
    saved = load_checkpoint(tmp_path / "last.pt")
    assert saved["settings"].pop("accumulate") == 1
    save_checkpoint(tmp_path / "last.pt", saved)
    assert len(train(tmp_path, 1).epochs) == 1
    with pytest.raises(RunError, match="accumulate was 1 and is now 2"):
        train(tmp_path, 1, accumulate=2)


@pytest.mark.parametrize("parts", [0, 17])
def test_more_parts_than_images_are_refused(tmp_path: Path, parts: int) -> None:
    with pytest.raises(UsageError, match=f"accumulate must be 1..16, the batch size; got {parts}"):
        train(tmp_path, 1, accumulate=parts)


def test_two_processes_with_parts_equal_one_process_with_whole_batches(tmp_path: Path) -> None:
    """The same global batch; without augmentation, whose draws belong to a process."""
    options = {"plain": True, "flip": False, "crop": 0}
    finish(run(tmp_path / "two", 2, processes=2, accumulate=2, **options))
    train(tmp_path / "one", 2, device="cpu", **options)
    one, two = (load_checkpoint(tmp_path / name / "last.pt") for name in ("one", "two"))
    torch.testing.assert_close(two["model"], one["model"], **TOLERANCE)
    logs = [json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[-1]) for name in ("one", "two")]
    assert logs[1]["train"] == pytest.approx(logs[0]["train"], rel=1e-4)
