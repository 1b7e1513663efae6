"""A run folder that was damaged: every command ends in a sentence, and what it advises works."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from glassbit.cli import main
from glassbit.report.draw import _svg

SHORT = ("--batch-size", "20", "--epochs", "2", "--probes", "3", "--device", "cpu")
FOREIGN = re.compile(r"Traceback|weights_only|WeightsUnpickler|Error\(s\)|pydantic|Expecting|File is not a zip|Errno")


class Evil:
    """What runs code when it is unpickled without care."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.mkdir, ("executed",))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garble(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 20] = bytes(range(200, 220))
    path.write_bytes(whole)


def folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


def other_keys(path: Path) -> None:
    torch.save({"weights": torch.zeros(2)}, path)


def no_records(path: Path) -> None:
    torch.save({**torch.load(path, weights_only=True), "history": [1, "two"]}, path)


def other_network(path: Path) -> None:
    saved = torch.load(path, weights_only=True)
    saved["model"] = {name: torch.zeros(3, 3) for name in saved["model"]}
    torch.save(saved, path)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Evil(), protocol=2))


def holding(value: Any) -> Callable[[Path], None]:
    return lambda path: path.write_text(value if isinstance(value, str) else json.dumps(value))


def changed(**values: Any) -> Callable[[Path], None]:
    return lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


DEEP = "[" * 100_000
CHARTED = ("log.jsonl", "transparency.json")
"""What is in these files is drawn in charts."""
DAMAGES: tuple[tuple[str, Callable[[Path], None]], ...] = (
    ("last.pt", empty),
    ("last.pt", shorten),
    ("last.pt", other_keys),
    ("last.pt", no_records),
    ("last.pt", folder),
    ("best.pt", empty),
    ("best.pt", shorten),
    ("best.pt", Path.unlink),
    ("best.pt", other_keys),
    ("best.pt", other_network),
    ("best.pt", pickled),
    ("best.pt", folder),
    ("log.jsonl", garble),
    ("log.jsonl", Path.unlink),
    ("log.jsonl", holding(f"{DEEP}\n")),
    ("log.jsonl", holding('{"epoch": "one"}\n')),
    ("log.jsonl", folder),
    ("run.json", empty),
    ("run.json", shorten),
    ("run.json", holding(DEEP)),
    ("run.json", holding([1])),
    ("run.json", changed(config={"training": {"lr": "fast"}})),
    ("run.json", changed(images=None)),
    ("run.json", changed(seed=[1])),
    ("run.json", folder),
    ("result.json", shorten),
    ("result.json", holding("{}")),
    ("result.json", changed(cost={"rows": 3})),
    ("result.json", folder),
    ("transparency.json", shorten),
    ("transparency.json", changed(classes=3)),
    ("transparency.json", folder),
    ("transparency.npz", shorten),
    ("probes.npz", garble),
    ("explain.npz", shorten),
)
CASES = [
    pytest.param(*damage, marks=() if number % 3 == 0 else pytest.mark.slow) for number, damage in enumerate(DAMAGES)
]
"""A third of them in every run of the tests."""
COMMANDS: dict[str, tuple[str, ...]] = {
    "report": ("report", "RUN"),
    "measure": ("measure", "RUN", "--images", "4"),
    "explain": ("explain", "RUN", "--out", "maps"),
    "export": ("export", "RUN", "--artifact", "model.glassbit"),
    "compare": ("compare", "RUN", "whole", "--images", "4", "--out", "compared"),
    "gate": ("gate", "RUN", "whole", "--images", "4", "--out", "compared"),
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small data set and a finished run that was measured."""
    place = tmp_path_factory.mktemp("whole")
    pixels, labels = np.random.default_rng(0).integers(0, 60, (84, 1, 12, 12), np.uint8), np.arange(84) % 3
    for image, label in zip(pixels, labels, strict=True):
        image[0, 4 * label : 4 * label + 3] += 180
    parts = {"train": slice(60), "test": slice(60, 84)}
    arrays = {f"{part}_images": pixels[rows] for part, rows in parts.items()}
    arrays |= {f"{part}_labels": labels[rows] for part, rows in parts.items()}
    np.savez(place / "tiny.npz", **arrays, classes=np.array(["top", "middle", "bottom"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("GLASSBIT_CACHE", str(place / "cache"))
        assert main(TRAIN) == 0
        assert main(["measure", "run", "--images", "4"]) == 0
    return place


TRAIN = ["train", "--data", "tiny.npz", "--model", "cnn", "--plan", "w4a4", *SHORT, "--out", "run", "--quiet"]


@pytest.fixture
def place(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same once more, as the working folder, and the whole run beside it."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    shutil.copytree(whole / "run", tmp_path / "whole")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GLASSBIT_CACHE", str(tmp_path / "cache"))
    yield tmp_path
    assert not (tmp_path / "executed").exists()


def words_of(command: tuple[str, ...]) -> list[str]:
    return ["run" if word == "RUN" else word for word in command]


def in_words(code: int, err: str, *, verdict: bool = False) -> str:
    """What a command says on stderr: no more than notes, and one sentence of ours where it failed.

    Args:
        verdict: whether it also ends with 1 where it found what it was to look for.
    """
    assert code in (0, 1), err
    assert not FOREIGN.search(err), err
    ours = [line for line in err.splitlines() if line.startswith("glassbit: ")]
    if code == 0 or (verdict and not ours):
        assert not ours, err
        return ""
    assert len(ours) == 1, err
    assert err.splitlines()[-1] == ours[0], err
    return ours[0]


@pytest.mark.parametrize(("name", "damage"), CASES, ids=lambda part: getattr(part, "__name__", part))
def test_a_damaged_run_ends_in_a_sentence_and_is_mended(
    name: str,
    damage: Callable[[Path], None],
    place: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if name not in CHARTED or damage in (
        shorten,
        folder,
    ):  # charts are filled, not laid out, which takes most of the time
        blank = '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
        monkeypatch.setattr(_svg, "_written", lambda figure: blank)
    damage(place / "run" / name)
    for command, words in COMMANDS.items():
        if (command == "compare" and damage is not shorten) or (command == "report" and name.endswith(".pt")):
            continue  # `gate` compares, too; a report reads no checkpoint
        in_words(main(words_of(words)), capsys.readouterr().err, verdict=command == "gate")
    last = [TRAIN, *(words_of(COMMANDS[command]) for command in ("measure", "export"))]
    last += [] if name.endswith(".pt") else [words_of(COMMANDS["report"])]
    for words in last:
        said = in_words(main(words), capsys.readouterr().err)
        if said:  # what it advises is to delete what was damaged, or what is in its place, and to train
            damaged = place / "run" / name
            assert f"{name}: " in said
            assert "delete" in said
            shutil.rmtree(damaged) if damaged.is_dir() else damaged.unlink()
            for again in (TRAIN, words):
                assert main(again) == 0, capsys.readouterr().err
                capsys.readouterr()
    assert best_of(place / "run") == best_of(place / "whole")


def best_of(run: Path) -> dict[str, bytes]:
    """The best weights, to the bit."""
    weights = torch.load(run / "best.pt", weights_only=True)["model"]
    return {name: tensor.numpy().tobytes() for name, tensor in weights.items()}
