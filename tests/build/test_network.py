from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import nn

from glassbit._errors import UsageError
from glassbit.build import build_network, import_network
from glassbit.recipe import ModelRecipe

OWN = """
import torch
from torch import nn

def flat(classes, channels, hidden=8):
    return nn.Sequential(nn.Flatten(), nn.Linear(144 * channels, hidden), nn.ReLU(), nn.Linear(hidden, classes))

class Net(nn.Sequential):
    def __init__(self, classes, channels):
        super().__init__(nn.Flatten(), nn.LazyLinear(classes))

def no_module(classes, channels):
    return 3

def broken(classes, channels):
    raise ValueError("boom")

def few(classes, channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(144 * channels, 3))

def other_size(classes, channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(5, classes))

def pair(classes, channels):
    class Pair(nn.Module):
        def forward(self, x):
            return x, x
    return Pair()

def no_arguments():
    return nn.Identity()

thing = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's in the current folder."""
    name = f"own_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(OWN)
    (tmp_path / f"{name}_broken.py").write_text("import not_there_at_all")
    monkeypatch.chdir(tmp_path)
    return name


def make(name: str, seed: int = 0, **arguments: object) -> nn.Module:
    return build_network(ModelRecipe(name=name, arguments=arguments), classes=10, channels=2, size=(12, 12), seed=seed)


@pytest.mark.parametrize("name", ["cnn", "cnn-bn", "resnet20"])
def test_shipped_networks_fit_the_data(name: str) -> None:
    network = make(name)
    assert network.training
    assert network(torch.zeros(2, 2, 12, 12)).shape == (2, 10)


def test_weights_follow_the_seed_and_leave_torch_alone() -> None:
    before = torch.random.get_rng_state()
    first, again, other = make("cnn-bn", 1), make("cnn-bn", 1), make("cnn-bn", 2)
    assert torch.equal(before, torch.random.get_rng_state())
    same = [torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)]
    assert all(same)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))


def test_arguments_reach_the_network(own: str) -> None:
    assert make("cnn-bn", width=4).stage1.conv.out_channels == 4  # type: ignore[union-attr]
    assert make(f"{own}:flat", hidden=5)[1].out_features == 5  # type: ignore[index]


def test_a_class_and_lazy_layers_work(own: str) -> None:
    assert make(f"{own}:Net")(torch.zeros(1, 2, 12, 12)).shape == (1, 10)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere:net", "model nowhere:net: the module nowhere must be importable from the current folder"),
        ("OWN_broken:net", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("OWN:absent", "must have absent; got none; check the name after the colon"),
        ("OWN:thing", "must be callable with classes=, channels=; got int"),
        ("OWN:no_module", "must return a torch.nn.Module; got int"),
        ("OWN:broken", "must return a network when called with classes=10, channels=2; got: ValueError: boom"),
        ("OWN:few", "must return logits of shape (2, 10) for 2 images of 2 x 12 x 12; got shape (2, 3)"),
        ("OWN:pair", "must return logits of shape (2, 10) for 2 images of 2 x 12 x 12; got tuple"),
        ("OWN:other_size", "must take images of 2 x 12 x 12; got: RuntimeError"),
        ("OWN:no_arguments", "must take classes, channels; got nothing"),
    ],
)
def test_a_network_that_cannot_be_used_is_refused_with_the_reason(own: str, name: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(name.replace("OWN", own))
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"widht": 3}, "model cnn-bn: must take classes, channels, widht; got classes, channels, width"),
        ({"classes": 3}, "model cnn-bn: arguments must not contain keys that the data decides; got classes; delete"),
        ({"width": -3}, "cnn_bn: width must be a whole number, 1..65535; got -3"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, object], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        make("cnn-bn", **arguments)
    assert problem in str(caught.value)


EXITS = """
import sys
from torch import nn

def leave(classes, channels):
    sys.exit(0)

class Leaves(nn.Module):
    def __init__(self, classes, channels):
        super().__init__()
    def forward(self, x):
        raise SystemExit
"""


@pytest.mark.parametrize(
    ("ending", "text"),
    [
        (":leave", "SystemExit"),
        (":Leaves", "got: SystemExit"),
        ("_at_import:x", "must be importable .*; got: SystemExit: 0"),
    ],
)
def test_a_network_that_ends_the_program_is_refused(own: str, ending: str, text: str) -> None:
    Path(f"{own}_exits.py").write_text(EXITS)
    Path(f"{own}_exits_at_import.py").write_text("raise SystemExit(0)")
    with pytest.raises(UsageError, match=f"{own}_exits.*{text}"):
        make(f"{own}_exits{ending}")
    with pytest.raises(UsageError, match=f"{own}_exits.*SystemExit") if ending != ":Leaves" else nullcontext():
        import_network(f"{own}_exits{ending}", classes=10, channels=2)
