from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from glassbit._errors import RunError
from glassbit.report.read import Unread, formation, group_maps, read_maps, read_study
from glassbit.runs import Variant


def test_arms_come_in_a_fixed_order_and_plans_as_the_study_names_them(tmp_path, make_study):
    folder = make_study(tmp_path, arms=("sgt+pact", "pact", "sgt", "fp32"), plans=("w4a4", "w2a2"), seeds=(1, 0))
    group = read_study(folder).groups[0]
    assert [variant.label for variant in group.variants] == [
        "fp32",
        "sgt",
        "pact w4a4",
        "pact w2a2",
        "sgt+pact w4a4",
        "sgt+pact w2a2",
    ]
    assert [run.seed for run in group.of(Variant("fp32", None))] == [0, 1]
    assert group.classes == 10


def test_arms_with_names_stand_where_the_arm_does_in_the_order_of_the_study(tmp_path, make_study):
    arms = ("sgt-z+pact", "random", "sgt-z", "sgt-b-2", "pact", "fp32")
    group = read_study(make_study(tmp_path, arms=arms, plans=("w4a4",), seeds=(0,))).groups[0]
    found = [(v.label, v.family, v.setting, v.float_arm) for v in group.variants]
    assert found == [
        ("fp32", "fp32", "", None),
        ("sgt-z", "sgt", "z", None),
        ("sgt-b-2", "sgt", "b-2", None),
        ("random", "random", "", None),
        ("pact w4a4", "pact", "", "fp32"),
        ("sgt-z+pact w4a4", "sgt+pact", "z", "sgt-z"),
    ]


def test_a_group_for_every_data_set_with_its_own_probes(tmp_path, make_study):
    study = read_study(make_study(tmp_path, data=("mnist", "cifar10"), seeds=(0,)))
    assert [(group.data, group.model) for group in study.groups] == [("mnist", "cnn-bn"), ("cifar10", "cnn-bn")]
    assert all(group.probes is not None for group in study.groups)


def test_missing_runs_are_named_with_what_happened(tmp_path, make_study):
    extra = (("pact", "w4a4", 7, "running"), ("pact", "w4a4", 8, "new"), ("pact", "w4a4", 9, "running"))
    failed = {"fashion-mini-cnn-bn-pact-w4a4-s9": "the loss is not finite", "never-made": "no such data"}
    study = read_study(make_study(tmp_path, seeds=(0,), extra=extra, failed=failed))
    assert {item.id.removeprefix("fashion-mini-cnn-bn-"): (item.why, item.failed) for item in study.missing} == {
        "pact-w4a4-s7": ("stopped or still running: 2 of 5 epochs logged, no result", False),
        "pact-w4a4-s8": ("no epoch finished yet", False),
        "pact-w4a4-s9": ("the loss is not finite", True),
        "never-made": ("no such data", True),
    }


def test_a_failed_run_that_finished_later_counts_as_finished(tmp_path, make_study):
    study = read_study(make_study(tmp_path, seeds=(0,), failed={"fashion-mini-cnn-bn-fp32-s0": "power cut"}))
    assert study.missing == ()


def test_a_finished_run_hides_the_log_of_an_unfinished_seed(tmp_path, make_study):
    group = read_study(make_study(tmp_path, seeds=(0,), extra=(("fp32", None, 5, "running"),))).groups[0]
    assert [run.seed for run in group.curves_of(Variant("fp32", None))] == [0]


def test_the_last_line_of_an_epoch_wins_and_a_cut_line_is_left_out(tmp_path, make_run):
    make_run(tmp_path, "fp32", None, 0, epochs=2)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write(json.dumps({"epoch": 2, "lr": 7.0}) + '\n{"epoch": 3, "l')
    (run,) = read_study(tmp_path).runs
    assert [line.epoch for line in run.epochs] == [1, 2]
    assert run.epochs[1].lr == 7.0


def test_a_run_folder_is_a_study_of_one(tmp_path, make_run):
    make_run(tmp_path, "sgt+pact", "w2a2", 3)
    study = read_study(tmp_path)
    assert study.single
    assert study.name == "fashion-mini-cnn-bn-sgt+pact-w2a2-s3"
    assert '"epochs": 5' in study.recipe_text
    assert study.versions == {"python": "3.11"}


def test_damaged_arrays_are_named(tmp_path, make_run):
    make_run(tmp_path, "fp32", None, 0, epochs=2)
    (tmp_path / "explain.npz").write_bytes(b"PK\x03\x04 no archive")
    (tmp_path / "probes.npz").write_bytes(b"")
    (tmp_path / "probes" / "epoch-001.npz").write_bytes(b"")
    (group,) = read_study(tmp_path).groups
    assert (group.probes, group.unread) == (None, (Unread(tmp_path / "probes.npz"),))
    maps = group_maps(group)
    assert maps.unread == (Unread(tmp_path / "explain.npz"), Unread(tmp_path / "probes" / "epoch-001.npz"))
    (chosen,) = maps.chosen
    assert sorted(formation(chosen.run)) == [0, 1, 2]
    assert sorted(chosen.forming) == [0, 2]
    assert chosen.latest is chosen.forming[2]


def test_arrays_that_are_not_there_are_no_fault(tmp_path, make_run):
    make_run(tmp_path, "fp32", None, 0, epochs=1)
    (tmp_path / "explain.npz").unlink()
    (group,) = read_study(tmp_path).groups
    assert group_maps(group).unread == group.unread == ()
    assert read_maps(tmp_path / "explain.npz") is None


@pytest.mark.parametrize(
    "arrays",
    [
        {"maps": np.zeros((2, 3, 3))},
        {"maps": np.zeros((2, 3)), "predictions": np.zeros(2)},
        {"maps": np.zeros((2, 3, 3)), "predictions": np.zeros(1)},
        {"maps": np.zeros((2, 3, 3)), "predictions": np.zeros(2), "confidence": np.zeros(3)},
        {"maps": np.full((2, 3, 3), "x"), "predictions": np.zeros(2)},
    ],
)
def test_arrays_of_other_shapes_are_not_read(tmp_path, arrays):
    np.savez(tmp_path / "explain.npz", **arrays)
    assert read_maps(tmp_path / "explain.npz") == Unread(tmp_path / "explain.npz")


def test_pickled_arrays_are_not_read(tmp_path, make_run):
    make_run(tmp_path, "fp32", None, 0)
    objects = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "explain.npz", maps=objects, predictions=objects)
    assert read_maps(tmp_path / "explain.npz") == Unread(tmp_path / "explain.npz")


def test_a_folder_that_is_neither_says_what_a_report_needs(tmp_path):
    with pytest.raises(RunError, match=r"must be a folder with study.json .* or run.json .* got neither"):
        read_study(tmp_path)
    with pytest.raises(RunError, match=r"got no such folder"):
        read_study(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "said"), [("{", "must be readable JSON"), ("[]", "must hold a JSON object; got list")]
)
def test_a_damaged_study_file_is_named(tmp_path: Path, text: str, said: str):
    (tmp_path / "study.json").write_text(text)
    with pytest.raises(RunError, match=rf"study\.json: {said}"):
        read_study(tmp_path)


def test_a_run_file_without_its_keys_is_named(tmp_path):
    (tmp_path / "run.json").write_text('{"id": "x"}')
    text = r"run\.json: must hold what Glassbit writes there; got other values \(arm, seed, data and others\)"
    with pytest.raises(RunError, match=text):
        read_study(tmp_path)


@pytest.mark.parametrize(
    "test",
    [
        {"accuracy": None},
        {"confusion": "x"},
        {"confusion": [[1, 2]]},
        {"confusion": [[1, None], [2, 3]]},
        {"confusion": [[10**30]]},
        {"confusion": [[-1]]},
    ],
)
def test_a_result_whose_test_images_cannot_be_shown_is_named(tmp_path, make_run, test):
    make_run(tmp_path, "fp32", None, 0)
    result = json.loads((tmp_path / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps({**result, "test": {**result["test"], **test}}))
    with pytest.raises(
        RunError, match=rf"result\.json: must hold what .* \(test(\.{next(iter(test))}.*)?\); delete it"
    ):
        read_study(tmp_path)


def test_runs_on_other_images_or_classes_cannot_stand_in_one_table(tmp_path, make_run):
    for seed in (0, 1):
        make_run(tmp_path / f"runs/{seed}", "fp32", None, seed)
    (tmp_path / "study.json").write_text(json.dumps({"name": "s", "runs": ["0", "1"]}))
    assert len(read_study(tmp_path).runs) == 2

    def change(seed, **facts):
        path = tmp_path / f"runs/{seed}/run.json"
        head = json.loads(path.read_text())
        path.write_text(json.dumps({**head, "images": {**head["images"], **facts}}))

    change(0, digests={"train": "a", "test": "b"})
    assert len(read_study(tmp_path).runs) == 2  # a run of an earlier version has none
    change(1, digests={"train": "x", "test": "b"})
    text = "must have the same images; got fashion-mini-cnn-bn-fp32-s1 with other {} than fashion-mini-cnn-bn-fp"
    with pytest.raises(RunError, match=text.format("images")):
        read_study(tmp_path)
    change(1, digests={"train": "a", "test": "b"}, classes=["other"] * 10)
    with pytest.raises(RunError, match=text.format("classes")):
        read_study(tmp_path)
