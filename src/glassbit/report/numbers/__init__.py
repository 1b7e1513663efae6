"""What the page shows, as numbers: one `Numbers` per group, counted once."""

from __future__ import annotations

from ._accuracy import Accuracy as Accuracy
from ._accuracy import accuracies as accuracies
from ._cascades import Watched as Watched
from ._cascades import watched as watched
from ._classes import Classes as Classes
from ._classes import classes as classes
from ._classes import confusion as confusion
from ._columns import ACCURACY as ACCURACY
from ._columns import COLUMNS as COLUMNS
from ._columns import ROAD as ROAD
from ._columns import Column as Column
from ._columns import known as known
from ._columns import title as title
from ._deployed import Deployed as Deployed
from ._effects import ByClass as ByClass
from ._effects import Effect as Effect
from ._effects import by_class as by_class
from ._effects import level as level
from ._likeness import Likeness as Likeness
from ._likeness import Range as Range
from ._marks import Mark as Mark
from ._masking import Masking as Masking
from ._masking import Removal as Removal
from ._numbers import Explained as Explained
from ._numbers import Numbers as Numbers
from ._numbers import explained as explained
from ._numbers import numbers as numbers
from ._pareto import front as front
from ._statistics import Number as Number
from ._statistics import Points as Points
from ._statistics import Spread as Spread
from ._statistics import ends as ends
from ._statistics import half_width as half_width
from ._training import Shares as Shares
