"""`glassbit train`, `study`, `report` and `explain`, from end to end on a tiny data set."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

from glassbit import explain
from glassbit.cli import _explain

SHORT = ("--batch-size", "20", "--epochs", "1", "--probes", "3", "--device", "cpu")
EPOCH = r"{name} epoch 1/1: loss [\d.]+ = ce [\d.]+[^\n]*, train [\d.]+%, val [\d.]+%, \d+ images/s\n"


def test_train_then_report_then_explain(call, tiny, tmp_path):
    out = tmp_path / "run"
    words = (
        "train",
        "--data",
        tiny,
        "--model",
        "cnn-bn",
        "--plan",
        "w4a4",
        "--objective",
        "sgt",
        "--seed",
        "0",
        *SHORT,
    )
    code, said, err = call(*words, "--out", out)
    assert code == 0
    assert re.fullmatch(EPOCH.format(name="tiny-cnn-bn-sgt[+]pact-w4a4-s0"), err)
    assert said.startswith("exportable: yes\ntest accuracy")
    assert said.endswith(f"run: {out}\n")
    assert json.loads((out / "run.json").read_text())["arm"] == "sgt+pact"
    code, said, _ = call(*words, "--out", out)
    assert code == 0
    assert "finished already; nothing was trained" in said
    code, _, err = call(*words, "--out", out, "--lr", "0.2")
    assert code == 1
    assert "training.lr: 0.1 -> 0.2" in err
    code, said, _ = call("report", out)
    assert (code, said) == (0, f"report: {out / 'report.html'}\n")
    assert (out / "report.html").is_file()
    code, said, err = call("explain", out, "--method", "gradient,occlusion")
    assert (code, err) == (0, "")
    pictures = list((out / "explain").rglob("*.png"))
    assert len(pictures) >= 6
    for path in pictures:
        with Image.open(path) as image:
            image.load()


def test_what_cannot_be_exported_is_said_before_training(call, tiny, tmp_path):
    (tmp_path / "mine_of_train.py").write_text(
        "from torch import nn\n"
        "def make(classes, channels):\n"
        "    return nn.Sequential(nn.Conv2d(channels, 4, 3), nn.Softmax(1), nn.Conv2d(4, 4, 1, padding=1), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes), nn.LogSoftmax(1))\n"
    )
    problems = "\n".join(
        f"  - {problem}"
        for problem in (
            "1: Softmax has no integer form",
            "2: padding must be below the kernel (1, 1); got (1, 1); pad less",
            "7: LogSoftmax has no integer form",
        )
    )
    words = ("train", "--data", tiny, "--model", "mine_of_train:make", "--plan", "w4a4", *SHORT)
    code, said, err = call(*words, "--deploy-epochs", "1", "--out", tmp_path / "deployed")
    assert code == 2
    assert said == f"exportable: no (3 things)\n{problems}\n"
    refusal = "--deploy-epochs must be 0 for a network that cannot be exported; got 3 problems; change what is"
    assert f"glassbit: {refusal} listed, or train without them\n{problems}\n" in err
    assert not (tmp_path / "deployed" / "run.json").exists()
    code, said, err = call(*words, "--out", tmp_path / "plain")
    assert code == 0
    assert said.startswith(f"exportable: no (3 things)\n{problems}\ntest accuracy ")


def test_the_methods_of_the_help_are_those_of_the_library():
    assert explain.METHODS == _explain.METHODS


def test_the_default_folder_is_the_id(call, tiny, tmp_path):
    code, said, _ = call("train", "--data", tiny, *SHORT)
    assert code == 0
    assert said.endswith("run: runs/tiny-cnn-bn-fp32-s0\n")
    code, said, _ = call("train", "--data", tiny, "--plan", "w2a2", "--start", "runs/tiny-cnn-bn-fp32-s0", *SHORT)
    assert code == 0
    assert said.endswith("run: runs/tiny-cnn-bn-pact-w2a2-s0\n")
    code, _, err = call("train", "--data", tiny, "--plan", "w2a2", "--start", "runs", *SHORT)
    assert (code, "runs: must be the folder of a run" in err) == (1, True)


def test_explain_images_of_ones_own(call, tiny, tmp_path):
    out = tmp_path / "run"
    assert call("train", "--data", tiny, *SHORT, "--out", out)[0] == 0
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (30, 20), "red").save(folder / "red.png")
    Image.new("L", (9, 9), 200).save(folder / "grey.jpg")
    code, said, err = call("explain", out, "--images", folder, "--target", "middle", "--out", tmp_path / "maps")
    assert (code, err) == (0, "")
    assert said.endswith(f"pictures: {tmp_path / 'maps'}\n")
    index = json.loads((tmp_path / "maps" / "index.json").read_text())
    assert [entry["name"] for entry in index["images"]] == ["grey.jpg", "red.png"]
    assert {entry["target_name"] for entry in index["images"]} == {"middle"}
    for words, texts in (
        (("--target", "centre"), ["must be one of top, middle, bottom; got 'centre'"]),
        (("--method", "deeplift"), ["deeplift"]),
        (("--images", tmp_path / "empty"), ["empty"]),
    ):
        code, _, err = call("explain", out, *words)
        assert code in (1, 2)
        for text in texts:
            assert text in err


RECIPE = """
name: little
data: {data}
arms: [fp32, pact]
plans: [w4a4]
training: {{epochs: 1, batch_size: 20, device: cpu}}
evaluation: {{probes: 3, images: 10}}
transparency: {{images: 0}}
"""


def test_quiet_is_silent(call, tiny, tmp_path):
    code, said, err = call("train", "--data", tiny, *SHORT, "--out", tmp_path / "run", "--quiet")
    assert (code, err) == (0, "")
    assert "test accuracy" in said


def test_a_study_ends_with_its_report(call, tiny, tmp_path):
    recipe = tmp_path / "little.yaml"
    recipe.write_text(RECIPE.format(data=tiny))
    code, said, err = call("study", recipe)
    assert code == 0
    names = ("tiny-cnn-bn-fp32-s0", "tiny-cnn-bn-pact-w4a4-s0")
    assert re.fullmatch("".join(EPOCH.format(name=name) for name in names), err)
    assert said.splitlines()[-1] == "report: runs/little/report.html"
    assert (tmp_path / "runs/little/report.html").is_file()
    code, said, _ = call("study", recipe)
    assert code == 0
    assert "2 of 2 runs are finished already" in said
    assert said.splitlines()[-1] == "report: runs/little/report.html"


def test_failed_runs_are_named_at_the_end_and_the_rest_is_reported(call, tiny, tmp_path):
    recipe = tmp_path / "little.yaml"
    recipe.write_text(RECIPE.format(data=f"[{tiny}, {tmp_path / 'missing.npz'}]"))
    code, said, err = call("study", recipe)
    assert code == 1
    assert "2 of 4 runs failed" in err
    assert "missing.npz" in err
    assert "the same command tries only these again" in err
    assert said.splitlines()[-1] == "report: runs/little/report.html"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("how", "said"),
    [("SIGINT", "interrupted."), ("SIGTERM", "stopped by SIGTERM."), ("SIGHUP", "stopped by SIGHUP.")],
)
def test_a_signal_keeps_what_is_done_and_says_how_to_go_on(how, said, tiny, tmp_path):
    out = tmp_path / "run"
    words = ["train", "--data", str(tiny), *SHORT, "--epochs", "10000", "--out", str(out)]
    words.remove("--epochs")
    words.remove("1")
    command = [sys.executable, "-m", "glassbit", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    while process.poll() is None and not (out / "last.pt").exists():
        time.sleep(0.05)
    process.send_signal(signal.Signals[how])
    out_text, err = process.communicate()
    assert process.returncode == 128 + signal.Signals[how], err
    assert "Traceback" not in err
    assert f"glassbit: {said}\nFinished epochs are kept. To go on where it stopped:\n  glassbit train --data" in err
    assert out_text.startswith("exportable: no")  # and nothing of an end
    assert out_text.count("\n") == 1
    assert not list(out.rglob("*.part"))
    assert (out / "log.jsonl").read_text().count("\n") >= 1


def test_runs_that_fail_alike_say_why_once(call, tmp_path):
    (tmp_path / "images").mkdir()
    recipe = tmp_path / "s.yaml"
    recipe.write_text("name: s\ndata: ./images\narms: [fp32, pact]\nplans: [w4a4]\nseeds: [0, 1]\n")
    code, out, err = call("study", recipe, "--out", tmp_path / "s")
    text = "must hold two class folders or more"
    assert code == 1
    assert "4 of 4 runs failed" in err
    assert (out.count(text), err.count(text)) == (1, 1)
    assert out.count(": failed: as images-cnn-bn-fp32-s0") == 3
