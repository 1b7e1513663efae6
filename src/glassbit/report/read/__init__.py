"""From the files of a study or a run to frozen values."""

from __future__ import annotations

from ._folder import epoch_maps as epoch_maps
from ._folder import final_maps as final_maps
from ._folder import formation as formation
from ._folder import read_study as read_study
from ._measured import Measured as Measured
from ._measured import Taken as Taken
from ._measured import read_measured as read_measured
from ._study import Group as Group
from ._study import Maps as Maps
from ._study import Run as Run
from ._study import Study as Study
from ._study import Variant as Variant
