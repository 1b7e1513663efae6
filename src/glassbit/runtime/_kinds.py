"""What several functions take."""

from __future__ import annotations

import numpy as np

from glassbit._takes import instance
from glassbit.intgraph import IntGraph

GRAPH = instance(IntGraph, "a glassbit.IntGraph", "lower the network first, glassbit.lower(model, ...)")
PIXELS = instance(np.ndarray, "a NumPy array of uint8 pixels", "pass one; a tensor's is images.cpu().numpy()")
