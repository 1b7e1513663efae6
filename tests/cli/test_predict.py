"""`glassbit predict`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from graphs import first_version
from PIL import Image

import glassbit.cli
from glassbit import export_onnx


@pytest.fixture
def photos(tmp_path):
    """A folder with two images of other sizes than the network's, one in colour and one in a folder below."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(folder / "colour.png")
    Image.fromarray(rng.integers(0, 256, (12, 12), np.uint8)).save(folder / "deep" / "grey.png")
    (folder / ".hidden").write_text("no image")
    return folder


def test_one_line_an_image(call, graph, artifact, photos):
    code, out, err = call("predict", artifact, photos, photos / "deep" / "grey.png")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["colour.png", "deep/grey.png", "grey.png"]
    with Image.open(photos / "deep" / "grey.png") as image:
        logits = graph.run(np.asarray(image)[None, None])[0].astype(np.float64)
    sure = np.exp(logits - logits.max())
    sure /= sure.sum()
    assert lines[2] == f"grey.png: predicted {graph.classes[sure.argmax()]} ({sure.max():.0%})"
    assert lines[1] == f"deep/{lines[2]}"


def test_maps_are_those_of_the_network(call, graph, artifact, photos, tmp_path):
    from glassbit.pictures import overlay
    from glassbit.pictures._render import enlarged

    code, out, err = call("predict", artifact, photos, "--explain", tmp_path / "maps", "--target", "bottom")
    assert (code, err) == (0, "")
    assert out.endswith(f"pictures: {tmp_path / 'maps'}\n")
    assert all(line.endswith(", explained bottom") for line in out.splitlines()[:-1])
    index = json.loads((tmp_path / "maps" / "index.json").read_text())
    assert [entry["name"] for entry in index["images"]] == ["colour.png", "deep/grey.png"]
    assert {entry["target_name"] for entry in index["images"]} == {"bottom"}
    with Image.open(photos / "deep" / "grey.png") as image:
        pixels = np.asarray(image)[None, None]
    wanted = overlay(pixels[0], graph.saliency(pixels, 2)[0])
    with Image.open(tmp_path / "maps" / index["images"][1]["files"]["methods"]["gradient"]["overlay"]) as image:
        assert np.array_equal(np.asarray(image), np.asarray(enlarged(wanted, 224)))


def test_images_are_framed_as_the_file_says(call, graph, artifact, tmp_path):
    """The left and the right third are cut off, or kept as bars, or squeezed in."""
    from dataclasses import replace

    wide = np.zeros((12, 36), np.uint8)
    wide[:, 12:24] = np.random.default_rng(1).integers(0, 256, (12, 12), np.uint8)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    Image.fromarray(wide[:, 12:24]).save(tmp_path / "middle.png")
    cropped = call("predict", artifact, tmp_path / "wide.png", tmp_path / "middle.png", "--explain", tmp_path / "a")[0]
    assert cropped == 0
    pictures = [path.read_bytes() for path in sorted((tmp_path / "a").rglob("image.png"))]
    assert pictures[0] == pictures[1]
    padding = tmp_path / "padding.glassbit"
    replace(graph, preprocessing=replace(graph.preprocessing, resize="pad")).save(padding)
    assert call("predict", padding, tmp_path / "wide.png", "--explain", tmp_path / "b")[0] == 0
    with Image.open(next((tmp_path / "b").rglob("image.png"))) as image:
        shown = np.asarray(image)
    assert not shown[: len(shown) // 4].any()
    assert shown[len(shown) // 2].any()


@pytest.mark.parametrize(
    ("words", "code", "texts"),
    [
        (["MODEL"], 2, ["images must be named after FILE; got none"]),
        (["model.pt", "PHOTOS"], 2, ["FILE: must end with .glassbit or .onnx", "got model.pt"]),
        (["nowhere.glassbit", "PHOTOS"], 1, ["nowhere.glassbit"]),
        (["PHOTOS/colour.png.glassbit", "PHOTOS"], 1, ["colour.png.glassbit"]),
        (
            ["MODEL", "nowhere.png"],
            1,
            ["IMAGE: must be an image or a folder of images; got nowhere.png: No such file or directory"],
        ),
        (["MODEL", "PHOTOS", "--target", "top"], 2, ["--target: must be used with --explain; got"]),
        (["MODEL", "PHOTOS", "--explain", "m", "--target", "left"], 2, ["one of top, middle, bottom; got 'left'"]),
        (
            ["MODEL", "PHOTOS/text.png"],
            1,
            ["images must be readable files; got 1 file that is not; repair or remove:", "text.png"],
        ),
    ],
)
def test_mistakes_are_explained(call, artifact, photos, words, code, texts):
    (photos / "text.png").write_text("hello")
    (photos / "colour.png.glassbit").write_bytes((photos / "colour.png").read_bytes())
    given = [word.replace("MODEL", str(artifact)).replace("PHOTOS", str(photos)) for word in words]
    found, out, err = call("predict", *given)
    assert (found, out) == (code, "")
    assert err.startswith("glassbit: ")
    for text in texts:
        assert text in err


def test_an_onnx_file_says_the_same(call, graph, artifact, photos, tmp_path):
    for explain, name in ((True, "explaining.onnx"), (False, "plain.onnx")):
        export_onnx(graph, tmp_path / name, explain=explain)
    code, out, err = call("predict", tmp_path / "explaining.onnx", photos, "--explain", tmp_path / "maps")
    assert (code, err) == (0, "")
    assert out.splitlines()[:-1] == call("predict", artifact, photos, "--explain", tmp_path / "b")[1].splitlines()[:-1]
    assert len(list((tmp_path / "maps").rglob("gradient-map.png"))) == 2
    onnx.save(first_version(onnx.load(tmp_path / "explaining.onnx")), tmp_path / "old.onnx")
    target = ("--target", graph.classes[1])
    for name, words in (("d", ()), ("e", target)):
        old = call("predict", tmp_path / "old.onnx", photos, "--explain", tmp_path / name, *words)[1]
        new = call("predict", tmp_path / "explaining.onnx", photos, "--explain", tmp_path / name, *words)[1]
        assert old == new
    code, _, err = call("predict", tmp_path / "plain.onnx", photos, "--explain", tmp_path / "c")
    assert code == 2
    assert (
        "must return saliency maps; got a file without; write one with `glassbit export RUN --onnx FILE --explain`"
        in err
    )
    assert not (tmp_path / "c").exists()


def test_a_foreign_onnx_file_is_refused(call, photos, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not an ONNX file")
    code, out, err = call("predict", tmp_path / "model.onnx", photos)
    assert (code, out) == (1, "")
    assert err.startswith(f"glassbit: {tmp_path / 'model.onnx'}: ")


HEAVY = {"torch", "matplotlib", "pandas", "scipy", "pydantic", "onnx", "rich.progress", "requests"}
TRAINING = {"datasets", "models", "quant", "train", "deploy", "explain", "build", "recipe", "study"}


@pytest.mark.parametrize("suffix", [".glassbit", ".onnx"])
def test_it_loads_neither_torch_nor_what_trains(graph, artifact, photos, tmp_path, suffix):
    export_onnx(graph, artifact.with_suffix(".onnx"), explain=True)
    words = ["predict", str(artifact.with_suffix(suffix)), str(photos), "--explain", str(tmp_path / "maps")]
    code = f"import sys; from glassbit.cli import main; assert main({words!r}) == 0; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = set(done.stdout.splitlines())
    assert not modules & ({*HEAVY} - {"onnx"} if suffix == ".onnx" else {*HEAVY, "onnxruntime"})
    assert not {name.split(".")[1] for name in modules if name.startswith("glassbit.")} & TRAINING


def test_what_is_no_image_file_of_a_folder_is_said_and_links_that_lead_out(call, artifact, photos, tmp_path):
    import os

    folder = tmp_path / "mixed"
    folder.mkdir()
    far = next(photos.rglob("*.png")).resolve()
    (folder / "far.png").symlink_to(far)
    (folder / "lost.png").symlink_to(tmp_path / "nowhere")
    (folder / "more").symlink_to(photos)
    os.mkfifo(folder / "pipe.png")
    code, out, err = call("predict", artifact, folder)
    assert code == 0, err
    assert out.startswith("far.png: predicted ")
    assert err.splitlines() == [
        f"note: {folder}: not read:",
        f"  - {folder}/lost.png: a link to nothing; repair or remove it",
        f"  - {folder}/more: a link to a folder, which is not followed; copy the folder",
        f"  - {folder}/pipe.png: a pipe, socket or device, which is not opened; remove it",
        f"note: {folder}: 1 image is read through links that lead out of the folder: far.png -> {far}",
    ]
    code, out, err = call("predict", artifact, folder / "pipe.png")
    assert (code, out) == (1, "")
    assert "a pipe, socket or device" in err


def test_paths_and_names_are_printed_so_that_no_terminal_acts_on_them(call, artifact, photos):
    code, out, err = call("predict", artifact, photos, "--explain", "x\x1b[31m\ny")
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == r"pictures: x\x1b[31m\ny"
    assert "\x1b" not in out


def test_every_result_goes_through_the_one_place_that_escapes():
    for path in Path(glassbit.cli.__file__).parent.glob("*.py"):
        if path.name != "_say.py":
            assert not re.search(r"\bprint\(|stdout\.write", path.read_text()), path.name
