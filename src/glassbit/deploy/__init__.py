"""Quantized networks in integer arithmetic: training and evaluating in torch, and the graph that they become."""

from ._deployed import Deployed as Deployed
from ._fidelity import Distance as Distance
from ._fidelity import distances as distances
from ._lower import lower as lower
from ._problems import export_problems as export_problems
from ._reestimate import reestimate_ as reestimate_
from ._torch_graph import TorchGraph as TorchGraph
