"""Charts, maps and pictures."""

from __future__ import annotations

from ._charts import accuracy_chart as accuracy_chart
from ._charts import layer_chart as layer_chart
from ._charts import learning_chart as learning_chart
from ._charts import masking_charts as masking_charts
from ._evidence_charts import Drawn as Drawn
from ._evidence_charts import orders_chart as orders_chart
from ._evidence_charts import randomisation_chart as randomisation_chart
from ._evidence_charts import removal_chart as removal_chart
from ._grids import Cell as Cell
from ._grids import Grid as Grid
from ._grids import forming as forming
from ._grids import side_by_side as side_by_side
from ._map_files import grid_png as grid_png
from ._pictures import image_uri as image_uri
from ._pictures import map_uri as map_uri
from ._styles import styles as styles
from ._svg import COLOURS as COLOURS
from ._svg import Chart as Chart
from ._svg import Style as Style
from ._svg import file_svg as file_svg
from ._svg import panel_svg as panel_svg
from ._svg import swatch as swatch
from ._tradeoff_chart import tradeoff_chart as tradeoff_chart
