"""Saliency maps, and what they are worth."""

from ._curves import Curves as Curves
from ._curves import masking_curves as masking_curves
from ._saliency import saliency as saliency
