"""The pages, tables and figures, put together and written."""

from __future__ import annotations

from ._comparison import write_comparison as write_comparison
from ._measurement import write_measurement as write_measurement
from ._write import write_report as write_report
