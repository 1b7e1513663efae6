"""Self-contained pages, tables and figures from result files: of a study, of one network, of two."""

from __future__ import annotations

from .pages import write_comparison as write_comparison
from .pages import write_measurement as write_measurement
from .pages import write_report as write_report
