"""A folder with checkpoints of another network or of other images is recognised; older checkpoints still resume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from glassbit._errors import GlassbitWarning, RunError
from glassbit.datasets import Dataset, Split
from glassbit.models import Classifier
from glassbit.quant import Plan, quantize_
from glassbit.train import CrossEntropy, fit, load_checkpoint, save_checkpoint
from glassbit.train._identity import changes, identity
from glassbit.train._machine import go_on_as, machine
from glassbit.train._resume import best_record

from .worker import made_up


class Scaled(nn.Module):
    """A layer of a user's own, whose option is no tensor."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.by


def network(plan: str = "w4a4", *, by: float = 1.0, width: int = 4, mean: float = 0.5, stride: int = 1) -> CrossEntropy:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(1, width, 3, stride=stride), nn.ReLU(), Scaled(by), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, 3),
    )  # fmt: skip
    quantize_(layers, Plan.named(plan, edges="same"))
    return CrossEntropy(Classifier(layers, mean=(mean,), std=(0.25,)))


def images(
    change: Callable[[Split], Split] = lambda split: split, classes: tuple[str, ...] = ("a", "b", "c")
) -> Dataset:
    data = made_up(24)
    return Dataset("made-up", change(data.train), data.test, classes)


def start(out: Path, objective: CrossEntropy | None = None, data: Dataset | None = None, epochs: int = 1) -> Any:
    return fit(
        objective or network(), data or images(), epochs=epochs, batch_size=12, validation=0, lr=0.01, device="cpu",
        out=out, progress=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    start(out)
    return out


@pytest.mark.parametrize(
    ("weights", "activations", "layer", "activation"),
    [
        ("sawb", "pact", "SAWB(bits=4)", "PACT(bits=4, inplace=False, placed='1', alpha 1)"),
        ("dorefa", "pact", "DoReFa(bits=4)", "PACT(bits=4, inplace=False, placed='1', alpha 1)"),
        ("lsq", "lsq", "LSQ(bits=4, signed=True, step 1)", "LSQ(bits=4, signed=False, placed='1', step 1)"),
    ],
)
def test_quantizers_are_described_as_in_older_checkpoints(
    weights: str, activations: str, layer: str, activation: str
) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    quantize_(model, Plan.named("w4a4", weights=weights, activations=activations, edges="same"))
    assert identity(CrossEntropy(model), images())["bits"] == {"0": layer, "1": activation, "3": layer}


@pytest.mark.parametrize(
    ("objective", "data", "what"),
    [
        ({"plan": "w2a2"}, {}, r"bits: 0 was SAWB\(bits=4\) and is now SAWB\(bits=2\), 1 was PACT\(bits=4"),
        ({"width": 5}, {}, r"network: 0.layer was Conv2d\(1, 4, .* and is now Conv2d\(1, 5"),
        ({"stride": 2}, {}, r"network: 0.layer was .* and is now Conv2d\(1, 4, kernel_size=\(3, 3\), stride=\(2, 2\)"),
        ({"by": 2.0}, {}, r"network: 2 was Scaled\(by=1.0\) and is now Scaled\(by=2.0\)"),
        ({"mean": 0.25}, {}, r"mean was \[0.5\] and is now \[0.25\]"),
        ({}, {"classes": ("a", "b", "z")}, r"classes was \['a', 'b', 'c'\] and is now \['a', 'b', 'z'\]"),
        ({}, {"change": lambda split: Split(255 - split.images, split.labels)}, "training images or their labels"),
        ({}, {"change": lambda split: Split(split.images, 2 - split.labels)}, "training images or their labels"),
        ({}, {"change": lambda split: Split(split.images.flip(0), split.labels.flip(0))}, "training images or their"),
    ],
)
def test_another_run_in_the_folder_is_named(
    trained: Path, objective: dict[str, Any], data: dict[str, Any], what: str
) -> None:
    with pytest.raises(
        RunError, match=f"must hold this run; got another one .*{what}.*; choose another folder, or delete this one"
    ):
        start(trained, network(**objective), images(**data))


def test_the_same_run_is_known_again(trained: Path) -> None:
    assert start(trained).best_epoch == 1
    assert identity(network(), images()) == load_checkpoint(trained / "last.pt")["identity"]


def test_an_older_checkpoint_is_compared_by_what_it_holds(trained: Path, tmp_path: Path) -> None:
    saved = load_checkpoint(trained / "last.pt")
    for part in ("identity", "machine"):
        del saved[part]
    save_checkpoint(tmp_path / "last.pt", saved)
    assert start(tmp_path).best_epoch == 1
    with pytest.raises(
        RunError, match=r"must hold a run of this network.*0.layer.weight is 4x1x3x3 and must be 5x1x3x3"
    ):
        start(tmp_path, network(width=5))


def test_parts_that_an_older_description_lacks_are_not_compared() -> None:
    assert changes({"classes": ["a"]}, {"classes": ["a"], "data": "12"}) == []
    before, now = ({"network": {str(i): kind for i in range(5)}} for kind in ("old", "new"))
    assert changes(before, now) == [
        "network: 0 was old and is now new, 1 was old and is now new, 2 was old and is now new, 2 more"
    ]


def test_best_weights_that_are_lost_come_from_the_last_epoch_or_from_training_again(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    history = start(tmp_path, epochs=3).epochs
    best = load_checkpoint(tmp_path / "best.pt")
    (tmp_path / "best.pt").unlink()
    if best["epoch"] == 3:
        start(tmp_path, epochs=3)
    else:
        with pytest.warns(GlassbitWarning, match=r"best.pt: is lost or damaged; the run is trained again"):
            start(tmp_path, epochs=3)
    again = load_checkpoint(tmp_path / "best.pt")
    assert again["epoch"] == best["epoch"]
    assert all(torch.equal(again["model"][name], tensor) for name, tensor in best["model"].items())
    saved = load_checkpoint(tmp_path / "last.pt")
    assert len(saved["history"]) == len(history) == 3
    assert not recwarn.list


def test_best_weights_of_an_earlier_epoch_are_trained_again(tmp_path: Path) -> None:
    start(tmp_path, epochs=2)
    saved, best = load_checkpoint(tmp_path / "last.pt"), load_checkpoint(tmp_path / "best.pt")
    saved["history"][0]["validation"] = {"loss": 0.0, "accuracy": 1.0}
    assert best_record(saved["history"]) is saved["history"][0]
    save_checkpoint(tmp_path / "last.pt", saved)
    (tmp_path / "best.pt").write_bytes(b"")
    with pytest.warns(GlassbitWarning, match=r"best.pt: is lost or damaged; the run is trained again from the first"):
        start(tmp_path, epochs=2)
    assert [line.count('"epoch"') for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [1, 1]
    again = load_checkpoint(tmp_path / "best.pt")
    assert again["epoch"] == best["epoch"]
    assert all(torch.equal(again["model"][name], tensor) for name, tensor in best["model"].items())


def test_threads_are_those_of_the_beginning_and_come_back(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        start(tmp_path / "whole", epochs=2)
        start(tmp_path / "parts", epochs=2)  # taken back to its first epoch below
        saved = load_checkpoint(tmp_path / "parts" / "last.pt")
        assert saved["machine"]["threads"] == 2
        start(tmp_path / "one")
        torch.set_num_threads(1)
        first = load_checkpoint(tmp_path / "one" / "last.pt")
        first["settings"]["epochs"] = 2
        save_checkpoint(tmp_path / "one" / "last.pt", first)
        with pytest.warns(GlassbitWarning, match=r"goes on with 2 threads, as it began, for the same bits \(this call"):
            start(tmp_path / "one", epochs=2)
        assert torch.get_num_threads() == 1
        assert load_checkpoint(tmp_path / "one" / "last.pt")["machine"]["threads"] == 2
    finally:
        torch.set_num_threads(before)


def test_what_cannot_be_had_back_is_said_and_kept_in_the_log(tmp_path: Path) -> None:
    start(tmp_path)
    saved = load_checkpoint(tmp_path / "last.pt")
    saved["machine"]["torch"] = "1.0"
    saved["settings"]["epochs"] = 2
    save_checkpoint(tmp_path / "last.pt", saved)
    text = f"not to the bits of a run that was never interrupted: torch was 1.0 and is now {torch.__version__}"
    with pytest.warns(GlassbitWarning) as caught:
        epochs = start(tmp_path, epochs=2).epochs
    assert text in str(caught.list[0].message)
    assert [record.get("moved") for record in epochs] == [None, [f"torch was 1.0 and is now {torch.__version__}"]]


def test_threads_do_not_matter_on_a_gpu() -> None:
    here = machine(torch.device("cpu"))
    assert go_on_as({**here, "device": "meta", "threads": 99, "processor": "other"}, torch.device("meta"), "x") == []


def test_more_threads_than_cores_are_said_to_be_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassbit.train._machine.cores", lambda: 1)
    before = torch.get_num_threads()
    try:
        with pytest.warns(GlassbitWarning, match="these are more than the 1 cores here, and slow"):
            assert go_on_as({"threads": before + 1}, torch.device("cpu"), "x") == []
    finally:
        torch.set_num_threads(before)
