"""From recipes to objects: the only place where a name becomes a class."""

from glassbit.build._data import build_data as build_data
from glassbit.build._fit import FitArguments as FitArguments
from glassbit.build._fit import fit_arguments as fit_arguments
from glassbit.build._network import build_network as build_network
from glassbit.build._objective import Built as Built
from glassbit.build._objective import build as build
from glassbit.build._plan import build_plan as build_plan
