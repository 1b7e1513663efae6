from __future__ import annotations

import json
import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from pages import checked_page

from glassbit._text import printable
from glassbit.report import write_report
from glassbit.report.numbers import _masking
from glassbit.report.numbers._masking import masking_curves


def checked(folder):
    path = write_report(folder)
    assert path == folder / "report.html"
    return checked_page(path)


def test_deployed_networks_have_a_section_of_their_own(tmp_path, make_study):
    page, text = checked(make_study(tmp_path, deploy=True))
    assert 'href="#deployed"' in page
    assert "As it ships: the integer network" in text
    assert "91.60 ± 0.20" in text
    assert "No ONNX file" not in text
    assert (
        "As integers, as exported (mean ± sd, n = 3 seeds): pact w4a4 91.60 ± 0.20 % (0.10 ± 0.00 points below" in text
    )
    assert "fake quantization, 31.0 kB); pact w2a2" in text
    conversion = (
        "By conversion alone, before the epochs in integers: pact w4a4 5.00 ± 0.00 points lost; pact w2a2 5.00 ± 0.00 "
        "points lost; sgt+pact w4a4 5.00 ± 0.00 points lost; sgt+pact w2a2 5.00 ± 0.00 points lost. That is on the "
        "validation images, and what is lost as integers on 1,000 test images (an accuracy of one seed is known to "
        "± 1.72 points) and after those epochs, so the two need not agree."
    )
    assert conversion in text
    assert "epoch 6, in integers" not in text  # no maps are stored of it here


def test_epochs_in_integers_are_counted_and_named(tmp_path, make_study):
    make_study(tmp_path, arms=("fp32", "pact"), plans=("w4a4",), seeds=(0,), deploy=True)
    for path in (tmp_path / "runs").glob("*/run.json"):
        head = json.loads(path.read_text())
        head["config"] = {"training": {"epochs": 5, "deploy_epochs": 1}, "data": {"validation": 0.1}}
        path.write_text(json.dumps(head))
    run = next((tmp_path / "runs").glob("*pact*"))
    maps = (run / "probes" / "epoch-005.npz").read_bytes()
    (run / "probes" / "epoch-006.npz").write_bytes(maps)
    _, text = checked(tmp_path)
    assert "5 epochs and 1 more in integers" in text
    assert "epoch 5 epoch 6, in integers" in text
    assert "on about 600 validation images (an accuracy of one seed is known to ± " in text
    (run / "result.json").unlink()
    _, text = checked(tmp_path)
    assert "6 of 6 epochs logged" in text


def test_why_there_is_no_onnx_file(tmp_path, make_study):
    make_study(tmp_path, deploy=True)
    for path in (tmp_path / "runs").glob("*pact*/result.json"):
        result = json.loads(path.read_text())
        result["deployed"] |= {"absent": "onnx is not installed", "speed_of_float": {}, "bytes": {"artifact": 31_000}}
        path.write_text(json.dumps(result))
    _, text = checked(tmp_path)
    assert text.count("No ONNX file: onnx is not installed") == 1


def test_runs_that_started_from_others_are_named(tmp_path, make_study):
    make_study(tmp_path)
    for path in (tmp_path / "runs").glob("*pact*w2a2*/run.json"):
        head = json.loads(path.read_text())
        head["config"]["training"] = {**head["config"].get("training", {}), "start": "float"}
        path.write_text(json.dumps(head))
    _, text = checked(tmp_path)
    assert "pact w2a2, sgt+pact w2a2: started from another run’s weights, so the epochs given are on top" in text


def test_a_whole_study(tmp_path, make_study):
    _, text = checked(make_study(tmp_path))
    for phrase in (
        "fp32 reaches 92.20 ± 0.20 % test accuracy (mean ± sd, n = 3 seeds).",
        "At w4a4: pact 91.70 ± 0.20 % (0.50 ± 0.00 points below fp32); sgt+pact 89.70",
        "8.0× smaller and 64× fewer BitOps than fp32",
        "Saliency-guided training alone: 90.20 ± 0.20 %, 2.00 ± 0.00 points below fp32.",
        "rather than random ones hurts more in 6 of 6 arms (95 % intervals over seeds)",
        "18 of 18 runs finished",
        "✗ Pullover",
        "glassbit study invented.yaml",
        "plans: [w4a4, w2a2]",
        "2.13.0",
        "pact w2a2, 0.activation: in 3 runs, first at epoch 5",
        "straight-through",
        "before training",
    ):
        assert phrase in text
    assert "on top of that run" not in text


def test_settings_with_names(tmp_path, make_study):
    arms = ("fp32", "sgt-a", "sgt-b", "sgt-a+pact")
    _, text = checked(make_study(tmp_path, arms=arms, plans=("w4a4",), epochs=2))
    for phrase in (
        "Saliency-guided training (a) alone: 90.20 ± 0.20 %, 2.00 ± 0.00 points below fp32.",
        "Saliency-guided training (b) alone: 90.20 ± 0.20 %, 2.00 ± 0.00 points below fp32.",
        "At w4a4: sgt-a+pact 89.70 ± 0.20 % (2.50 ± 0.00 points below fp32 and 0.50 ± 0.00 points below sgt-a)",
        "Drop from sgt-a",
    ):
        assert phrase in text


def test_writing_twice_gives_the_same_bytes(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("pact",), seeds=(0,), epochs=2, probes=2)
    write_report(folder)
    names = sorted(p for kind in ("tables", "figures") for p in (folder / kind).iterdir())
    assert {path.suffix for path in names} == {".csv", ".md", ".svg", ".png"}
    before = {path: path.read_bytes() for path in [folder / "report.html", *names]}
    write_report(folder)
    assert {path: path.read_bytes() for path in before} == before


def test_one_seed_prints_no_spread(tmp_path, make_study):
    _, text = checked(make_study(tmp_path, seeds=(0,), epochs=2))
    assert "one seed, so no spread" in text
    assert not re.search(r"\d ± \d", text)


def test_no_quantized_arm_and_one_epoch(tmp_path, make_study):
    _, text = checked(make_study(tmp_path, arms=("fp32", "sgt"), seeds=(0,), epochs=1))
    assert "What the quantizers learned" not in text
    assert "Share of activations clipped" not in text
    assert "1 epoch" in text


def test_several_data_sets(tmp_path, make_study):
    folder = make_study(
        tmp_path, arms=("fp32", "pact"), plans=("w4a4",), data=("mnist", "cifar10"), seeds=(0,), epochs=2
    )
    page, text = checked(folder)
    assert 'href="#cifar10-cnn-bn"' in page
    assert "mnist, cnn-bn." in text
    assert (folder / "figures" / "mnist-cnn-bn-alphas.svg").is_file()


def test_failed_and_unfinished_runs_are_named(tmp_path, make_study):
    extra = (("sgt", None, 0, "running"), ("sgt", None, 1, "new"))
    folder = make_study(
        tmp_path, arms=("fp32",), seeds=(0,), extra=extra, failed={"lost": "<b>the loss</b> is not finite"}
    )
    page, text = checked(folder)
    assert "1 failed, 2 not finished" in text
    assert "&lt;b&gt;the loss&lt;/b&gt;" in page
    assert "2 of 5 epochs logged" in text
    assert "sgt (unfinished)" in text
    assert "1 of 4 runs finished" in text


def test_nothing_finished(tmp_path, make_study):
    _, text = checked(make_study(tmp_path, seeds=(), extra=(("fp32", None, 0, "new"),)))
    assert "has finished yet" in text


def test_no_run_at_all(tmp_path):
    (tmp_path / "study.json").write_text(json.dumps({"name": "empty", "runs": ["a"], "failed": {}}))
    _, text = checked(tmp_path)
    assert "not started" in text


def test_the_folder_of_one_run(tmp_path, make_run):
    make_run(tmp_path, "sgt+pact", "w4a4", 0, epochs=2)
    _, text = checked(tmp_path)
    assert "Glassbit run report" in text
    assert "At w4a4: sgt+pact 89.50 % (one seed, so no spread)." in text
    assert "Drop from fp32" not in text


def test_maps_without_the_probe_images(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32", "pact"), seeds=(0,), epochs=1)
    (folder / "probes.npz").unlink()
    _, text = checked(folder)
    assert "image 1" in text
    assert "✗" not in text.replace("✓ and ✗", "")


def test_a_run_without_maps_or_masking(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32", "sgt"), seeds=(0,), epochs=1)
    run = folder / "runs" / "fashion-mini-cnn-bn-sgt-s0"
    (run / "explain.npz").unlink()
    for path in (run / "probes").iterdir():
        path.unlink()
    result = json.loads((run / "result.json").read_text())
    del result["masking"]
    (run / "result.json").write_text(json.dumps(result))
    _, text = checked(folder)
    assert "rather than random ones hurts more in this one seed, which has no interval" in text


@pytest.mark.parametrize("value", [0.0, np.inf, np.nan])
def test_odd_maps_render(tmp_path, make_run, value):
    make_run(tmp_path, "fp32", None, 0, epochs=1)
    maps = np.full((4, 28, 28), value, np.float16)
    np.savez(tmp_path / "explain.npz", maps=maps, predictions=np.arange(4))
    checked(tmp_path)


@pytest.mark.parametrize("name", ["<script>alert(1)<script>", '"onload="alert(1)', "$x^$", "a&lt;b", "\x1b[31m\udcff"])
def test_names_from_outside_are_text(tmp_path, make_run, name):
    """A run folder may come from anywhere."""
    make_run(tmp_path, "pact", "w2a2", 0)
    for file, keys in {"run.json": ("data", "model", "plan"), "result.json": ()}.items():
        value = json.loads((tmp_path / file).read_text())
        value |= dict.fromkeys(keys, name)
        if file == "run.json":
            value["images"]["classes"] = [f"{name}{i}" for i in range(10)]
        (tmp_path / file).write_text(json.dumps(value))
    page, text = checked(tmp_path)
    assert "\x1b" not in page
    assert printable(name) in text
    for drawing in (tmp_path / "figures").glob("*.svg"):
        ET.parse(drawing)


def test_files_that_cannot_be_read_are_named_on_the_page(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("fp32", "sgt"), seeds=(0,), epochs=1)
    _, text = checked(folder)
    assert "cannot be read" not in text
    (folder / "probes.npz").write_bytes(b"")
    (folder / "runs" / "fashion-mini-cnn-bn-sgt-s0" / "explain.npz").write_bytes(b"PK")
    _, text = checked(folder)
    assert "Files that cannot be read:" in text
    for name in ("probes.npz", "runs/fashion-mini-cnn-bn-sgt-s0/explain.npz"):
        assert f"{name}: must hold arrays of images or maps, and is damaged, so nothing of it is shown" in text


def test_the_curves_of_a_run_are_read_once(tmp_path, make_study, monkeypatch):
    folder = make_study(tmp_path, arms=("fp32", "sgt"), seeds=(0, 1), epochs=1)
    read = []

    def counted(result, fill):
        read.append(fill)
        return masking_curves(result, fill)

    monkeypatch.setattr(_masking, "masking_curves", counted)
    write_report(folder)
    assert sorted(read) == ["constant"] * 4 + ["mean"] * 4  # runs x fills
