"""A run of the first format, committed as it was left: what is written today still opens it, and keeps its bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from glassbit.evidence import Comparison, Measurement
from glassbit.report import write_comparison, write_measurement, write_report
from glassbit.runs import Head, Result, read_log
from glassbit.study import read_result, saved_run, trained_model

OLD = Path(__file__).parent / "old"
RUN = OLD / "run"


@pytest.mark.parametrize(("name", "kind"), [("run.json", Head), ("result.json", Result)])
def test_values_come_back_in_the_order_of_the_file(name, kind):
    text = (RUN / name).read_text()
    assert json.dumps(kind.read(RUN / name, repair="").to_json(), indent=2) == text.rstrip("\n")


def test_the_log_comes_back_in_the_order_of_the_file():
    lines = [json.dumps(epoch.to_json()) for epoch in read_log(RUN / "log.jsonl", repair="")]
    assert "\n".join(lines) + "\n" == (RUN / "log.jsonl").read_text()


def test_its_network_and_numbers_open():
    saved = saved_run(RUN)
    assert (saved.run.id, saved.size, len(saved.classes)) == ("fashion-mini-cnn-bn-width-2-pact-w4a4-s0", (28, 28), 10)
    result = read_result(RUN)
    assert (result.test.accuracy, result.test.n, result.best_epoch, result.epochs) == (0.434, 1000, 1, 1)
    assert result.deployed is not None
    assert (result.deployed.best_epoch, result.deployed.epochs) == (1, 1)
    assert trained_model(RUN)(torch.zeros(1, 1, 28, 28, dtype=torch.uint8)).shape == (1, 10)


def test_its_report_is_written(tmp_path):
    shutil.copytree(RUN, tmp_path / "run")
    page = write_report(tmp_path / "run").read_text()
    for phrase in ("pact 43.40 %", 'href="#deployed"', 'href="#transparency"', 'href="#maps"', 'href="#classes"'):
        assert phrase in page
    assert "cannot be read" not in page


def test_its_measurement_and_comparison_open(tmp_path):
    measurement = Measurement.load(RUN)
    assert measurement.seed == 0
    assert all(path.stat().st_size for path in write_measurement(tmp_path, measurement))
    comparison = Comparison.load(OLD / "comparison")
    assert comparison.names == tuple(f"fashion-mini-cnn-bn-width-2-pact-w4a4-s{seed}" for seed in (0, 1))
    assert all(path.stat().st_size for path in write_comparison(tmp_path, comparison))
