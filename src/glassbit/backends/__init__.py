"""Every program that runs an integer network, as one table that `glassbit verify`, tests and documents walk through."""

from ._table import BACKENDS as BACKENDS
