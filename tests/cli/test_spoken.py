"""Messages of the library in the words of the command."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image

from glassbit.cli._spoken import speaker

GREY = "1 image is grey (such as a.png): choose color='grey' or color='rgb' for all of them"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("train", "1 image is grey (such as a.png): choose --color grey or --color rgb for all of them"),
        ("plan", "1 image is grey (such as a.png): choose --color grey or --color rgb for all of them"),
        ("data check", "1 image is grey (such as a.png): choose --color grey or --color rgb for all of them"),
        ("study", "1 image is grey (such as a.png): choose `color: grey` or `color: rgb` for all of them"),
        ("measure", "1 image is grey (such as a.png): choose color grey or color rgb for all of them"),
        ("", GREY),
        ("no-such-command", GREY),
    ],
)
def test_what_is_asked_for_is_spelled_as_the_command_has_it(command, said):
    assert speaker(command.split())(GREY) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "pixels per side; got 3000 x 8; choose size=, e.g. 224",
            "pixels per side; got 3000 x 8; choose --size, e.g. 224",
        ),
        ("choose one for all of them, such as size=64", "choose one for all of them, such as --size 64"),
        ("lower quantizer_decay or quantizer_lr", "lower --quantizer-decay or --quantizer-lr"),
        ("fit: epochs must be at least 1; got 0", "fit: --epochs must be at least 1; got 0"),
        ("must be a multiple of devices (3); got 32", "must be a multiple of --devices (3); got 32"),
        ("got 3; use those or `weights: dorefa`", "got 3; use those or `--weights dorefa`"),
        ("add `deploy_epochs: 1`", "add `--deploy-epochs 1`"),
        ("layer in full precision (edges: full)", "layer in full precision (--edges full)"),
        ("with --data-dir FOLDER (in Python: data_dir=FOLDER)", "with --data-dir FOLDER"),
        ("images must be uint8; got (1, 2)", "images must be uint8; got (1, 2)"),
        ("--batch-size: must be one of 1, 2", "--batch-size: must be one of 1, 2"),
        ("build the network with channels=3", "build the network with channels=3"),
        ("runs/batch_size=3/log.jsonl: damaged", "runs/batch_size=3/log.jsonl: damaged"),
        ("the layer model.batch_size is missing", "the layer model.batch_size is missing"),
    ],
)
def test_keys_become_flags_and_other_words_stay(text, said):
    assert speaker(["train"])(text) == said


def test_explain_has_a_method():
    text = "or use method='occlusion', which needs no gradient"
    assert speaker(["explain"])(text) == "or use --method occlusion, which needs no gradient"


def test_a_recipe_keeps_its_keys():
    text = "training.quantizer_lr: must be > 0; use `start: scratch`"
    assert speaker(["study"])(text) == text


@pytest.fixture
def mixed(tmp_path):
    """A folder of class folders with a grey image among colour, of two sizes."""
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(2):
            shape = (16, 16) if (name, index) == ("cat", 0) else (20, 20, 3)
            Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(tmp_path / "photos" / name / f"{index}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("command", [("train", "--data"), ("data", "check"), ("plan", "--data")])
def test_a_command_speaks_of_its_flags(call, mixed, command):
    code, _, err = call(*command, mixed)
    assert code == 1
    assert "--color grey or --color rgb" in err
    assert "color=" not in err
    code, _, err = call(*command, mixed, "--color", "rgb")
    assert code == 1
    assert "such as --size 64" in err


def test_a_note_does_too(call, monkeypatch):
    from glassbit._errors import GlassbitWarning
    from glassbit.cli import _doctor

    def noting(*, data_dir=None):
        warnings.warn("look into data_dir", GlassbitWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(_doctor, "doctor", noting)
    assert call("doctor")[2] == "note: look into --data-dir\n"
