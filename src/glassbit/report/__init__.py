"""One self-contained page, tables and figures from the result files of a study or of a single run."""

from __future__ import annotations

from ._write import write_report as write_report
