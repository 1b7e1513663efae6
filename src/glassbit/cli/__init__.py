"""The command line: `glassbit`."""

from glassbit.cli._main import main as main
from glassbit.cli._main import run as run
