"""Measurements on disk: everything comes back, and nothing else is taken for one."""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import fields, replace

import numpy as np
import pytest
from invented import COUNT, invented

from glassbit._errors import RunError
from glassbit.evidence import Measurement, _stored, interval


def arrays_and_rest(found):
    arrays = {field.name: getattr(found, field.name) for field in fields(found)}
    return {name: value for name, value in arrays.items() if name != "values"}, found.values


def assert_same(a, b):
    (ours, values), (theirs, others) = arrays_and_rest(a), arrays_and_rest(b)
    for name, value in ours.items():
        if isinstance(value, np.ndarray):
            assert value.dtype == theirs[name].dtype
            assert np.array_equal(value, theirs[name])
        else:
            assert value == theirs[name], name
    assert values.keys() == others.keys()
    for key, value in values.items():
        assert np.array_equal(value, others[key], equal_nan=True)


def test_everything_comes_back(tmp_path):
    found = replace(invented(), seed=None)
    found.values["infidelity"][3] = np.nan
    found.save(tmp_path / "run")
    assert_same(Measurement.load(tmp_path / "run"), found)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["transparency.json", "transparency.npz"]


def test_what_is_undefined_is_null_and_comes_back_as_nan(tmp_path):
    found = invented(
        randomisation=(("fc", math.nan),),
        curves={"probability linear least": (1.0, math.nan, 0.5)},
        values={"gini": np.full(COUNT, np.nan, np.float32)},
    )
    found.save(tmp_path)
    again = Measurement.load(tmp_path)
    assert math.isnan(again.randomisation[0][1])
    assert math.isnan(again.curves["probability linear least"][1])
    assert json.loads((tmp_path / "transparency.json").read_text())["metrics"]["gini"]["mean"] is None


def test_the_json_tells_a_reader_the_numbers(tmp_path):
    found = invented(name="int4", seed=2)
    found.save(tmp_path)
    said = json.loads((tmp_path / "transparency.json").read_text())
    assert (said["format"], said["version"]) == ("glassbit-transparency", 1)
    assert (said["name"], said["seed"]) == ("int4", 2)
    assert said["accuracy"]["mean"] == found.accuracy == found.correct.mean()
    assert said["accuracy"]["images"] == 500
    gap = said["metrics"]["road_gap"]
    assert gap["title"] == "ROAD gap"
    assert gap["better"] == "higher"
    assert gap["mean"] == pytest.approx(found.values["road_gap"].mean())
    assert gap["low"] == interval(found.values["road_gap"][None]).low < gap["mean"] < gap["high"]
    assert list(said["metrics"]) == list(found.values)
    assert said["absent"]["object_mass"] == "the data set does not say where the object is"
    assert said["facts"] == found.facts


def test_a_stop_between_the_two_files_is_noticed(tmp_path, monkeypatch):
    invented().save(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(_stored, "write_text", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            invented(seed=1).save(tmp_path)
    with pytest.raises(
        RunError, match=r"transparency\.npz must be the file that was written with transparency\.json; got "
    ):
        Measurement.load(tmp_path)
    invented(seed=1).save(tmp_path)
    assert Measurement.load(tmp_path).seed == 1


def test_facts_that_are_no_json_leave_the_old_files(tmp_path):
    invented().save(tmp_path)
    with pytest.raises(TypeError):
        invented(seed=1, facts={"device": object()}).save(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        invented(seed=1, facts={"loss": math.nan}).save(tmp_path)
    assert Measurement.load(tmp_path).seed == 0


def edit(folder, **changes):
    path = folder / "transparency.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def missing(folder):
    (folder / "transparency.json").unlink()


def no_arrays(folder):
    (folder / "transparency.npz").unlink()


def no_json(folder):
    (folder / "transparency.json").write_text("{")


def a_list(folder):
    (folder / "transparency.json").write_text("[]")


def one_bit(folder):
    data = bytearray((folder / "transparency.npz").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "transparency.npz").write_bytes(data)


def replaced(folder, data):
    (folder / "transparency.npz").write_bytes(data)
    edit(folder, arrays=hashlib.sha256(data).hexdigest())


def a_pickle(folder):
    buffer = io.BytesIO()
    np.savez(buffer, rows=np.array([print], dtype=object))
    replaced(folder, buffer.getvalue())


def fewer_arrays(folder):
    buffer = io.BytesIO()
    np.savez(buffer, rows=np.arange(3))
    replaced(folder, buffer.getvalue())


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (
            missing,
            r"must hold transparency.json and transparency.npz; got no transparency.json; measure the network again",
        ),
        (no_arrays, r"no transparency.npz; measure the network again with `glassbit measure`"),
        (no_json, r"transparency.json: must be readable JSON; got: .*; measure the network again"),
        (a_list, r"its format must be 'glassbit-transparency'; got 'list'; measure the network again"),
        (lambda folder: edit(folder, format="else"), r"format must be 'glassbit-transparency'; got 'else'; measure"),
        (
            lambda folder: edit(folder, version=2),
            r"format version must be 1; got 2; update Glassbit, or measure the network again",
        ),
        (
            one_bit,
            r"transparency.npz must be the file that was written with transparency.json; got .*; measure the network",
        ),
        (
            lambda folder: replaced(folder, b"else"),
            r"transparency.npz: must hold arrays; got a damaged file .*; measure the network again",
        ),
        (a_pickle, r"transparency.npz: must hold arrays; got a damaged file .*; measure the network again"),
        (fewer_arrays, r"must hold a measurement; got: no labels; measure the network again"),
        (lambda folder: edit(folder, curves=3), r"must hold a measurement; got: curves is not .*; measure the network"),
        (
            lambda folder: edit(folder, randomisation=[1]),
            r"must hold a measurement; got: randomisation is not .*; measure",
        ),
    ],
)
def test_damaged_and_foreign_files_are_refused_with_the_repair(tmp_path, damage, text):
    invented().save(tmp_path)
    damage(tmp_path)
    with pytest.raises(RunError, match=text):
        Measurement.load(tmp_path)


def test_a_value_of_no_metric_is_a_mistake_of_ours():
    with pytest.raises(AssertionError, match="no metric"):
        invented(values={"road": np.zeros(COUNT, np.float32)})
