"""Hundreds of files that were made to break their reader, through every command that reads them, each in a process that
a time limit ends and whose memory is limited.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--artifacts", "250", "--onnx", "0"), ("--artifacts", "0", "--onnx", "270")])
def test_all_of_them_end_well(options):
    root = Path(__file__).parents[2]
    words = [sys.executable, "-m", "benchmarks.hostile_files", *options, "--seed", "1", "--gigabytes", "6"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-3000:]
    report = json.loads(done.stdout)
    ends = [found for found in report["outcomes"].values() if found]
    assert sum(sum(found.values()) for found in ends) == 4 * (report["artifacts"] + report["onnx"])
    assert all(found["verify refused"] > 0.7 * found["verify done"] > 0 for found in ends)
    assert report["largest_memory_megabytes"] < 3000
