"""`glassbit plan`."""

from __future__ import annotations

import re


def test_the_table_of_a_plan(call):
    code, out, err = call("plan", "--model", "resnet20", "--plan", "layers-4-2")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "resnet20, layers-4-2, on images of 3 x 32 x 32; 269,741 parameters"
    heads = ["layer", "kind", "weight bits", "input bits", "stored kB", "MACs", "BitOps"]
    assert re.split(r"\s{2,}", lines[2]) == heads
    rows = [line.split() for line in lines if " Conv2d " in line or " Linear " in line]
    assert len(rows) == 20
    assert [row[2] for row in rows] == ["8", *["4"] * 9, *["2"] * 9, "8"]
    total = next(line for line in lines if line.startswith("total")).split()
    assert int(total[2].replace(",", "")) == sum(int(row[5].replace(",", "")) for row in rows)
    assert int(total[3].replace(",", "")) == sum(int(row[6].replace(",", "")) for row in rows)
    assert "left in full precision: nothing" in lines
    weights = "weight bits: 2 in 9 of 20 layers (85.9 % of the weights), 4 in 9 (13.7 %), 8 in 2 (0.4 %)"
    assert weights in lines
    assert "input bits: 2 in 8 of 20 layers, 4 in 10, 8 in 2" in lines
    assert any(line.startswith("against full precision: ") for line in lines)
    assert lines[-1] == "exportable: yes"


def test_what_a_plan_really_gives_a_small_network(call):
    code, out, _ = call("plan", "--model", "cnn-bn", "--arguments", "width=16", "--plan", "layers-4-2")
    assert code == 0
    weights = "weight bits: 2 in 1 of 5 layers (58.9 % of the weights), 4 in 2 (24.6 %), 8 in 2 (16.5 %)"
    assert weights in out.splitlines()
    assert "input bits: 4 in 3 of 5 layers, 8 in 2" in out.splitlines()


def test_full_precision_has_nothing_to_compare_with(call):
    code, out, _ = call("plan")
    assert code == 0
    assert out.startswith("cnn-bn, full precision, on images of 1 x 28 x 28")
    assert "against" not in out
    assert "left in" not in out
    assert out.endswith("\nexportable: no (the network is in full precision; choose a bit plan)\n")


def test_what_stays_in_full_precision_is_named_with_its_reason(call, tmp_path):
    (tmp_path / "mine_of_plan.py").write_text(
        "from torch import nn\n"
        "def make(classes, channels):\n"
        "    return nn.Sequential(nn.Conv2d(channels, 8, 3), nn.GELU(), nn.Conv2d(8, 8, 3), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))\n"
    )
    code, out, _ = call("plan", "--model", "mine_of_plan:make", "--plan", "w4a4", "--edges", "full")
    assert code == 0
    assert "\n  1: GELU is not ReLU-like" in out
    assert "\n  0: the plan says so" in out
    assert "\n  2: its weights are quantized, but its inputs are not" in out
    refused = [line.split(";")[0] for line in out.partition("exportable: ")[2].splitlines()]
    assert refused == [
        "no (4 things)",
        "  - 0: this Conv2d stays in full precision",
        "  - 1: GELU has no integer form",
        "  - 3: this ReLU stays in full precision",
        "  - 6: this Linear stays in full precision",
    ]


def test_own_images_decide_the_shape(call, tiny):
    code, out, _ = call("plan", "--data", tiny, "--plan", "w2a2")
    assert code == 0
    assert out.startswith("cnn-bn, w2a2, on images of 1 x 12 x 12")
    assert call("plan", "--data", "cifar10", "--size", "24", "--color", "grey")[1].startswith(
        "cnn-bn, full precision, on images of 1 x 24 x 24"
    )


def test_a_plan_of_ones_own(call, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nrules:\n  - {weight: 8, activation: 8}\n  - {layers: stage2.conv, weight: 2, activation: 8}\n"
    )
    code, out, _ = call("plan", "--plan", path)
    assert code == 0
    bits = {line.split()[0]: line.split()[2] for line in out.splitlines() if " Conv2d " in line}
    assert bits == {"stage1.conv": "8", "stage2.conv": "2", "stage3.conv": "8", "stage4.conv": "8"}


def test_a_rule_that_matches_no_layer_is_said(call, tmp_path):
    path = tmp_path / "mine.yaml"
    rules = "[{layers: '*', weight: 4, activation: 4}, {layers: nope, weight: 2, activation: 2}]"
    path.write_text(f"name: mine\nrules: {rules}\n")
    code, out, _ = call("plan", "--plan", path)
    assert code == 0
    assert "the rule for nope matches no layer and has no effect; the layers are stage1.conv, stage1.relu," in out
    assert "matches no layer" not in call("plan", "--plan", "layers-4-2")[1]


def test_the_keys_of_a_plan_file_are_named_by_their_lines(call, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nrules: 3\nAccuracy-drop: 4\n")
    code, _, err = call("plan", "--plan", path)
    assert code == 2
    assert "  - line 2: rules: must be a list; got 3" in err
    assert "  - line 3: Accuracy-drop: must be a known key" in err
