"""From the files of a study or a run to frozen values."""

from __future__ import annotations

from ._agreement import MEASURES as MEASURES
from ._agreement import Pair as Pair
from ._agreement import read_pairs as read_pairs
from ._arrays import Maps as Maps
from ._arrays import Unread as Unread
from ._arrays import read_maps as read_maps
from ._folder import read_study as read_study
from ._maps import GroupMaps as GroupMaps
from ._maps import formation as formation
from ._maps import group_maps as group_maps
from ._measured import Measured as Measured
from ._measured import Taken as Taken
from ._measured import read_measured as read_measured
from ._study import Group as Group
from ._study import Run as Run
from ._study import Study as Study
