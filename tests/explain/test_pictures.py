"""The folder of pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glassbit._errors import DiskError, UsageError
from glassbit.explain import METHODS, explain_images, integrated_gradients

NAMES = ["cats/one.png", "../../etc/passwd", "ünï cödé.JPG", "cats/one.png", ""]
CLASSES = ("cat", "dog", "ship")


@pytest.mark.parametrize("quantized", [None, "w4a4"])
def test_every_picture_is_there_and_the_index_tells_of_it(make, images, tmp_path: Path, quantized) -> None:
    model = make(quantized=quantized)
    told: list[str] = []
    labels = torch.tensor([0, 1, 2, 0, 1])
    found = explain_images(model, images, NAMES, METHODS, tmp_path, classes=CLASSES, labels=labels, done=told.append)
    assert told == NAMES
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["methods"] == list(METHODS)
    assert index["quantized"] == (quantized is not None)
    assert index["gradient"] == ("exact" if quantized is None else "straight-through")
    with torch.no_grad():
        probabilities = model.eval()(images).softmax(1)
    files = set()
    for i, (one, entry) in enumerate(zip(found, index["images"], strict=True)):
        assert one.name == entry["name"] == NAMES[i]
        assert one.prediction == entry["prediction"] == entry["target"] == int(probabilities[i].argmax())
        assert entry["prediction_name"] == CLASSES[one.prediction]
        assert entry["confidence"] == pytest.approx(float(probabilities[i].max()))
        assert entry["label_name"] == CLASSES[labels[i]]
        assert one.folder.parent == tmp_path
        methods = entry["files"]["methods"]
        assert list(methods) == list(METHODS)
        files |= {entry["files"]["image"], entry["files"]["panel"]}
        files |= {path for paths in methods.values() for path in paths.values()}
    assert len(files) == 5 * (2 + 2 * len(METHODS))
    assert files | {"index.json"} == {
        path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()
    }
    for file in files:
        with Image.open(tmp_path / file) as image:
            assert image.mode == "RGB"
            image.load()
    with Image.open(tmp_path / index["images"][0]["files"]["methods"]["gradient"]["map"]) as image:
        assert image.size == (180, 216)


def test_the_gap_of_integrated_gradients_is_in_the_index(make, images, tmp_path: Path) -> None:
    model = make(quantized="w2a2")
    explain_images(model, images, NAMES, ["integrated-gradients"], tmp_path, target=1)
    expected = integrated_gradients(model, images, 1)
    for i, entry in enumerate(json.loads((tmp_path / "index.json").read_text())["images"]):
        assert entry["completeness"] == {
            "change": pytest.approx(float(expected.change[i]), rel=1e-4, abs=1e-6),
            "gap": pytest.approx(float(expected.gap[i]), rel=1e-3, abs=1e-5),
        }
        assert entry["target"] == 1
        assert entry["label"] is None


def test_again_gives_the_same_bytes(make, images, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        explain_images(make(), images[:2], NAMES[:2], ["gradient", "smoothgrad"], tmp_path / folder)
    for file in (tmp_path / "a").rglob("*"):
        if file.is_file():
            assert file.read_bytes() == (tmp_path / "b" / file.relative_to(tmp_path / "a")).read_bytes()


def test_names_never_lead_out_of_the_folder(make, images, tmp_path: Path) -> None:
    explain_images(make(), images, NAMES, ["gradient"], tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    folders = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert folders == ["0000-cats-one", "0001-etc-passwd", "0002-n-c-d", "0003-cats-one", "0004-image"]


def test_a_network_that_has_diverged_gets_strict_json(make, images, tmp_path: Path) -> None:
    model = make()
    torch.nn.init.constant_(model.network[8].weight, float("nan"))
    found = explain_images(model, images[:1], ["a"], ["gradient", "integrated-gradients", "occlusion"], tmp_path)
    assert found[0].confidence is None
    entry = json.loads((tmp_path / "index.json").read_text(), parse_constant=pytest.fail)["images"][0]
    assert entry["confidence"] is None
    assert entry["completeness"] == {"change": None, "gap": None}


def test_any_number_of_channels_and_large_images(tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(4, 3, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    explain_images(model, torch.rand(1, 4, 300, 260), ["large"], ["gradient"], tmp_path)
    with Image.open(tmp_path / "0000-large" / "image.png") as image:
        assert max(image.size) == 224
        assert np.asarray(image).any()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"names": ["a"]}, "names must be 5, one per image; got 1"),
        ({"methods": []}, "methods must be one or more names, each once"),
        ({"methods": ["gradient", "gradient"]}, "each once"),
        (
            {"methods": ["gradient", "deeplift"]},
            "method must be correct on quantized networks, as this one is; got deeplift",
        ),
        ({"colors": "beige"}, "colour map"),
        ({"target": 9}, "target must be a class 0..2"),
    ],
)
def test_nothing_is_written_when_an_argument_is_wrong(make, images, tmp_path: Path, change, text) -> None:
    arguments = {"names": NAMES, "methods": ["gradient"], **change}
    with pytest.raises(UsageError, match=text):
        explain_images(
            make(quantized="w4a4"), images, arguments.pop("names"), arguments.pop("methods"), tmp_path, **arguments
        )
    assert not list(tmp_path.iterdir())


def test_an_impossible_folder_is_refused_before_anything_is_computed(make, images, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("glassbit.explain._pictures._predict", lambda *_: pytest.fail("the network has run"))
    with pytest.raises(
        DiskError, match=r"sub: must be writable; got: a part of its path is a file; choose another folder"
    ):
        explain_images(make(), images, NAMES, ["gradient"], tmp_path / "file" / "sub")
