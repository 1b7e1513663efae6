"""A study on a real Ray cluster of one machine, and a worker that is killed in the middle of it."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from glassbit._files import read_json, read_lines
from glassbit.recipe import load
from glassbit.study import run_study
from glassbit.train import load_checkpoint

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'ray[client]>=2.40'"),
    pytest.mark.skipif(not Path("/proc/self/cmdline").is_file(), reason="finds the worker in /proc"),
]
HEAD = """
import sys
import ray
ray.init(num_cpus=2, include_dashboard=False, object_store_memory=100_000_000, _temp_dir=sys.argv[1])
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""
RECIPE = """
name: tiny
data: tiny.npz
model: {name: cnn-bn, arguments: {width: 2}}
arms: [fp32, pact]
plans: w4a4
training: {epochs: 30, batch_size: 4, device: cpu, start: float}
evaluation: {probes: 2, images: 4}
transparency: {images: 0}
"""
FIRST, SECOND = "tiny-cnn-bn-width-2-fp32-s0", "tiny-cnn-bn-width-2-pact-w4a4-s0"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A cluster with two CPUs, found by RAY_ADDRESS; gone when the test ends."""
    threads = torch.get_num_threads()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # of this cluster alone, and in no file
    # below this folder are sockets, whose paths must be short
    short = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    with subprocess.Popen(
        [sys.executable, "-c", HEAD, short], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as head:
        assert head.stdout is not None
        monkeypatch.setenv("RAY_ADDRESS", head.stdout.readline().decode().strip())
        yield
        head.communicate(b"")
    torch.set_num_threads(threads)
    shutil.rmtree(short, ignore_errors=True)


@pytest.mark.usefixtures("cluster")
def test_a_killed_worker_costs_no_bit(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    shutil.copy(images, tmp_path)
    monkeypatch.chdir(tmp_path)  # relative names of data sets mean the same on every node
    words = [sys.executable, "-m", "glassbit", "study", "tiny.yaml", "--out", "s", "--on", "ray"]
    study = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    log = tmp_path / "s" / "runs" / FIRST / "log.jsonl"
    _until(lambda: len(read_lines(log)) > 2 or study.poll() is not None)
    assert study.poll() is None, study.communicate()
    os.kill(_parent_of_the_process_of(FIRST), signal.SIGKILL)
    before = log.read_bytes()
    said, err = (stream.decode() for stream in study.communicate())
    assert study.returncode == 0, err
    ours = [line.partition(":")[0] for line in said.splitlines() if line.startswith(("[", "report"))]  # Ray speaks too
    assert ours == [f"[1/2] {FIRST}", f"[2/2] {SECOND}", "report"]
    assert len(before.splitlines()) < 30
    assert log.read_bytes().startswith(before)  # it went on, and did not start over
    assert not list((tmp_path / "s").glob(".seen-*"))

    torch.set_num_threads(1)
    assert run_study(load("tiny.yaml").recipe, tmp_path / "whole", progress=False).ok
    for name in (FIRST, SECOND):
        one, other = (tmp_path / folder / "runs" / name for folder in ("s", "whole"))
        assert _timeless(read_lines(one / "log.jsonl")) == _timeless(read_lines(other / "log.jsonl"))
        assert _timeless(read_json(one / "result.json")) == _timeless(read_json(other / "result.json"))
        mine, theirs = (load_checkpoint(folder / "best.pt")["model"] for folder in (one, other))
        assert mine.keys() == theirs.keys()
        assert all(mine[key].equal(theirs[key]) for key in mine)


def _parent_of_the_process_of(run: str) -> int:
    """The Ray worker that watches the process of a run."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
            stat = path.with_name("stat").read_text()
        except OSError:
            continue  # it ended meanwhile
        if b"glassbit.study._worker" in words and f"/runs/{run}".encode() in words:
            return int(stat.rpartition(")")[2].split()[1])
    raise AssertionError(f"no process trains {run}")


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if "second" not in key}
    return [_timeless(item) for item in value] if isinstance(value, list) else value


def _until(holds: Callable[[], Any]) -> None:
    while not holds():
        time.sleep(0.05)
