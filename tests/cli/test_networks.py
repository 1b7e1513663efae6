"""Networks of the field, from training to the exported file."""

from __future__ import annotations

import numpy as np
import pytest

SIDE = 25
"""In pixels: with a stem stride of 1 no pool of SqueezeNet stands over the edge, and its last map has 2 x 2."""


@pytest.fixture
def few(tmp_path):
    """An .npz file of 48 images to train and 8 to test, three classes told apart by a bright stripe."""
    rng = np.random.default_rng(0)
    parts = {"classes": np.array(["top", "middle", "bottom"])}
    for name, count in (("train", 48), ("test", 8)):
        labels = np.arange(count) % 3
        images = rng.integers(0, 60, (count, 1, SIDE, SIDE), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[0, 8 * label : 8 * label + 7] += 180
        parts |= {f"{name}_images": images, f"{name}_labels": labels}
    path = tmp_path / "few.npz"
    np.savez(path, **parts)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("signed", ["8", "6"])
@pytest.mark.parametrize(
    ("model", "arguments"),
    [
        ("mobilenet-v2-035", ("--arguments", "width=0.1")),
        ("mobilenet-v3-small", ("--arguments", "width=0.1")),
        ("squeezenet", ("--arguments", "stem_stride=1")),
    ],
)
def test_train_export_verify(call, few, tmp_path, model, arguments, signed):
    run, artifact, onnx = tmp_path / "run", tmp_path / "m.glassbit", tmp_path / "m.onnx"
    given = ("--model", model, *arguments, "--data", few, "--plan", "w4a4", "--signed", signed, "--batch-size", "8")
    phases = ("--epochs", "1", "--deploy-epochs", "1", "--lr", "0.01")
    code, out, err = call("train", *given, *phases, "--images", "4", "--probes", "2", "--quiet", "--out", run)
    assert (code, err) == (0, "")
    assert "in integers " in out
    code, _, err = call("export", run, "--artifact", artifact, "--onnx", onnx, "--explain")
    assert code == 0, err
    for file in ((artifact,), (onnx, "--artifact", artifact)):
        code, out, err = call("verify", *file, "--images", "8")
        assert code == 0, out + err
    code, out, _ = call("inspect", artifact)
    assert code == 0
    assert " 4 " in out
    assert call("report", run)[0] == 0
