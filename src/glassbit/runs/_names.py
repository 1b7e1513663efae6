"""The names of the files."""

from __future__ import annotations

HEAD = "run.json"
LOG = "log.jsonl"
RESULT = "result.json"
STUDY = "study.json"
