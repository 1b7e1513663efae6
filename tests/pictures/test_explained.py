"""One image's pictures, without a network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glassbit.pictures import Explained, folder_name, write_explained, write_index


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("cats/one.png", "0007-cats-one"),
        ("../../etc/passwd", "0007-etc-passwd"),
        ("ünï cödé.JPG", "0007-n-c-d"),
        ("", "0007-image"),
        ("x" * 200, "0007-" + "x" * 60),
    ],
)
def test_folder_names_are_tame(name: str, folder: str) -> None:
    assert folder_name(7, name) == folder


def test_the_index_names_every_picture(tmp_path: Path) -> None:
    image = np.full((1, 6, 9), 100, np.uint8)
    maps = {"gradient": np.eye(6, 9), "other": np.zeros((6, 9))}
    one = Explained("a.png", tmp_path / "0000-a", prediction=1, confidence=0.75, target=5)
    entry = write_explained(one, image, maps, classes=("cat", "dog"), label=0, notes={"other": "dark"})
    write_index(tmp_path, [entry], methods=["gradient", "other"], quantized=True)
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["images"] == [entry]
    assert (index["quantized"], index["gradient"]) == (True, "straight-through")
    assert (entry["prediction_name"], entry["target_name"], entry["label_name"]) == ("dog", "5", "cat")
    files = [entry["files"]["image"], entry["files"]["panel"]]
    files += [path for kinds in entry["files"]["methods"].values() for path in kinds.values()]
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")} == set(files)
    with Image.open(tmp_path / entry["files"]["methods"]["gradient"]["map"]) as picture:
        assert picture.size == (9 * 24, 6 * 24)
        assert np.asarray(picture)[0, 0].sum() > 600


def test_pictures_load_neither_torch_nor_matplotlib(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys, numpy as np, pathlib; from glassbit.pictures import *\n"
        f"one = Explained('a', pathlib.Path({str(tmp_path)!r}) / 'a', 0, None, 0)\n"
        "write_explained(one, np.zeros((3, 8, 8), np.uint8), {'gradient': np.eye(8)})\n"
        "print({'torch', 'matplotlib', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
    assert (tmp_path / "a" / "gradient-overlay.png").is_file()
