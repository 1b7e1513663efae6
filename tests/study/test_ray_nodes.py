"""A study on a real Ray cluster of three nodes with different numbers of CPUs, of which the largest is lost."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from glassbit._files import read_json, read_lines
from glassbit.train import load_checkpoint

pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: pip install 'glassbit[ray]'"),
    pytest.mark.skipif(sys.platform != "linux", reason="several nodes on one machine"),
]
HEAD = """
import sys
from ray.cluster_utils import Cluster
memory = {"object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False, **memory})
largest = cluster.add_node(num_cpus=2, **memory)
for _ in range(2):
    cluster.add_node(num_cpus=1, **memory)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.readline()
cluster.remove_node(largest, allow_graceful=False)
print("lost", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""
RECIPE = """
name: tiny
data: tiny.npz
model: {name: cnn-bn, arguments: {width: 2}}
training: {epochs: 24, batch_size: 4, device: cpu}
evaluation: {probes: 2, images: 4}
transparency: {images: 0}
"""
RUN = "tiny-cnn-bn-width-2-fp32-s0"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[str]]:
    """Nodes of 2, 1 and 1 CPUs, found by RAY_ADDRESS; a line on its stdin takes the first away, another all."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # of this cluster alone, and in no file
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")  # two threads that spin on a busy machine take seconds per epoch
    short = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # below it are sockets, whose paths must be short
    words = [sys.executable, "-c", HEAD]
    (Path(short) / "ray").mkdir()
    streams: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(words, text=True, env={**os.environ, "RAY_TMPDIR": short}, **streams) as head:
        assert head.stdout is not None
        monkeypatch.setenv("RAY_ADDRESS", _last_word(head, ":"))
        yield head
        head.communicate("\n\n")
    shutil.rmtree(short, ignore_errors=True)


def test_a_lost_node_costs_no_bit(
    cluster: subprocess.Popen[str], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    shutil.copy(images, tmp_path)
    monkeypatch.chdir(tmp_path)  # relative names of data sets mean the same on every node
    words = [sys.executable, "-m", "glassbit", "study", "tiny.yaml", "--out", "s", "--on", "ray"]
    study = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "s" / "runs" / RUN / "log.jsonl"
    while len(read_lines(log)) < 3 and study.poll() is None:
        time.sleep(0.05)
    assert study.poll() is None, study.communicate()
    assert cluster.stdin is not None
    cluster.stdin.write("\n")
    cluster.stdin.flush()
    _last_word(cluster, "lost")
    before = log.read_bytes()
    _, err = study.communicate()
    assert study.returncode == 0, err
    assert "no node with 2 CPUs is left; the runs go on where there are 1, with 2 threads as they began" in err
    assert 3 <= len(before.splitlines()) < 24
    assert log.read_bytes().startswith(before)  # it went on, and did not start over

    assert read_json(tmp_path / "s" / "runs" / RUN / "run.json")["threads"] == 2
    words = [sys.executable, "-m", "glassbit", "study", "tiny.yaml", "--out", "whole", "--quiet"]
    subprocess.run(words, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "2"})
    assert read_json(tmp_path / "whole" / "runs" / RUN / "run.json")["threads"] == 2
    one, other = (tmp_path / folder / "runs" / RUN for folder in ("s", "whole"))
    assert _timeless(read_lines(one / "log.jsonl")) == _timeless(read_lines(other / "log.jsonl"))
    assert _timeless(read_json(one / "result.json")) == _timeless(read_json(other / "result.json"))
    mine, theirs = (load_checkpoint(folder / "last.pt")["model"] for folder in (one, other))
    assert all(mine[key].equal(theirs[key]) for key in mine)
    assert [path.name for path in (tmp_path / "s" / "runs").iterdir()] == [RUN]


def _last_word(process: subprocess.Popen[str], wanted: str) -> str:
    """The last word of the first line that holds `wanted`; Ray writes lines of its own between ours."""
    assert process.stdout is not None
    for line in process.stdout:
        if wanted in line:
            return line.split()[-1]
    raise AssertionError(f"no line with {wanted!r}")


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if "second" not in key}
    return [_timeless(item) for item in value] if isinstance(value, list) else value
