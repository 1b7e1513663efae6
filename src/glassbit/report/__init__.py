"""Self-contained pages, tables and figures from result files: of a study, of one network, of two."""

from __future__ import annotations

from ._comparison_page import write_comparison as write_comparison
from ._measurement_page import write_measurement as write_measurement
from ._write import write_report as write_report
