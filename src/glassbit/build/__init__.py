"""From recipes to objects: the only place where a name becomes a class."""

from ._data import build_data as build_data
from ._exportable import exportable as exportable
from ._exportable import image_shape as image_shape
from ._exportable import recipe_problems as recipe_problems
from ._exportable import reference_shape as reference_shape
from ._fit import fit_options as fit_options
from ._network import build_network as build_network
from ._network import import_network as import_network
from ._objective import Built as Built
from ._objective import build as build
from ._plan import build_plan as build_plan
from ._trust import check_trusted as check_trusted
