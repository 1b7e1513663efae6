"""Commands that read the data set of a network again: its classes and its images may have changed since."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

TRAIN = ("--model", "cnn", "--size", "32", "--batch-size", "8", "--epochs", "3")
FEW = ("--probes", "2", "--device", "cpu", "--lr", "0.02", "--quiet")
GREYS = (("amber", 200), ("black", 20))


def paint(root, *, images=30, seed=0):
    """Two class folders that any network tells apart."""
    draw = np.random.default_rng(seed)
    for name, grey in GREYS:
        (root / name).mkdir(parents=True)
        for i in range(images):
            pixels = draw.normal(grey, 10, (12, 12)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:02}.png")
    return root


@pytest.fixture
def stones(tmp_path):
    return paint(tmp_path / "stones")


@pytest.fixture
def train(call, stones, tmp_path):
    """Trains a run with these flags; returns its folder."""

    def run(name, *words, data=stones):
        out = tmp_path / name
        code, _, err = call("train", "--data", data, *TRAIN, *FEW, *words, "--out", out)
        assert code == 0, err
        return out

    return run


def test_renamed_classes_are_refused_with_both_lists(call, train, stones, tmp_path):
    run = train("run", "--plan", "w8a8", "--deploy-epochs", "1")
    file = tmp_path / "m.glassbit"
    assert call("export", run, "--artifact", file)[0] == 0
    code, said, err = call("measure", file, "--data", stones, "--images", "8", "--out", "before")
    assert code == 0
    assert "note:" not in err
    assert any(line.split()[:2] == ["accuracy", "1.000"] for line in said.splitlines())
    (stones / "amber").rename(stones / "zinc")
    lists = "got 2: amber, black, where stones has 2: black, zinc;"
    for words in (
        ("measure", file, "--data", stones, "--out", "o"),
        ("measure", run, "--data", stones, "--out", "o"),
        ("measure", run),
        ("compare", run, file),
        ("gate", run, file),
        ("gate", run, file, "--data", stones),
        ("verify", file, "--data", stones),
        ("train", "--data", stones, *TRAIN, *FEW, "--plan", "w8a8", "--deploy-epochs", "1", "--out", run),
        (
            "train",
            "--data",
            stones,
            *TRAIN,
            *FEW,
            "--objective",
            "sgt",
            "--start",
            run,
            "--out",
            "next",
            "--plan",
            "w8a8",
        ),
    ):
        code, said, err = call(*words)
        assert (code, said) == (2, ""), words
        assert lists in err, words
    assert not (tmp_path / "o").exists()


@pytest.mark.slow
def test_a_file_with_the_same_classes_in_another_order_is_measured_by_name(call, train, stones, tmp_path):
    run = train("run", "--plan", "w8a8", "--deploy-epochs", "1")
    path = tmp_path / "turned.npz"
    images = np.full((8, 12, 12), 20, np.uint8)
    images[::2] = 200
    images[:, 0, 0] = np.arange(8)
    labels = np.arange(8) % 2
    names = np.array(["black", "amber"])  # so that label 0 is black, and the labels turn
    turned = 1 - labels
    np.savez(path, train_images=images, train_labels=turned, test_images=images, test_labels=turned, classes=names)
    code, said, err = call("measure", run / "model.glassbit", "--data", path, "--images", "8", "--out", "o")
    assert code == 0
    note = "note: model.glassbit has the classes of turned in another order, amber, black; they are matched by name"
    assert note in err.splitlines()
    assert any(line.split()[:2] == ["accuracy", "1.000"] for line in said.splitlines())
    assert json.loads((tmp_path / "o/transparency.json").read_text())["classes"] == ["black", "amber"]
    code, said, err = call("compare", run, run / "model.glassbit", "--data", path, "--images", "8", "--out", "c")
    assert code == 0
    assert err.count("in another order, amber, black; they are matched by name") == 2
    assert "1.000 -> 1.000" in said


def test_images_that_changed_since_the_run_are_noticed(call, train, stones, tmp_path):
    run = train("run")
    kept = shutil.copytree(stones, tmp_path / "kept")
    for path in stones.glob("*/*.png"):
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    changed = "other test images or labels, or another order of them"
    code, said, err = call("measure", run, "--images", "8")
    assert (code, said) == (1, "")
    assert f"{run}: must be measured on the images of its training; got another {stones} ({changed}); bring the" in err
    assert f"bring the old images back, or measure on the new ones with --data {stones}" in err
    code, said, err = call("measure", run, "--data", stones, "--images", "8", "--out", "o")
    assert code == 0
    assert f"({changed}); some of its test images may have been trained on" in err
    code, said, err = call("train", "--data", stones, *TRAIN, *FEW, "--out", run)
    assert (code, said) == (1, "")
    assert (
        "must have the images of its training; got another stones (other training images or labels, or another order"
        in err
    )
    gone = stones.rename(tmp_path / "gone")
    code, said, err = call("train", "--data", stones, *TRAIN, *FEW, "--out", run)
    assert (code, err) == (0, "")
    assert "is finished already; nothing was trained" in said
    gone.rename(stones)
    inverted = (stones / "amber/00.png").read_bytes()
    (stones / "amber/00.png").write_bytes(b"no image")
    code, said, err = call("train", "--data", stones, *TRAIN, *FEW, "--out", run)
    assert (code, said) == (1, "")
    assert "amber/00.png: not an image that can be read" in err
    (stones / "amber/00.png").write_bytes(inverted)
    words = ("--data", stones, *TRAIN, *FEW, "--objective", "sgt", "--start", run)
    code, said, err = call("train", *words, "--out", "next")
    assert (code, said) == (1, "")
    assert "must be trained on the images that stones has now, to start from its weights; got others (other" in err

    shutil.rmtree(stones)
    kept.rename(stones)
    for number in range(10):
        (stones / f"amber/{number:02}.png").unlink()
    assert "12 test images then, 10 now" in call("measure", run, "--images", "8")[2]
    assert call("explain", run, "--out", "e")[0] == 0
    head = json.loads((run / "run.json").read_text())
    assert set(head["images"]["digests"]) == {"train", "test"}
    del head["images"]["digests"]
    (run / "run.json").write_text(json.dumps(head))
    assert call("explain", run, "--out", "e")[0] == 0
