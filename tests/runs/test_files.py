"""What the classes of run files take, and what they say of anything else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from glassbit._errors import RunError, VersionError
from glassbit.report import write_report
from glassbit.runs import Epoch, Head, Result, StudyHead, append_epoch, read_log
from glassbit.study import read_result, run_one, saved_run

OLD = Path(__file__).parent / "old" / "run"
HEAD = json.loads((OLD / "run.json").read_text())
RESULT = json.loads((OLD / "result.json").read_text())
EPOCH = json.loads((OLD / "log.jsonl").read_text().splitlines()[0])
FILES = [(Head, HEAD), (Result, RESULT), (Epoch, EPOCH), (StudyHead, {"name": "s", "runs": ["a"]})]


@pytest.mark.parametrize(("kind", "value"), FILES)
def test_json_comes_back_as_it_was(kind, value):
    made = kind.from_json(value, path=Path("f"), repair="repair it")
    assert json.dumps(made.to_json()) == json.dumps(value)
    with pytest.raises(ValidationError, match="frozen"):
        made.started = "later"


@pytest.mark.parametrize(("kind", "value"), FILES)
def test_keys_of_later_versions_are_kept(kind, value):
    later = {**value, "later": [1, {"a": None}]}
    assert kind.from_json(later, path=Path("f"), repair="").to_json() == later


@pytest.mark.parametrize(("kind", "value"), FILES)
@pytest.mark.parametrize("version", [2, 0, "1", None, True, [1] * 100])
def test_another_version_is_refused(kind, value, version):
    with pytest.raises(VersionError) as caught:
        kind.from_json({**value, "version": version}, path=Path("f"), repair="repair it")
    shown = str(version)[:80]
    assert str(caught.value) == f"f: version must be 1; got {shown}; update Glassbit, or repair it"
    assert kind.from_json({**value, "version": 1}, path=Path("f"), repair="").to_json() == {**value, "version": 1}


@pytest.mark.parametrize(
    ("kind", "value", "keys"),
    [
        (Head, {}, "id, arm, seed and others"),
        (Head, {**HEAD, "seed": "0"}, "seed"),
        (Head, {**HEAD, "threads": True}, "threads"),
        (Head, {**HEAD, "images": {**HEAD["images"], "mean": ["x"]}}, "images.mean.0"),
        (Result, {}, "test, cost, best_epoch and others"),
        (Result, {**RESULT, "test": {"accuracy": None, "n": 1}}, "test.accuracy"),
        (Result, {**RESULT, "cost": {"rows": 3, "stored_bytes": 1, "bitops": 1}}, "cost.rows"),
        (Result, {**RESULT, "deployed": {"absent": ""}}, "deployed.test"),
        (Result, {**RESULT, "train_seconds": float("nan")}, "train_seconds"),
        (Result, {**RESULT, "train_seconds": 10**400}, "train_seconds"),
        (Epoch, {**EPOCH, "epoch": 1.0}, "epoch"),
        (Epoch, {**EPOCH, "floored": "x"}, "floored"),
        (StudyHead, {"failed": ["a"]}, "failed"),
        (Head, [1], "all of it"),
    ],
)
def test_keys_that_are_missing_or_of_another_type_are_named(kind, value, keys):
    with pytest.raises(RunError) as caught:
        kind.from_json(value, path=Path("f"), repair="repair it")
    assert str(caught.value) == f"f: must hold what Glassbit writes there; got other values ({keys}); repair it"


def test_files_are_written_and_read(tmp_path):
    path = tmp_path / "result.json"
    Result.from_json(RESULT, path=path, repair="").write(path)
    assert path.read_text() == (OLD / "result.json").read_text()
    path.write_text("{")
    with pytest.raises(RunError, match=r"result\.json: must be readable JSON; got: .*; repair it"):
        Result.read(path, repair="repair it")
    append_epoch(tmp_path / "log.jsonl", EPOCH)
    append_epoch(tmp_path / "log.jsonl", {**EPOCH, "epoch": 2})
    assert [epoch.epoch for epoch in read_log(tmp_path / "log.jsonl", repair="")] == [1, 2]
    assert read_log(tmp_path / "none.jsonl", repair="") == ()
    (tmp_path / "log.jsonl").write_text("[\n")
    with pytest.raises(RunError, match=r"log\.jsonl: must be lines of JSON; got: .*; repair it"):
        read_log(tmp_path / "log.jsonl", repair="repair it")


@pytest.mark.parametrize("name", ["run.json", "result.json", "log.jsonl"])
def test_a_run_of_a_later_version_is_never_taken_for_a_damaged_one(tmp_path, name):
    for file in ("run.json", "result.json", "log.jsonl"):
        (tmp_path / file).write_text((OLD / file).read_text())
    value = EPOCH if name == "log.jsonl" else {"run.json": HEAD, "result.json": RESULT}[name]
    (tmp_path / name).write_text(json.dumps({**value, "version": 2}) + "\n")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    run = saved_run(OLD).run
    for read in (
        lambda: write_report(tmp_path),
        lambda: run_one(run, tmp_path, progress=False),
        lambda: {"run.json": saved_run, "result.json": read_result}.get(name, write_report)(tmp_path),
    ):
        with pytest.raises(VersionError, match=rf"{name}: version must be 1; got 2; update Glassbit, or "):
            read()
    assert {path: path.read_bytes() for path in before} == before


def of_test(**other):
    return {**RESULT, "test": {**RESULT["test"], **other}}


@pytest.mark.parametrize(
    ("value", "keys"),
    [
        (of_test(accuracy=1.5), "test.accuracy"),
        (of_test(accuracy=-1e30), "test.accuracy"),
        (of_test(loss=-1), "test.loss"),
        (of_test(n=-1), "test.n"),
        (of_test(confusion=[[1, -1], [0, 1]]), "test.confusion.0.1"),
        (of_test(confusion=[[1, float("nan")], [0, 1]]), "test.confusion.0.1"),
        (of_test(confusion=[[1, 0]]), "test"),
        ({**of_test(accuracy=0.5, n=4, confusion=[[1, 1], [0, 1]]), "digest": "0"}, "all of it"),
        ({**of_test(accuracy=0.5, n=3, confusion=[[1, 1], [0, 1]]), "digest": "0"}, "all of it"),
        ({**RESULT, "best_epoch": -1}, "best_epoch"),
        ({**RESULT, "cost": {"rows": [], "stored_bytes": -1, "bitops": 1}}, "cost.stored_bytes"),
        ({**RESULT, "masking": {"fractions": [2]}}, "masking.fractions.0"),
        ({**RESULT, "train_seconds": -1e30}, "train_seconds"),
    ],
)
def test_numbers_out_of_range_are_refused(value, keys):
    with pytest.raises(RunError, match=rf"got other values \({keys}\); repair it"):
        Result.from_json(value, path=Path("f"), repair="repair it")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"digest": "0" * 64}, "its digest is '000"),
        ({"id": "another"}, "its id is 'another'"),
        ({"epochs": RESULT["epochs"] + 1}, r"its epochs is \d+, not \d+"),
        ({"test": {**RESULT["test"], "n": RESULT["test"]["n"] + 1, "confusion": None}}, r"its test.n is \d+, not \d+"),
        (
            {
                "digest": "1" * 64,
                "test": {"n": RESULT["test"]["n"], "accuracy": 1, "confusion": [[RESULT["test"]["n"]]]},
            },
            r"its number of classes is 1, not \d+",
        ),
        ({"deployed": None if RESULT.get("deployed") else {"test": RESULT["test"]}}, "it has (no|an) integer network"),
    ],
)
def test_the_result_of_another_run_is_refused(tmp_path, change, text):
    shutil.copytree(OLD, tmp_path / "run")
    assert read_result(tmp_path / "run").to_json() == RESULT
    head = {**HEAD, "digest": "1" * 64}
    (tmp_path / "run/run.json").write_text(json.dumps(head))
    (tmp_path / "run/result.json").write_text(json.dumps({**RESULT, **change}))
    with pytest.raises(
        RunError, match=rf"must be the result of the run in run\.json; got that of another one \({text}"
    ):
        read_result(tmp_path / "run")
    with pytest.raises(RunError, match=text):
        write_report(tmp_path / "run")
