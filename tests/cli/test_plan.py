"""`glassbit plan`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from glassbit.recipe import NETWORKS


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


REFERENCES = {
    "cnn": ("1 x 28 x 28", "1,199,882", "11,992,448"),
    "cnn-bn": ("1 x 28 x 28", "94,266", "2,819,328"),
    "resnet8": ("3 x 32 x 32", "78,186", "12,501,632"),
    "resnet20": ("3 x 32 x 32", "269,722", "40,551,040"),
    "resnet32": ("3 x 32 x 32", "464,154", "68,862,592"),
    "resnet56": ("3 x 32 x 32", "853,018", "125,485,696"),
    "ds-cnn": ("1 x 49 x 10", "23,756", "2,656,768"),
    "mobilenet-v1-025": ("3 x 96 x 96", "216,322", "7,489,664"),
    "mobilenet-v2-035": ("3 x 224 x 224", "1,677,128", "59,285,808"),
    "mobilenet-v3-small": ("3 x 224 x 224", "2,542,856", "56,510,400"),
    "squeezenet": ("3 x 224 x 224", "1,235,496", "349,151,936"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_without_data_a_network_is_shown_as_it_was_published(call, name):
    shape, parameters, macs = REFERENCES[name]
    code, out, err = call("plan", "--model", name)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{name}, full precision, on images of {shape}; {parameters} parameters"
    assert next(line for line in lines if line.startswith("total")).split()[2] == macs
    page = (Path(__file__).parents[2] / "docs/networks.md").read_text()
    assert re.search(rf"\n\| `{name}` \| {shape} \| \d+ \| {parameters} \| {macs} \|\n", page)


@pytest.mark.parametrize("name", ["mobilenet-v2-035", "mobilenet-v3-small", "squeezenet"])
def test_a_plan_of_networks_for_large_images(call, name):
    code, out, err = call("plan", "--model", name, "--plan", "w4a4")
    assert (code, err) == (0, "")
    assert out.startswith(f"{name}, w4a4, on images of 3 x 224 x 224; ")
    assert "\nweight bits: 4 in " in out


def test_size_and_channels_go_before_those_of_the_reference(call):
    words = ("plan", "--model", "squeezenet", "--arguments", "stem_stride=1", "--size", "32", "--color", "grey")
    assert call(*words)[1].startswith("squeezenet, full precision, on images of 1 x 32 x 32; ")
    code, _, err = call("plan", "--model", "squeezenet", "--size", "16")
    assert code == 2
    assert "squeezenet: images must be at least 17 x 17 pixels; got 16 x 16" in err
    code, out, _ = call("plan", "--model", "mobilenet-v2-035", "--arguments", "width=1.0")
    assert code == 0
    assert out.startswith("mobilenet-v2-035, full precision, on images of 3 x 224 x 224; 3,504,872 parameters")


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
        "    return nn.Sequential(nn.Conv2d(channels, 8, 3), nn.Softmax2d(), nn.Conv2d(8, 8, 3), nn.ReLU(),\n"
        "                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))\n"
    )
    code, out, _ = call("plan", "--model", "mine_of_plan:make", "--plan", "w4a4", "--edges", "full")
    assert code == 0
    assert "\n  1: Softmax2d is not ReLU-like" in out
    assert "\n  0: the plan says so" in out
    assert "\n  2: its weights are quantized, but its inputs are not" in out
    refused = [line.split(";")[0] for line in out.partition("exportable: ")[2].splitlines()]
    assert refused == [
        "no (4 things)",
        "  - 0: this Conv2d stays in full precision",
        "  - 1: Softmax2d has no integer form",
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


def test_signed_codes_without_a_quantizer(call):
    given = ("--model", "mobilenet-v2-035", "--arguments", "width=0.1", "--plan", "w4a4", "--signed", "5")
    code, out, err = call("plan", *given)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("mobilenet-v2-035, w4a4-signed-5, ")
    assert "input bits: 4 in 34 of 53 layers, 5 in 17, 8 in 2" in lines
    some = "blocks.1.layers.expand, blocks.2.layers.expand and 15 more"
    assert f"rounded to 5 bits by integers only: inputs of {some}" in lines
    assert "rounded to 8 bits by integers only: inputs of fc" in lines
    assert "left in full precision: nothing" in lines
