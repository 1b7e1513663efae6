"""`glassbit data` and `glassbit doctor`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image


def test_the_list_says_what_is_here(call):
    code, out, err = call("data", "list")
    assert (code, err) == (0, "")
    assert "fashion-mini: " in out
    assert "  here: comes with Glassbit\n" in out
    assert "clutter-shortcut: clutter with a mark in every picture" in out
    assert "  not here; get it with `glassbit data fetch cifar10`\n" in out


def test_the_embedded_data_need_no_fetching(call):
    assert call("data", "fetch", "fashion-mini") == (0, "fashion-mini: comes with Glassbit\n", "")
    assert call("data", "fetch", "clutter") == (0, "clutter: comes with Glassbit\n", "")


def test_check_counts(call, tiny):
    code, out, err = call("data", "check", tiny)
    assert (code, err) == (0, "")
    assert "images: 60 to train, 24 to test, 12 x 12, grey\n" in out
    assert out.endswith("no problems found\n")


def test_check_names_what_is_wrong(call, tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    (tmp_path / "photos" / "dog" / "broken.png").write_bytes(b"no image")
    code, _, err = call("data", "check", tmp_path / "photos")
    assert code == 1
    assert "broken.png" in err
    (tmp_path / "photos" / "dog" / "broken.png").unlink()
    code, out, _ = call("data", "check", tmp_path / "photos", "--size", "6x7", "--color", "grey")
    assert code == 0
    assert "7 x 6, grey" in out


def test_the_doctor_knows_the_machine(call):
    code, out, err = call("doctor")
    assert (code, err) == (0, "")
    for text in (
        "\n  torch 2",
        "\ndevices\n  cpu",
        "\nthreads\n",
        "\n  fashion-mini: comes with Glassbit\n",
        "\n  mnist: not found",
    ):
        assert text in out


@pytest.mark.parametrize(
    ("able", "says"),
    [
        ({"avx512_bf16": True, "avx2": True}, ", bf16\n"),
        ({"bf16": False, "sve": True}, ", no bf16\n"),
        ({}, ", no bf16\n"),
    ],
)
def test_the_doctor_knows_whether_the_processor_computes_in_bf16(call, monkeypatch, able, says):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    (line,) = (line for line in call("doctor")[1].splitlines(keepends=True) if line.startswith("  cpu ("))
    assert line.endswith(says)
