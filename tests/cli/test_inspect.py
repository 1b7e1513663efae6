"""`glassbit inspect`."""

from __future__ import annotations

import re

import pytest


def test_layers_sums_and_origin(call, graph, artifact):
    code, out, err = call("inspect", artifact)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "stripes, w4a4, on images of 1 x 12 x 12"
    assert lines[1] == "from run stripes-w4a4-s0, trained in this arithmetic"
    heads = [
        "layer",
        "kind",
        "weight bits",
        "input bits",
        "stored kB",
        "MACs",
        "largest sum",
        "24-bit room",
        "pair bound",
    ]
    assert re.split(r"\s{2,}", lines[3]) == heads
    conv, fc = (line.split() for line in lines if line.startswith(("conv ", "fc ")))
    layers = graph.certificate.layers
    assert conv[:4] == ["conv", "Conv", "8", "8"]
    assert conv[5:] == ["5,184", f"{layers[0].accumulator_bound:,}", f"{layers[0].rounding_margin:g}", "63,240*"]
    assert fc[:4] == ["fc", "Linear", "4", "4"]
    assert fc[5:] == ["432", f"{layers[1].accumulator_bound:,}", "450"]
    total = next(line for line in lines if line.startswith("total")).split()
    assert total == ["total", f"{graph.certificate.stored_bits / 8000:.2f}", f"{graph.certificate.macs:,}"]
    assert f"file: {artifact.stat().st_size / 1000:.2f} kB" in out
    assert "images: grey, cropped to 12 x 12, uint8 as they are; pixel 70 counts as zero" in lines
    assert "classes: top, middle, bottom" in lines


def test_what_was_only_converted_says_so(call, graph, tmp_path):
    from dataclasses import replace

    replace(graph, about=replace(graph.about, trained=False, run="")).save(tmp_path / "a.glassbit")
    lines = call("inspect", tmp_path / "a.glassbit")[1].splitlines()
    assert lines[1] == "converted to this arithmetic after training"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "damaged"),
        (lambda data: data[:200], "shorter than its header says"),
        (lambda data: b"PK\x03\x04" + data, "must be a Glassbit network; got "),
    ],
)
def test_a_file_that_was_altered_is_refused(call, artifact, change, text):
    artifact.write_bytes(change(artifact.read_bytes()))
    code, out, err = call("inspect", artifact)
    assert (code, out) == (1, "")
    assert err.startswith(f"glassbit: {artifact}: ")
    assert text in err


def test_other_files_are_refused(call, tmp_path):
    code, _, err = call("inspect", tmp_path / "model.onnx")
    assert code == 2
    assert "--artifact FILE" in err
    assert call("inspect", tmp_path / "nowhere.glassbit")[0] == 1
